package reconcile

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relay"
	"relay/quarantine"
	"relay/sql"
)

// Metrics counts what the engine does.
type Metrics struct {
	announced   prometheus.Counter
	swept       prometheus.Counter
	written     *prometheus.CounterVec
	acks        *prometheus.CounterVec
	latency     prometheus.Histogram
	inFlight    prometheus.Gauge
	bytes       prometheus.Gauge
	shards      prometheus.Gauge
	removed     prometheus.Counter
	sweeping    prometheus.Counter
	quarantine  *quarantine.Metrics
	hints       *prometheus.CounterVec
	subscribers *subscriberMetrics
	received    prometheus.Counter
	sent        prometheus.Histogram
	handled     prometheus.Histogram
	sweeps      *prometheus.CounterVec // by result
	renewals    *prometheus.CounterVec // by result
	relays      prometheus.Gauge
	jobs        *prometheus.CounterVec // by kind
	jobMessages prometheus.Counter
	jobsRunning prometheus.Gauge
	limits      *prometheus.GaugeVec // by bound
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
	m.quarantine = quarantine.NewMetrics(r)
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
		for _, v := range m.subscribers.vectors() {
			r.MustRegister(v)
		}
		r.MustRegister(m.received, m.sent, m.handled, m.sweeps, m.renewals,
			m.relays, m.jobs, m.jobMessages, m.jobsRunning, m.limits)
		r.MustRegister(m.announced, m.swept, m.written, m.acks, m.latency, m.inFlight, m.bytes, m.shards, m.removed, m.sweeping, m.hints, m.fannedOut, m.left)
	}
	return m
}

// outcomeStatuses are the labels of outcomes that are written.
var outcomeStatuses = []relay.DeliveryStatus{
	relay.DeliveryWaiting, relay.DeliveryPushFailed, relay.DeliveryHandleFailed, relay.DeliveryAwaitingAck, relay.DeliveryDelivered,
	relay.DeliveryHandled, relay.DeliveryDead, relay.DeliveryCancelled, relay.DeliveryStatus(relay.MessageRejected),
}

// How what is done again and again ended.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// latencyBuckets reach from a commit that is heard at once to a retry of hours later, in seconds.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 21600, 86400}

// addWork makes the metrics of messages as a whole, sweeps, leases and jobs.
func (m *Metrics) addWork(counter func(name, help string) prometheus.Counter, gauge func(name, help string) prometheus.Gauge) {
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets})
	}
	results := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
		v.WithLabelValues(resultOK)
		v.WithLabelValues(resultFailed)
		return v
	}
	m.subscribers = newSubscriberMetrics()
	m.received = counter("relay_reconcile_received_messages_total", "Messages taken up: routed for the first time, or rejected.")
	m.sent = histogram("relay_reconcile_commit_to_sent_seconds", "Time from when a message was inserted, or due if it was delayed, to its acceptance by a destination, at whichever attempt.")
	m.handled = histogram("relay_reconcile_commit_to_handled_seconds", "Time from when a message was inserted, or due if it was delayed, until it was handled, or delivered where no acknowledgement is awaited.")
	m.sweeps = results("relay_reconcile_sweeps_total", "Sweeps of a group of shards, by result.")
	m.renewals = results("relay_reconcile_lease_renewals_total", "Renewals of the leases, by result.")
	m.relays = gauge("relay_reconcile_relays", "Relays alive on the database, this one included, as this one knows.")
	m.jobs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_reconcile_jobs_total", Help: "Jobs that this relay has brought to an end, by kind.",
	}, []string{"kind"})
	for _, kind := range []sql.JobKind{sql.JobRetry, sql.JobCancel, sql.JobReplay} {
		m.jobs.WithLabelValues(string(kind))
	}
	m.jobMessages = counter("relay_reconcile_job_messages_total", "Messages that jobs have changed here.")
	m.jobsRunning = gauge("relay_reconcile_jobs_running", "Jobs that this relay works at.")
	m.limits = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "relay_reconcile_in_flight_limit", Help: "Bounds of what is in flight: RELAY_IN_FLIGHT (messages) and RELAY_IN_FLIGHT_BYTES (bytes).",
	}, []string{"bound"})
	for _, status := range outcomeStatuses {
		m.written.WithLabelValues(string(status))
	}
}

// wrote counts a change that was written; first says that it is the first of its message.
func (m *Metrics) wrote(c *sql.Change, first bool) {
	m.written.WithLabelValues(outcomeLabel(c)).Inc()
	if first && c.Taking && !c.Again {
		m.received.Inc()
	}
	m.subscribers.wrote(c)
}

// accepted notes that a destination took a message, so long after its commit.
func (m *Metrics) accepted(class relay.Class, since time.Duration) {
	m.sent.Observe(since.Seconds())
	if class != relay.ClassAwaitingAck {
		m.handled.Observe(since.Seconds())
	}
}

// done counts what ended with an error or without.
func done(v *prometheus.CounterVec, err error) {
	result := resultOK
	if err != nil {
		result = resultFailed
	}
	v.WithLabelValues(result).Inc()
}
