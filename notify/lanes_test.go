package notify

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"relay"
)

// Rows may name any number of destinations, within the ten minutes that each is remembered.
func TestDestinationsInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(4, func(_ context.Context, delivery *relay.Delivery) relay.Outcome {
			return relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Duration(delivery.Attempt-1) * time.Hour}
		})
		var out outcomes
		held := deliveryTo(t, "http://held/")
		held.Attempt = 2
		d.Dispatch(held, false, out.done)
		synctest.Wait()
		for i := range maxLanes + 500 {
			d.Dispatch(deliveryTo(t, fmt.Sprintf("http://h%d/", i)), false, out.done)
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		remembers := func(url string) bool { return d.lanes[deliveryTo(t, url).Subscriber.Circuit()] != nil }
		if n := len(d.lanes); n != maxLanes {
			t.Errorf("%d destinations are remembered, want %d", n, maxLanes)
		}
		if remembers("http://h0/") || !remembers(fmt.Sprintf("http://h%d/", maxLanes)) || !remembers("http://held/") {
			t.Error("it is not the one used longest ago that was forgotten")
		}
		d.Stop(t.Context())
	})
}
