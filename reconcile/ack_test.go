package reconcile

import (
	"testing"

	"relay"
	"relay/reconcile/machine"
)

func testDelivery(attempt int) *relay.Delivery {
	target, _ := relay.ParseTarget("http://127.0.0.1/")
	return &relay.Delivery{
		Message: &relay.Message{ID: relay.NewID()}, Attempt: attempt,
		Subscriber: &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target},
	}
}

// What was accepted once never holds its key again.
func TestAcceptedDeliveriesHaveNoOrder(t *testing.T) {
	t.Parallel()
	d := testDelivery(1)
	e := &core{}
	e.wire()
	d.Message.Key = "k"
	for accepted, ordered := range map[bool]bool{true: false, false: true} {
		f := &task{engine: e, state: state{Open: machine.Open{Accepted: accepted}}}
		if f.add(d); f.dispatches[0].ordered() != ordered {
			t.Errorf("accepted %v: in order %v", accepted, f.dispatches[0].ordered())
		}
	}
}
