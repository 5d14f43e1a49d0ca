package quarantine

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts rows in quarantine, and the failures that brought them there.
type Metrics struct {
	isolated    *prometheus.CounterVec // by operation
	quarantined *prometheus.GaugeVec   // by operation
}

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		isolated: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_isolated_failures_total", Help: "Failures of what was tried for one row alone, by operation.",
		}, []string{"operation"}),
		quarantined: promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
			Name: "relay_reconcile_quarantined_rows", Help: "Rows that cannot be read, changed or removed at present, by operation; nothing else waits for them.",
		}, []string{"operation"}),
	}
	for _, op := range operations {
		m.isolated.WithLabelValues(string(op))
		m.quarantined.WithLabelValues(string(op))
	}
	return m
}
