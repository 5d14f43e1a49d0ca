package notice

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts ids that arrived by NOTIFY.
type Metrics struct {
	hints *prometheus.CounterVec // by result
}

// What became of an id that arrived by NOTIFY.
const (
	hintPending = "pending"
	hintOpen    = "open"
	hintForeign = "foreign" // another relay owns the message
	hintEnded   = "ended"
	hintUnknown = "unknown" // no message has it
	hintDropped = "dropped" // too many were waiting
)

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{hints: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "relay_reconcile_notified_ids_total", Help: "Ids that arrived by NOTIFY, by what they were found to name. Any role that can connect may send them.",
	}, []string{"result"})}
	for _, result := range []string{hintPending, hintOpen, hintForeign, hintEnded, hintUnknown, hintDropped} {
		m.hints.WithLabelValues(result)
	}
	return m
}
