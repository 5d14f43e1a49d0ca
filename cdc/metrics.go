package cdc

import "github.com/prometheus/client_golang/prometheus"

// streamMetrics counts what a Stream does.
type streamMetrics struct {
	up                prometheus.Gauge
	confirmedLag      prometheus.Gauge
	restartLag        prometheus.Gauge
	sessions          prometheus.Counter
	failures          prometheus.Counter
	slotsMade         prometheus.Counter
	transactions      prometheus.Counter
	rings             prometheus.Counter
	unreadable        prometheus.Counter
	statuses          prometheus.Counter
	heartbeats        prometheus.Counter
	heartbeatFailures prometheus.Counter
	canaries          *prometheus.CounterVec // by result
	delay             prometheus.Histogram
}

// These labels say what became of a canary.
const (
	canaryHeard  = "heard"
	canaryMissed = "missed" // the stream is blind
)

func newStreamMetrics(r prometheus.Registerer) *streamMetrics {
	m := &streamMetrics{
		up:                gauge("stream_up", "1 while commits are heard over the replication stream."),
		confirmedLag:      gauge("confirmed_lag_bytes", "WAL that the stream has not confirmed yet."),
		restartLag:        gauge("restart_lag_bytes", "WAL that the server keeps for the slot."),
		sessions:          counter("sessions_total", "Times that streaming began."),
		failures:          counter("failures_total", "Attempts to stream that failed or ended."),
		slotsMade:         counter("slots_made_total", "Slots made, anew or for the first time."),
		transactions:      counter("transactions_total", "Committed transactions heard."),
		rings:             counter("rings_total", "Rows rung by the stream."),
		unreadable:        counter("unreadable_rows_total", "Rows that the stream did not identify; swept instead."),
		statuses:          counter("statuses_total", "Positions told to the server."),
		heartbeats:        counter("heartbeats_total", "Heartbeats sent."),
		heartbeatFailures: counter("heartbeat_failures_total", "Heartbeats that failed."),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "relay", Subsystem: "cdc", Name: "commit_delay_seconds",
			Help:    "Time from commit, by the server's clock, to the hand-over of its rows.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}),
	}
	m.canaries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "relay", Subsystem: "cdc", Name: "canaries_total",
		Help: "Canaries that the stream had to show, by result. One that is missed says that the stream is blind.",
	}, []string{"result"})
	m.canaries.WithLabelValues(canaryHeard)
	m.canaries.WithLabelValues(canaryMissed)
	register(r, m.canaries, m.up, m.confirmedLag, m.restartLag, m.sessions, m.failures, m.slotsMade, m.transactions,
		m.rings, m.unreadable, m.statuses, m.heartbeats, m.heartbeatFailures, m.delay)
	return m
}

// listenerMetrics counts what a Listener does.
type listenerMetrics struct {
	up       prometheus.Gauge
	failures prometheus.Counter
}

func newListenerMetrics(r prometheus.Registerer) *listenerMetrics {
	m := &listenerMetrics{
		up:       gauge("listener_up", "1 while notifications are listened for."),
		failures: counter("listener_failures_total", "Attempts to listen that failed or ended."),
	}
	register(r, m.up, m.failures)
	return m
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "relay", Subsystem: "cdc", Name: name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "relay", Subsystem: "cdc", Name: name, Help: help})
}

func register(r prometheus.Registerer, all ...prometheus.Collector) {
	if r != nil {
		r.MustRegister(all...)
	}
}
