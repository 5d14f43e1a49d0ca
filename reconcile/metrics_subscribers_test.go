package reconcile

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

// Deaths without an attempt are counted too: what the sweep gave up, and what no consumer acknowledged.
func TestEveryDeathIsCountedUnderTheClassOfItsCause(t *testing.T) {
	t.Parallel()
	m := newSubscriberMetrics()
	m.keep([]string{"billing"})
	died := func(cause relay.Cause, attempt *sql.Attempt) *sql.Change {
		return &sql.Change{Delivery: sql.DeliveryID{Subscription: "billing"}, Status: relay.DeliveryDead, Cause: cause, Attempt: attempt}
	}
	for _, c := range []*sql.Change{
		died(relay.CauseGaveUp, nil),
		died(relay.CauseNoAck, nil),
		died(relay.HTTPCause(500), &sql.Attempt{Outcome: relay.DeliveryHandleFailed}),
		died(relay.CauseRefused, &sql.Attempt{Outcome: relay.DeliveryPushFailed}),
	} {
		m.wrote(c)
	}
	for class, want := range map[string]float64{classPush: 2, classHandle: 2} {
		if got := counterValue(t, m.dead.WithLabelValues("billing", class)); got != want {
			t.Errorf("%g deaths of class %s, want %g", got, class, want)
		}
		if got := counterValue(t, m.failed.WithLabelValues("billing", class)); got != 1 {
			t.Errorf("%g attempts of class %s failed, want 1", got, class)
		}
	}
}
