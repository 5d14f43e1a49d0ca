package notify

import (
	"github.com/prometheus/client_golang/prometheus"

	"relay"
)

// Metrics counts attempts and circuits. Labels are closed sets: no destination, no topic.
type Metrics struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	open     prometheus.Gauge
}

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_notify_attempts_total", Help: "Attempts to deliver, by technology and how they ended.",
		}, []string{"technology", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "relay_notify_attempt_duration_seconds", Help: "Time from the start of an attempt to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"technology"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "relay_notify_circuits_open", Help: "Destinations that are down and being probed.",
		}),
	}
	if r != nil {
		r.MustRegister(m.attempts, m.seconds, m.open)
	}
	return m
}

var classNames = map[relay.Class]string{
	relay.ClassHandled: "handled", relay.ClassDelivered: "delivered", relay.ClassAwaitingAck: "awaiting_ack",
	relay.ClassPushFailed: "push_failed", relay.ClassHandleFailed: "handle_failed", relay.ClassDead: "dead",
	relay.ClassUnknown: "unknown", relay.ClassParked: "parked", relay.ClassRejected: "rejected",
	relay.ClassResolved: "resolved",
}

func (m *Metrics) attempt(d *relay.Delivery, o relay.Outcome) {
	if o.Class == relay.ClassResolved {
		return // nothing was sent
	}
	technology := "http"
	if d.Subscriber.Target.Kind != relay.TargetHTTP {
		technology = "amqp"
	}
	m.attempts.WithLabelValues(technology, classNames[o.Class]).Inc()
	m.seconds.WithLabelValues(technology).Observe(o.Duration.Seconds())
}

func (m *Metrics) circuit(open bool) {
	if open {
		m.open.Inc()
		return
	}
	m.open.Dec()
}
