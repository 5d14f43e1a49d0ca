package reconcile

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"relay"
	"relay/sql"
)

const (
	// namedSubscriptions is how many subscriptions have series of their own, the first by name.
	namedSubscriptions = 100
	// otherSubscriptions stands for the rest. No subscription can be called so and have series of its own.
	otherSubscriptions = "other"
)

// The classes of failures: the message did not reach its consumer, or the consumer's own logic failed.
const (
	classPush   = string(relay.PushSide)
	classHandle = string(relay.HandleSide)
)

// ends are the statuses of deliveries that are counted when they are written.
var ends = []relay.DeliveryStatus{
	relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryAwaitingAck, relay.DeliveryCancelled,
}

// subscriberMetrics counts by subscription. All series of a subscription are there from when it is loaded, so that
// the first failure is a change of a series and not a new series.
type subscriberMetrics struct {
	ended, failed, dead *prometheus.CounterVec

	mu    sync.RWMutex
	known map[string]*subscriberCounters
}

// subscriberCounters are the series of one subscription.
type subscriberCounters struct {
	ended        map[relay.DeliveryStatus]prometheus.Counter
	failed, dead map[string]prometheus.Counter // by class
}

func newSubscriberMetrics() *subscriberMetrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"subscription", label})
	}
	m := &subscriberMetrics{
		ended: counter("relay_reconcile_deliveries_total",
			"Deliveries that came to a status, by subscription; default and direct are two, and other stands for those above 100.", "status"),
		failed: counter("relay_reconcile_failed_attempts_total",
			"Attempts that failed, by subscription and class: the message did not reach the consumer (push), or the consumer's logic failed (handle).", "class"),
		dead: counter("relay_reconcile_dead_deliveries_total",
			"Deliveries that died, by subscription and the class of their last failure.", "class"),
		known: make(map[string]*subscriberCounters),
	}
	for _, name := range []string{relay.SubscriptionDefault, relay.SubscriptionDirect, otherSubscriptions} {
		m.known[name] = m.series(name)
	}
	return m
}

// series returns the counters of a subscription, and makes them where they are not there.
func (m *subscriberMetrics) series(name string) *subscriberCounters {
	c := &subscriberCounters{
		ended:  make(map[relay.DeliveryStatus]prometheus.Counter),
		failed: make(map[string]prometheus.Counter), dead: make(map[string]prometheus.Counter),
	}
	for _, status := range ends {
		c.ended[status] = m.ended.WithLabelValues(name, string(status))
	}
	for _, class := range []string{classPush, classHandle} {
		c.failed[class], c.dead[class] = m.failed.WithLabelValues(name, class), m.dead.WithLabelValues(name, class)
	}
	return c
}

// keep makes these the subscriptions that are counted: the first hundred by name have series, those that are gone
// lose theirs.
func (m *subscriberMetrics) keep(names []string) {
	names = slices.Sorted(slices.Values(names))
	names = append(names[:min(len(names), namedSubscriptions)], relay.SubscriptionDefault, relay.SubscriptionDirect, otherSubscriptions)
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.known {
		if !slices.Contains(names, name) {
			delete(m.known, name)
			gone := prometheus.Labels{"subscription": name}
			m.ended.DeletePartialMatch(gone)
			m.failed.DeletePartialMatch(gone)
			m.dead.DeletePartialMatch(gone)
		}
	}
	for _, name := range names {
		if m.known[name] == nil {
			m.known[name] = m.series(name)
		}
	}
}

// wrote counts an outcome that was written.
func (m *subscriberMetrics) wrote(c *sql.Change) {
	counters := m.of(c.Delivery.Subscription)
	if counter := counters.ended[c.Status]; counter != nil {
		counter.Inc()
	}
	class := classOf(c)
	if c.Attempt != nil && (c.Attempt.Outcome == relay.DeliveryPushFailed || c.Attempt.Outcome == relay.DeliveryHandleFailed) {
		counters.failed[class].Inc()
	}
	if c.Status == relay.DeliveryDead {
		counters.dead[class].Inc()
	}
}

// classOf is the class of the failure that an outcome ends with. One without an attempt, as what was given up or was never
// acknowledged, has that of its cause.
func classOf(c *sql.Change) string {
	handled := c.Cause.Side() == relay.HandleSide
	if c.Attempt != nil {
		handled = c.Attempt.Outcome == relay.DeliveryHandleFailed
	}
	if handled {
		return classHandle
	}
	return classPush
}

func (m *subscriberMetrics) of(name string) *subscriberCounters {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c := m.known[name]; c != nil {
		return c
	}
	return m.known[otherSubscriptions]
}
