package reconcile

import (
	"github.com/prometheus/client_golang/prometheus"

	"relay"
)

// Metrics counts what the engine does.
type Metrics struct {
	announced prometheus.Counter
	swept     prometheus.Counter
	written   *prometheus.CounterVec
	acks      *prometheus.CounterVec
	latency   prometheus.Histogram
	inFlight  prometheus.Gauge
	bytes     prometheus.Gauge
	shards    prometheus.Gauge
	removed   prometheus.Counter
	sweeping  prometheus.Counter
	// by operation
	isolated    *prometheus.CounterVec
	quarantined *prometheus.GaugeVec
	hints       *prometheus.CounterVec
	// What waits, or was left to the table, for want of room in memory.
	fannedOut prometheus.Gauge
	left      *prometheus.CounterVec // by what there was too little of
}

// What a relay may hold too much of in memory.
const (
	wantMessages = "messages" // RELAY_IN_FLIGHT
	wantBytes    = "bytes"    // RELAY_IN_FLIGHT_BYTES
)

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
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &Metrics{
		announced: counter("relay_reconcile_rung_messages_total", "Rows that the doorbell announced."),
		swept:     counter("relay_reconcile_swept_messages_total", "Rows that a sweep found and nobody had announced."),
		written: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_outcomes_total", Help: "Delivery outcomes written, by status.",
		}, []string{"status"}),
		acks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_acknowledgements_total", Help: "Acknowledgements by consumers, by result; only handled and failed ones have an effect. What is locked is answered 503.",
		}, []string{"result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "relay_reconcile_delivery_latency_seconds", Help: "Time from when a message was due to its acceptance at the first attempt.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600},
		}),
		inFlight: gauge("relay_reconcile_in_flight_messages", "Messages and deliveries in flight."),
		bytes:    gauge("relay_reconcile_in_flight_bytes", "Bytes of the messages in flight: bodies, headers, sources and destinations."),
		shards:   gauge("relay_reconcile_owned_shards", "Shards that this relay owns."),
		removed:  counter("relay_reconcile_removed_messages_total", "Messages removed because their retention was over."),
		sweeping: counter("relay_reconcile_sweep_seconds_total", "Time that the statements of sweeps took, in all groups together."),
	}
	m.isolated = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_reconcile_isolated_failures_total", Help: "Failures of what was tried for one row alone, by operation.",
	}, []string{"operation"})
	m.quarantined = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "relay_reconcile_quarantined_rows", Help: "Rows that cannot be read, changed or removed at present, by operation; nothing else waits for them.",
	}, []string{"operation"})
	m.fannedOut = gauge("relay_reconcile_fanned_out_waiting_messages", "Messages with many deliveries, or keys of such messages, that wait until those before them are written.")
	m.left = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_reconcile_left_to_table_total", Help: "Messages and deliveries that were left to the table, to be read later, by the bound that had no room: RELAY_IN_FLIGHT (messages) or RELAY_IN_FLIGHT_BYTES (bytes).",
	}, []string{"bound"})
	m.left.WithLabelValues(wantMessages)
	m.left.WithLabelValues(wantBytes)
	for _, op := range operations {
		m.isolated.WithLabelValues(string(op))
		m.quarantined.WithLabelValues(string(op))
	}
	m.acks.WithLabelValues("locked")
	m.hints = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_reconcile_notified_ids_total", Help: "Ids that arrived by NOTIFY, by what they were found to name. Any role that can connect may send them.",
	}, []string{"result"})
	for _, result := range []string{hintPending, hintOpen, hintForeign, hintEnded, hintUnknown, hintDropped} {
		m.hints.WithLabelValues(result)
	}
	for _, result := range relay.AckResults {
		m.acks.WithLabelValues(string(result))
	}
	if r != nil {
		r.MustRegister(m.announced, m.swept, m.written, m.acks, m.latency, m.inFlight, m.bytes, m.shards, m.removed, m.sweeping, m.isolated, m.quarantined, m.hints, m.fannedOut, m.left)
	}
	return m
}
