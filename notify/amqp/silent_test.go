package amqp_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// A queue that takes nothing stops the broker's channel, and a thousand messages to it stopped
// the connection: what else went over the broker failed.
func TestAMQPQueueThatNeverConfirmsHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t)
	url := rabbit.URL("/")
	ch := brokerChannel(t, url)
	for _, kind := range []string{"quorum", "classic"} {
		t.Run(kind, func(t *testing.T) {
			silent, well := subscriberOf(t, "amqp:/silent-"+kind), subscriberOf(t, "amqp:/well-"+kind)
			silent.Name, silent.Timeout = "silent", 3*time.Second
			well.Name, well.Timeout = "well", 10*time.Second
			a := startAMQP(t, amqp.Config{URL: url})
			for _, s := range []*relay.Subscriber{silent, well} {
				_, err := ch.QueueDeclare(s.Target.Queue, true, false, false, false, amqp091.Table{"x-queue-type": kind})
				must(t, err)
				wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, nil)), relay.ClassDelivered, "")
			}
			resume := harness.SuspendQueue(t, rabbit, silent.Target.Queue)
			var all []*relay.Delivery
			for range 1500 {
				all = append(all, conformance.NewDelivery(silent, make([]byte, 1000)))
			}
			sent := sendAll(t, a, all, func() { deliversAtOnce(t, a, well) })[relay.ClassUnknown]
			if len(sent) == 0 || len(sent) > 200 {
				t.Errorf("%d messages were sent without a confirm, want 200 at most", len(sent))
			}
			// They go again, and nothing is sent that was sent before.
			again := sendAll(t, a, sent, func() { deliversAtOnce(t, a, well) })
			if n := len(again[relay.ClassUnknown]); n != len(sent) {
				t.Errorf("the outcome of %d repeats is unknown, want %d: %v", n, len(sent), counts(again))
			}
			silent.Timeout = time.Minute
			last := sendAll(t, a, sent, func() { <-time.After(100 * time.Millisecond); resume() })
			if n := len(last[relay.ClassDelivered]); n != len(sent) {
				t.Errorf("%d were delivered when the queue came back, want %d: %v", n, len(sent), counts(last))
			}
			if n := depth(t, ch, silent.Target.Queue); n != len(sent)+1 {
				t.Errorf("%d messages in the queue, want %d", n, len(sent)+1)
			}
			wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(silent, nil)), relay.ClassDelivered, "")
		})
	}
}

// sendAll delivers all at once, does something meanwhile, and returns them by class: no
// failed attempt must be among them.
func sendAll(t *testing.T, a *amqp.Destination, all []*relay.Delivery, meanwhile func()) map[relay.Class][]*relay.Delivery {
	t.Helper()
	classes := make(map[relay.Class][]*relay.Delivery)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, d := range all {
		wg.Go(func() {
			out := a.Deliver(t.Context(), d)
			mu.Lock()
			defer mu.Unlock()
			classes[out.Class] = append(classes[out.Class], d)
			if out.Class.Attempted() && !out.Class.Accepted() {
				t.Errorf("class %d: %s", out.Class, out.Error)
			}
			if unknown := out.Class == relay.ClassUnknown; out.Silent != unknown {
				t.Errorf("class %d, silent %v: %s", out.Class, out.Silent, out.Error)
			}
			if out.Class == relay.ClassParked && out.Reason != relay.ReasonFull {
				t.Errorf("parked: %q", out.Reason)
			}
		})
	}
	meanwhile()
	wg.Wait()
	return classes
}

func counts(classes map[relay.Class][]*relay.Delivery) string {
	n := make(map[relay.Class]int)
	for class, all := range classes {
		n[class] = len(all)
	}
	return fmt.Sprint(n)
}

// deliversAtOnce delivers for two seconds, each message within one.
func deliversAtOnce(t *testing.T, a *amqp.Destination, s *relay.Subscriber) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 2*time.Second; {
		out := a.Deliver(t.Context(), conformance.NewDelivery(s, nil))
		wantClass(t, out, relay.ClassDelivered, "")
		if out.Duration > time.Second {
			t.Errorf("a delivery elsewhere took %v", out.Duration)
		}
	}
}

// More destinations than have channels of their own: the others share some.
func TestAMQPManyDestinations(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	boundQueue(t, ch, "orders", "all")
	const destinations = 300
	for range 2 {
		var wg sync.WaitGroup
		for i := range destinations {
			wg.Go(func() {
				s := subscriberOf(t, "amqp:orders/x")
				s.Name = fmt.Sprint("sub", i)
				wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, nil)), relay.ClassDelivered, "")
			})
		}
		wg.Wait()
	}
	if n := depth(t, ch, "all"); n != 2*destinations {
		t.Errorf("%d messages arrived, want %d", n, 2*destinations)
	}
}
