package reconcile

import (
	"github.com/prometheus/client_golang/prometheus"

	"relay"
	"relay/jobs"
	"relay/pulse"
	"relay/quarantine"
	"relay/retention"
)

// Metrics counts what the engine does.
type Metrics struct {
	announced  prometheus.Counter
	swept      prometheus.Counter
	acks       *prometheus.CounterVec
	inFlight   prometheus.Gauge
	bytes      prometheus.Gauge
	shards     prometheus.Gauge
	sweeping   prometheus.Counter
	quarantine *quarantine.Metrics
	pulse      *pulse.Metrics
	jobs       *jobs.Metrics
	retention  *retention.Metrics
	hints      *prometheus.CounterVec
	sweeps     *prometheus.CounterVec // by result
	renewals   *prometheus.CounterVec // by result
	relays     prometheus.Gauge
	limits     *prometheus.GaugeVec // by bound
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
		swept:     counter("relay_reconcile_swept_messages_total", "Rows that a sweep found without a ring."),
		acks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_acknowledgements_total", Help: "Acknowledgements by consumers, by result; only handled and failed ones have an effect. What is locked is answered 503.",
		}, []string{"result"}),
		inFlight: gauge("relay_reconcile_in_flight_messages", "Messages and deliveries in flight."),
		bytes:    gauge("relay_reconcile_in_flight_bytes", "Bytes of the messages in flight: bodies, headers, sources and destinations."),
		shards:   gauge("relay_reconcile_owned_shards", "Shards that this relay owns."),
		sweeping: counter("relay_reconcile_sweep_seconds_total", "Time that the statements of sweeps took, in all groups together."),
	}
	m.quarantine, m.pulse, m.jobs, m.retention = quarantine.NewMetrics(r), pulse.NewMetrics(r), jobs.NewMetrics(r), retention.NewMetrics(r)
	m.fannedOut = gauge("relay_reconcile_fanned_out_waiting_messages", "Messages with many deliveries, or keys of such messages, that wait until those before them are written.")
	m.left = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_reconcile_left_to_table_total", Help: "Messages and deliveries that were left to the table, to be read later, by the bound that had no room: RELAY_IN_FLIGHT (messages) or RELAY_IN_FLIGHT_BYTES (bytes).",
	}, []string{"bound"})
	m.left.WithLabelValues(wantMessages)
	m.left.WithLabelValues(wantBytes)
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
	m.addWork(counter, gauge)
	if r != nil {
		r.MustRegister(m.sweeps, m.renewals,
			m.relays, m.limits)
		r.MustRegister(m.announced, m.swept, m.acks, m.inFlight, m.bytes, m.shards, m.sweeping, m.hints, m.fannedOut, m.left)
	}
	return m
}

// How what is done again and again ended.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// addWork makes the metrics of sweeps and leases.
func (m *Metrics) addWork(counter func(name, help string) prometheus.Counter, gauge func(name, help string) prometheus.Gauge) {
	results := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
		v.WithLabelValues(resultOK)
		v.WithLabelValues(resultFailed)
		return v
	}
	m.sweeps = results("relay_reconcile_sweeps_total", "Sweeps of a group of shards, by result.")
	m.renewals = results("relay_reconcile_lease_renewals_total", "Renewals of the leases, by result.")
	m.relays = gauge("relay_reconcile_relays", "Relays alive on the database, this one included, as this one knows.")
	m.limits = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "relay_reconcile_in_flight_limit", Help: "Bounds of what is in flight: RELAY_IN_FLIGHT (messages) and RELAY_IN_FLIGHT_BYTES (bytes).",
	}, []string{"bound"})
}

// done counts what ended with an error or without.
func done(v *prometheus.CounterVec, err error) {
	result := resultOK
	if err != nil {
		result = resultFailed
	}
	v.WithLabelValues(result).Inc()
}
