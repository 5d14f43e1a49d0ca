package retention

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what is removed.
type Metrics struct{ removed prometheus.Counter }

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{removed: promauto.With(r).NewCounter(prometheus.CounterOpts{
		Name: "relay_reconcile_removed_messages_total", Help: "Messages removed because their retention was over.",
	})}
}
