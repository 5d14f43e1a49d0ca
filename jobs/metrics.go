package jobs

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"relay/sql"
)

// Metrics counts what jobs do.
type Metrics struct {
	ended    *prometheus.CounterVec // by kind
	messages prometheus.Counter
	running  prometheus.Gauge
}

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	register := promauto.With(r)
	m := &Metrics{
		ended: register.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_jobs_total", Help: "Jobs that this relay has brought to an end, by kind.",
		}, []string{"kind"}),
		messages: register.NewCounter(prometheus.CounterOpts{
			Name: "relay_reconcile_job_messages_total", Help: "Messages that jobs have changed here.",
		}),
		running: register.NewGauge(prometheus.GaugeOpts{Name: "relay_reconcile_jobs_running", Help: "Jobs that this relay works at."}),
	}
	for _, kind := range []sql.JobKind{sql.JobRetry, sql.JobCancel, sql.JobReplay} {
		m.ended.WithLabelValues(string(kind))
	}
	return m
}
