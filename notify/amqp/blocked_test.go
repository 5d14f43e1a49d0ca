package amqp_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// On an alarm the broker stops reading from connections that publish, and says so.
func TestAMQPBlockedBroker(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t)
	alarm := func(watermark string) {
		t.Helper()
		if out, err := rabbit.Ctl(t.Context(), "set_vm_memory_high_watermark", watermark); err != nil {
			t.Fatalf("set_vm_memory_high_watermark: %v\n%s", err, out)
		}
	}
	var ups atomic.Int32
	a := startAMQP(t, amqp.Config{URL: rabbit.URL("/"), OnUp: func() { ups.Add(1) }})
	s := subscriberOf(t, "amqp:/orders")
	s.Timeout = 3 * time.Second
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
	alarm("0.0000001")
	before := ups.Load()

	// More than the socket holds, at a moment when the relay does not know of the alarm.
	blockedFlood(t, a, s, relay.ClassUnknown, relay.ClassParked)
	if up, text := a.State(); up {
		t.Errorf("state while blocked: %q", text)
	}
	// Now the destination knows: it sends nothing, and no caller waits.
	if took := blockedFlood(t, a, s, relay.ClassParked); took > time.Second {
		t.Errorf("parking took %v", took)
	}
	out := a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}")))
	if out.Reason != relay.ReasonCircuitOpen {
		t.Errorf("reason %q, want circuit_open", out.Reason)
	}
	closesWhileBlocked(t, rabbit.URL("/"), s)

	alarm("0.9")
	eventuallyUp(t, a)
	harness.Eventually(t, 30*time.Second, "delivery after the alarm", func() bool {
		return a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))).Class == relay.ClassDelivered
	})
	if ups.Load() == before {
		t.Error("OnUp was not called although the broker takes messages again")
	}
}

// blockedFlood delivers 32 MiB at once; every attempt must end in time, in these classes.
func blockedFlood(t *testing.T, a *amqp.Destination, s *relay.Subscriber, classes ...relay.Class) time.Duration {
	t.Helper()
	body := bytes.Repeat([]byte("x"), 1<<20)
	began := time.Now()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			out := a.Deliver(t.Context(), conformance.NewDelivery(s, body))
			for _, class := range classes {
				if out.Class == class {
					return
				}
			}
			t.Errorf("class %d: %s", out.Class, out.Error)
		})
	}
	wg.Wait()
	took := time.Since(began)
	if took > s.Timeout+2*time.Second {
		t.Errorf("the last attempt returned after %v, its time was %v", took, s.Timeout)
	}
	return took
}

// closesWhileBlocked ends a destination whose writer hangs in the socket.
func closesWhileBlocked(t *testing.T, url string, s *relay.Subscriber) {
	t.Helper()
	a, err := amqp.New(amqp.Config{URL: url})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	eventuallyUp(t, a)
	blockedFlood(t, a, s, relay.ClassUnknown, relay.ClassParked)
	began := time.Now()
	cancel()
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("Run did not end while the broker was blocked")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
}
