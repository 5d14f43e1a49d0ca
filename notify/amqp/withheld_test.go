package amqp_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// What waits behind a write that hangs is not published when the network is back, if the
// shard is another relay's by then.
func TestAMQPPublishesNothingThatIsNoLongerItsOwn(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	proxy := newBrokerProxy(t, url)
	var lost atomic.Bool
	a := startAMQP(t, amqp.Config{URL: proxy.url, Allowed: func(int16) bool { return !lost.Load() }})
	s := subscriberOf(t, "amqp:/orders")
	s.Timeout = time.Minute
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
	thaw := proxy.freeze()
	const n = 64 // of 1 MB, far more than the sockets hold
	outcomes := make(chan relay.Outcome, n)
	var under sync.WaitGroup
	for range n {
		under.Go(func() {
			outcomes <- a.Deliver(t.Context(), conformance.NewDelivery(s, bytes.Repeat([]byte("x"), 1<<20)))
		})
	}
	<-time.After(200 * time.Millisecond) // some are written, one hangs, the others wait
	lost.Store(true)
	thaw()
	under.Wait()
	sent := 0
	for range n {
		switch out := <-outcomes; {
		case out.Class == relay.ClassDelivered:
			sent++
		case out.Class != relay.ClassParked:
			t.Errorf("class %d, %s: %s", out.Class, out.Reason, out.Error)
		}
	}
	if sent == n {
		t.Error("all were published although they were another relay's")
	}
	lost.Store(false)
	if arrived := depth(t, ch, "orders"); arrived != sent+1 {
		t.Errorf("%d messages arrived, %d were published", arrived, sent+1)
	}
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
}
