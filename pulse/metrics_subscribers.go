package pulse

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"relay"
	"relay/sql"
)

const (
	// namedSubscriptions is how many subscriptions have series of their own, the first by name.
	namedSubscriptions = 100
	// otherSubscriptions stands for the rest. No subscription can be called so and have series of its own.
	otherSubscriptions = "other"
)

// otherCause stands for a failure of a cause that is not known.
const otherCause = "other"

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
	received, ended, failed, dead *prometheus.CounterVec

	mu    sync.RWMutex
	known map[string]*subscriberCounters
}

// subscriberCounters are the series of one subscription.
type subscriberCounters struct {
	received prometheus.Counter
	ended    map[relay.DeliveryStatus]prometheus.Counter
	failed   map[failure]prometheus.Counter
	dead     map[string]prometheus.Counter // by class
}

// failure is what failed attempts are counted by: the class, and the heading of the cause.
type failure struct{ class, cause string }

// failuresKnown are all there can be.
var failuresKnown = knownFailures()

func knownFailures() []failure {
	known := []failure{{classPush, otherCause}, {classHandle, otherCause}}
	for _, cause := range relay.CauseClasses() {
		if cause.Side() != relay.SendSide {
			known = append(known, failure{string(cause.Side()), cause.Heading()})
		}
	}
	return known
}

func newSubscriberMetrics(register promauto.Factory) *subscriberMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"subscription"}, labels...))
	}
	m := &subscriberMetrics{
		received: counter("relay_reconcile_received_deliveries_total",
			"Deliveries that messages had when they were taken up for the first time, by subscription; those of a replay are not among them."),
		ended: counter("relay_reconcile_deliveries_total",
			"Deliveries that came to a status, by subscription; default and direct are two, and other stands for those above 100.", "status"),
		failed: counter("relay_reconcile_failed_attempts_total",
			"Attempts that failed, by subscription, class and cause. The class says whether the message did not reach the consumer (push), or the consumer's logic failed (handle); docs/troubleshooting.md explains each cause.", "class", "cause"),
		dead: counter("relay_reconcile_dead_deliveries_total",
			"Deliveries that died, by subscription and the class of their last failure.", "class"),
		known: make(map[string]*subscriberCounters),
	}
	for _, name := range []string{relay.SubscriptionDefault, relay.SubscriptionDirect, otherSubscriptions} {
		m.known[name] = m.series(name)
	}
	return m
}

// vectors are all that is counted.
func (m *subscriberMetrics) vectors() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.received, m.ended, m.failed, m.dead}
}

// series returns the counters of a subscription, and makes them where they are not there.
func (m *subscriberMetrics) series(name string) *subscriberCounters {
	c := &subscriberCounters{
		received: m.received.WithLabelValues(name), ended: make(map[relay.DeliveryStatus]prometheus.Counter),
		failed: make(map[failure]prometheus.Counter), dead: make(map[string]prometheus.Counter),
	}
	for _, status := range ends {
		c.ended[status] = m.ended.WithLabelValues(name, string(status))
	}
	for _, class := range []string{classPush, classHandle} {
		c.dead[class] = m.dead.WithLabelValues(name, class)
	}
	for _, f := range failuresKnown {
		c.failed[f] = m.failed.WithLabelValues(name, f.class, f.cause)
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
			for _, v := range m.vectors() {
				v.DeletePartialMatch(prometheus.Labels{"subscription": name})
			}
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
	if c.Taking && !c.Again && c.Delivery.Subscription != "" { // what is rejected has no delivery
		counters.received.Inc()
	}
	if c.Attempt != nil && (c.Attempt.Outcome == relay.DeliveryPushFailed || c.Attempt.Outcome == relay.DeliveryHandleFailed) {
		counters.failed[failureOf(c)].Inc()
	}
	if c.Status == relay.DeliveryDead {
		counters.dead[failureOf(c).class].Inc()
	}
}

// failureOf is the failure that an outcome ends with. Its class is that of its cause, also of one without an attempt,
// as what was given up or was never acknowledged; where the cause is not known, the attempt tells the class.
func failureOf(c *sql.Change) failure {
	switch c.Cause.Side() {
	case relay.HandleSide:
		return failure{classHandle, c.Cause.Heading()}
	case relay.PushSide:
		return failure{classPush, c.Cause.Heading()}
	}
	if c.Attempt != nil && c.Attempt.Outcome == relay.DeliveryHandleFailed {
		return failure{classHandle, otherCause}
	}
	return failure{classPush, otherCause}
}

func (m *subscriberMetrics) of(name string) *subscriberCounters {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c := m.known[name]; c != nil {
		return c
	}
	return m.known[otherSubscriptions]
}
