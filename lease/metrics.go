package lease

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts renewals, and what is owned.
type Metrics struct {
	shards, relays prometheus.Gauge
	renewals       *prometheus.CounterVec // by result
}

// How a renewal ended.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	register := promauto.With(r)
	m := &Metrics{
		shards: register.NewGauge(prometheus.GaugeOpts{Name: "relay_reconcile_owned_shards", Help: "Shards that this relay owns."}),
		relays: register.NewGauge(prometheus.GaugeOpts{
			Name: "relay_reconcile_relays", Help: "Relays alive on the database, this one included, as this one knows.",
		}),
		renewals: register.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_lease_renewals_total", Help: "Renewals of the leases, by result.",
		}, []string{"result"}),
	}
	m.renewals.WithLabelValues(resultOK)
	m.renewals.WithLabelValues(resultFailed)
	return m
}

// renewed counts a renewal that ended with an error or without.
func (m *Metrics) renewed(err error) {
	result := resultOK
	if err != nil {
		result = resultFailed
	}
	m.renewals.WithLabelValues(result).Inc()
}
