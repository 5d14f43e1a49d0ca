package pulse

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"relay"
	"relay/sql"
)

// Metrics counts messages and outcomes, by subscription where that matters, and how long they took.
type Metrics struct {
	written     *prometheus.CounterVec // by status
	received    prometheus.Counter
	latency     prometheus.Histogram
	sent        prometheus.Histogram
	handled     prometheus.Histogram
	subscribers *subscriberMetrics
}

// outcomeStatuses are the labels of outcomes that are written.
var outcomeStatuses = []relay.DeliveryStatus{
	relay.DeliveryWaiting, relay.DeliveryPushFailed, relay.DeliveryHandleFailed, relay.DeliveryAwaitingAck, relay.DeliveryDelivered,
	relay.DeliveryHandled, relay.DeliveryDead, relay.DeliveryCancelled, relay.DeliveryStatus(relay.MessageRejected),
}

// latencyBuckets reach from a commit that is heard at once to a retry of hours later, in seconds. The first attempt
// needs none above ten minutes.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 21600, 86400}

const firstBuckets = 15

// NewMetrics registers the metrics of the package; a nil registerer keeps them unseen.
func NewMetrics(r prometheus.Registerer) *Metrics {
	register := promauto.With(r)
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return register.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &Metrics{
		written: register.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_reconcile_outcomes_total", Help: "Delivery outcomes written, by status.",
		}, []string{"status"}),
		received: register.NewCounter(prometheus.CounterOpts{
			Name: "relay_reconcile_received_messages_total", Help: "Messages taken up: routed for the first time, or rejected.",
		}),
		latency: histogram("relay_reconcile_delivery_latency_seconds",
			"Time from when a message was due to its acceptance at the first attempt.", latencyBuckets[:firstBuckets]),
		sent: histogram("relay_reconcile_commit_to_sent_seconds",
			"Time from when a message was inserted, or due if it was delayed, to its acceptance by a destination, at whichever attempt.", latencyBuckets),
		handled: histogram("relay_reconcile_commit_to_handled_seconds",
			"Time from when a message was inserted, or due if it was delayed, until it was handled, or delivered where no acknowledgement is awaited.", latencyBuckets),
		subscribers: newSubscriberMetrics(register),
	}
	for _, status := range outcomeStatuses {
		m.written.WithLabelValues(string(status))
	}
	return m
}

// Keep makes these the subscriptions that are counted apart.
func (m *Metrics) Keep(subscriptions []string) { m.subscribers.keep(subscriptions) }

// Accepted notes that a destination took a message, so long after it was inserted or due; first says that it did so at
// the first attempt.
func (m *Metrics) Accepted(class relay.Class, waited time.Duration, first bool) {
	if first {
		m.latency.Observe(waited.Seconds())
	}
	m.sent.Observe(waited.Seconds())
	if class != relay.ClassAwaitingAck {
		m.Handled(waited)
	}
}

// Handled notes that a message was handled, so long after it was inserted or due.
func (m *Metrics) Handled(waited time.Duration) { m.handled.Observe(waited.Seconds()) }

// wrote counts a change that was written; first says that it is the first of its message.
func (m *Metrics) wrote(c *sql.Change, first bool) {
	m.written.WithLabelValues(Status(c)).Inc()
	if first && c.Taking && !c.Again {
		m.received.Inc()
	}
	m.subscribers.wrote(c)
}

// Status is the status that an outcome is counted under.
func Status(c *sql.Change) string {
	if c.MessageStatus == relay.MessageRejected {
		return string(relay.MessageRejected)
	}
	return string(c.Status)
}
