package pulse

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"relay"
	"relay/sql"
)

// counterValue reads a counter.
func counterValue(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// seriesOf counts the series of a collector.
func seriesOf(c prometheus.Collector) (n int) {
	metrics := make(chan prometheus.Metric)
	go func() { defer close(metrics); c.Collect(metrics) }()
	for range metrics {
		n++
	}
	return n
}

// Deaths without an attempt are counted too: what the sweep gave up, and what no consumer acknowledged.
func TestEveryDeathIsCountedUnderTheClassOfItsCause(t *testing.T) {
	t.Parallel()
	m := NewMetrics(nil).subscribers
	m.keep([]string{"billing"})
	died := func(cause relay.Cause, attempt *relay.Attempt) *sql.Change {
		return &sql.Change{Delivery: relay.DeliveryID{Subscription: "billing"}, Status: relay.DeliveryDead, Cause: cause, Attempt: attempt}
	}
	for _, c := range []*sql.Change{
		died(relay.CauseGaveUp, nil),
		died(relay.CauseNoAck, nil),
		died(relay.HTTPCause(500), &relay.Attempt{Outcome: relay.DeliveryHandleFailed}),
		died(relay.CauseRefused, &relay.Attempt{Outcome: relay.DeliveryPushFailed}),
	} {
		m.wrote(c)
	}
	for class, want := range map[string]float64{classPush: 2, classHandle: 2} {
		if got := counterValue(t, m.dead.WithLabelValues("billing", class)); got != want {
			t.Errorf("%g deaths of class %s, want %g", got, class, want)
		}
	}
	for _, f := range []failure{{classPush, "refused"}, {classHandle, "http 500"}} {
		if got := counterValue(t, m.failed.WithLabelValues("billing", f.class, f.cause)); got != 1 {
			t.Errorf("%g attempts failed of %v, want 1", got, f)
		}
	}
}

// An attempt of any cause is counted by a series that was there from the start, so that the number of series is
// bounded.
func TestEachCauseHasASeriesFromTheStart(t *testing.T) {
	t.Parallel()
	m := NewMetrics(nil).subscribers
	m.keep([]string{"billing"})
	series := seriesOf(m.failed)
	causes := append(relay.Causes(), relay.CauseNone, "invented")
	for code := range 1000 {
		causes = append(causes, relay.HTTPCause(code), relay.AMQPCause(code))
	}
	for _, cause := range causes {
		for _, outcome := range []relay.DeliveryStatus{relay.DeliveryPushFailed, relay.DeliveryHandleFailed} {
			m.wrote(&sql.Change{Delivery: relay.DeliveryID{Subscription: "billing"}, Cause: cause, Attempt: &relay.Attempt{Outcome: outcome}})
		}
	}
	if now := seriesOf(m.failed); now != series {
		t.Errorf("%d series, and %d at the start", now, series)
	}
	if got := counterValue(t, m.failed.WithLabelValues("billing", classHandle, "http")); got < 100 {
		t.Errorf("%g attempts with codes that have no paragraph of their own", got)
	}
}

// What is taken up again, and what is rejected, is received by no subscription.
func TestOnlyFirstDeliveriesAreReceived(t *testing.T) {
	t.Parallel()
	m := NewMetrics(nil).subscribers
	m.keep([]string{"billing"})
	for _, c := range []sql.Change{
		{Delivery: relay.DeliveryID{Subscription: "billing"}, Taking: true, Status: relay.DeliveryHandled},
		{Delivery: relay.DeliveryID{Subscription: "billing"}, Taking: true, Again: true, Status: relay.DeliveryHandled},
		{Delivery: relay.DeliveryID{Subscription: "billing"}, Status: relay.DeliveryHandled},
		{Taking: true, MessageStatus: relay.MessageRejected},
	} {
		m.wrote(&c)
	}
	for name, want := range map[string]float64{"billing": 1, otherSubscriptions: 0} {
		if got := counterValue(t, m.received.WithLabelValues(name)); got != want {
			t.Errorf("%g deliveries received by %s, want %g", got, name, want)
		}
	}
}
