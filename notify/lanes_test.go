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
		remembers := func(url string) bool {
			_, found := d.rows.find(deliveryTo(t, url).Circuit())
			return found
		}
		if n, m := d.rows.len(), d.targets.known.len(); n != maxLanes || m != maxTargets {
			t.Errorf("%d origins and %d targets are remembered, want %d and %d", n, m, maxLanes, maxTargets)
		}
		if remembers("http://h0/") || !remembers(fmt.Sprintf("http://h%d/", maxLanes)) || d.targets.find("http://held:80/") == nil {
			t.Error("it is not the one used longest ago that was forgotten")
		}
		d.Stop(t.Context())
	})
}

// Only the circuit of what rows name was closed when the broker came back: subscriptions
// waited for their next probe.
func TestTheBrokersReturnClosesTheCircuitsOfAllThatGoesOverIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := func(context.Context, *relay.Delivery) relay.Outcome {
			return relay.Outcome{Class: relay.ClassPushFailed}
		}
		d := newTestDispatcher(4, down)
		var out outcomes
		for range openAfter {
			for name, target := range map[string]string{"sub": "amqp:shop/x", relay.SubscriptionDirect: "amqp:/queue", "http": "http://one/"} {
				delivery := deliveryTo(t, target)
				delivery.Subscriber.Name = name
				d.Dispatch(delivery, false, out.done)
				synctest.Wait()
			}
		}
		if open := d.Open(); len(open) != 3 {
			t.Errorf("open circuits %v", open)
		}
		d.UpTechnology("amqp")
		if open := d.Open(); len(open) != 1 || open[0] != "http" {
			t.Errorf("open circuits %v after the broker's return", open)
		}
		d.Stop(t.Context())
	})
}

// A backlog behind a rate of less than one a second was read and put back without a pause.
func TestARateBelowOneASecondHasRoomWhenItIsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		send := func() {
			delivery := deliveryTo(t, "http://rated/")
			delivery.Subscriber.Name, delivery.Subscriber.RateLimit = "rated", 0.1
			d.Dispatch(delivery, false, out.done)
			synctest.Wait()
		}
		send()
		if room := d.Room("rated", false); room != 0 {
			t.Errorf("room for %d right after an attempt", room)
		}
		time.Sleep(9500 * time.Millisecond)
		if room := d.Room("rated", false); room != 1 {
			t.Errorf("room for %d half a second before the next may go", room)
		}
		send()
		time.Sleep(time.Second)
		if out.count("handled ") != 2 {
			t.Errorf("%v", out.all)
		}
		d.Stop(t.Context())
	})
}

// A destination that lets every attempt run out of time was taken for one that is fast, and
// given thousands of messages that waited a second in vain.
func TestAttemptsWithoutAWordMakeADestinationSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			time.Sleep(5 * time.Second)
			return relay.Outcome{Class: relay.ClassUnknown}
		})
		var out outcomes
		for range 16 {
			d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
			time.Sleep(5100 * time.Millisecond)
		}
		if room := d.Room("http://one:80", true); room != 4 {
			t.Errorf("room for %d at once, want 4", room)
		}
		d.Stop(t.Context())
	})
}
