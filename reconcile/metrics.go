package reconcile

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"relay"
	"relay/jobs"
	"relay/lease"
	"relay/notice"
	"relay/pulse"
	"relay/quarantine"
	"relay/retention"
)

// Metrics counts what the engine does, and what the packages do that it wires.
type Metrics struct {
	announced prometheus.Counter
	swept     prometheus.Counter
	sweeping  prometheus.Counter
	sweeps    *prometheus.CounterVec // by result
	acks      *prometheus.CounterVec // by result
	// What is in memory, and what was left to the table for want of room there.
	inFlight  prometheus.Gauge
	bytes     prometheus.Gauge
	fannedOut prometheus.Gauge
	limits    *prometheus.GaugeVec   // by bound
	left      *prometheus.CounterVec // by bound

	quarantine *quarantine.Metrics
	pulse      *pulse.Metrics
	jobs       *jobs.Metrics
	retention  *retention.Metrics
	lease      *lease.Metrics
	notice     *notice.Metrics
}

// What a relay may hold too much of in memory.
const (
	wantMessages = "messages" // RELAY_IN_FLIGHT
	wantBytes    = "bytes"    // RELAY_IN_FLIGHT_BYTES
)

// How a sweep ended.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// ackHeld is the result of an acknowledgement that the consumer has to send again.
const ackHeld = "locked"

// NewMetrics registers the metrics of the package and of those that the engine wires; a nil registerer keeps them
// unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	register := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return register.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return register.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	counters := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := register.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	acked := []string{ackHeld}
	for _, result := range relay.AckResults {
		acked = append(acked, string(result))
	}
	return &Metrics{
		announced: counter("relay_reconcile_rung_messages_total", "Rows that the doorbell announced."),
		swept:     counter("relay_reconcile_swept_messages_total", "Rows that a sweep found without a ring."),
		sweeping:  counter("relay_reconcile_sweep_seconds_total", "Time that the statements of sweeps took, in all groups together."),
		sweeps:    counters("relay_reconcile_sweeps_total", "Sweeps of a group of shards, by result.", "result", resultOK, resultFailed),
		acks: counters("relay_reconcile_acknowledgements_total",
			"Acknowledgements by consumers, by result; only handled and failed ones have an effect. What is locked is answered 503.", "result", acked...),
		inFlight: gauge("relay_reconcile_in_flight_messages", "Messages and deliveries in flight."),
		bytes:    gauge("relay_reconcile_in_flight_bytes", "Bytes of the messages in flight: bodies, headers, sources and destinations."),
		fannedOut: gauge("relay_reconcile_fanned_out_waiting_messages",
			"Messages with many deliveries, or keys of such messages, that wait until those before them are written."),
		limits: register.NewGaugeVec(prometheus.GaugeOpts{
			Name: "relay_reconcile_in_flight_limit", Help: "Bounds of what is in flight: RELAY_IN_FLIGHT (messages) and RELAY_IN_FLIGHT_BYTES (bytes).",
		}, []string{"bound"}),
		left: counters("relay_reconcile_left_to_table_total",
			"Messages and deliveries that were left to the table, to be read later, by the bound that had no room: RELAY_IN_FLIGHT (messages) or RELAY_IN_FLIGHT_BYTES (bytes).",
			"bound", wantMessages, wantBytes),

		quarantine: quarantine.NewMetrics(r), pulse: pulse.NewMetrics(r), jobs: jobs.NewMetrics(r), retention: retention.NewMetrics(r),
		lease: lease.NewMetrics(r), notice: notice.NewMetrics(r),
	}
}

// done counts a sweep that ended with an error or without.
func (m *Metrics) done(err error) {
	result := resultOK
	if err != nil {
		result = resultFailed
	}
	m.sweeps.WithLabelValues(result).Inc()
}
