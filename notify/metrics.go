package notify

import (
	"github.com/prometheus/client_golang/prometheus"

	"relay"
)

// Metrics counts attempts and circuits. Labels are closed sets: no destination, no topic.
type Metrics struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	open     *prometheus.GaugeVec
	lacks    *prometheus.CounterVec
	withheld *prometheus.CounterVec
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
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "relay_notify_circuits_open", Help: "Destinations that are down and being probed, by what named them: the operator's configuration or rows.",
		}, []string{"named_by"}),
		lacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_notify_shortages_total", Help: "Attempts that were not made because the relay itself lacked a resource; they do not count.",
		}, []string{"resource"}),
		withheld: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_notify_withheld_deliveries_total", Help: "Deliveries that were not taken into memory for their destination and wait elsewhere, by cause: the destination has its share of messages or of bytes, too many bytes wait for it (queue), or its pace is too slow.",
		}, []string{"cause"}),
	}
	for _, cause := range []string{causeMessages, causeBytes, causeQueue, causePace} {
		m.withheld.WithLabelValues(cause)
	}
	for _, direct := range []bool{false, true} {
		m.open.WithLabelValues(namedBy(direct))
	}
	for _, lack := range []relay.Resource{
		relay.ResourceDescriptors, relay.ResourceMemory, relay.ResourcePorts, relay.ResourceResolver, relay.ResourceCertificates,
	} {
		m.lacks.WithLabelValues(string(lack))
	}
	if r != nil {
		r.MustRegister(m.attempts, m.seconds, m.open, m.lacks, m.withheld)
	}
	return m
}

var classNames = map[relay.Class]string{
	relay.ClassHandled: "handled", relay.ClassDelivered: "delivered", relay.ClassAwaitingAck: "awaiting_ack",
	relay.ClassPushFailed: "push_failed", relay.ClassHandleFailed: "handle_failed", relay.ClassDead: "dead",
	relay.ClassUnknown: "unknown", relay.ClassParked: "parked", relay.ClassRejected: "rejected",
	relay.ClassResolved: "resolved",
}

// noTechnology is the label of what no technology serves.
const noTechnology = "none"

func (m *Metrics) attempt(technology string, o relay.Outcome) {
	if o.Class == relay.ClassResolved {
		return // nothing was sent
	}
	m.attempts.WithLabelValues(technology, classNames[o.Class]).Inc()
	m.seconds.WithLabelValues(technology).Observe(o.Duration.Seconds())
}

func namedBy(direct bool) string {
	if direct {
		return "row"
	}
	return "operator"
}

func (m *Metrics) circuit(direct, open bool) {
	gauge := m.open.WithLabelValues(namedBy(direct))
	if open {
		gauge.Inc()
		return
	}
	gauge.Dec()
}

func (m *Metrics) shortage(lack relay.Resource) { m.lacks.WithLabelValues(string(lack)).Inc() }
