package notify

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"relay"
)

// scripted is a destination that does what a test says: failures that a real server cannot
// show at a chosen moment.
type scripted func(ctx context.Context, d *relay.Delivery) relay.Outcome

// Deliver implements Destination.
func (s scripted) Deliver(ctx context.Context, d *relay.Delivery) relay.Outcome { return s(ctx, d) }

func newTestDispatcher(concurrency int, s scripted) *Dispatcher {
	return NewDispatcher(DispatcherConfig{
		Technologies: testTechnologies(s, concurrency), Timeout: 10 * time.Second,
		Retry:   func(*relay.Delivery, int) time.Duration { return time.Second },
		Allowed: func(int16) bool { return true },
		Log:     slog.New(slog.DiscardHandler), Metrics: NewMetrics(nil),
	})
}

// testTechnologies are one whose targets each have an origin of their own, and one whose targets
// share it.
func testTechnologies(s scripted, concurrency int) Technologies {
	return Register(
		Technology{Name: "http", Prefixes: []string{"http://", "https://"}, Destination: s, Concurrency: concurrency},
		Technology{Name: "amqp", Prefixes: []string{"amqp:"}, Destination: s, Concurrency: 250, Origin: relay.CircuitBroker},
	)
}

func deliveryTo(t *testing.T, url string) *relay.Delivery {
	t.Helper()
	target, err := relay.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return &relay.Delivery{
		Message: &relay.Message{ID: relay.NewID()}, Attempt: 1,
		Subscriber: &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target},
	}
}

// outcomes counts how deliveries ended.
type outcomes struct {
	mu  sync.Mutex
	all map[string]int
}

func (o *outcomes) done(out relay.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[string]int)
	}
	o.all[fmt.Sprint(out.Class.String(), " ", out.Reason)]++
}

func (o *outcomes) count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[key]
}

func TestConcurrencyIsBoundedPerDestination(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(10 * time.Millisecond)
			now.Add(-1)
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		for range 40 {
			d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		}
		time.Sleep(200 * time.Millisecond)
		if out.count("handled ") != 40 || most.Load() != 4 {
			t.Errorf("%v with at most %d at once", out.all, most.Load())
		}
	})
}

// The engine dispatches the next message of a key from the worker that reports the last one, and others from its
// readers: with the race detector this test found that one wrote what another read of their lane.
func TestManyGoroutinesDispatchToALane(t *testing.T) {
	t.Parallel()
	d := newTestDispatcher(64, func(context.Context, *relay.Delivery) relay.Outcome { return relay.Outcome{Class: relay.ClassHandled} })
	const keys, messages = 8, 100
	var out outcomes
	var all sync.WaitGroup
	for range keys {
		all.Add(messages)
		left := messages
		var next func(relay.Outcome)
		next = func(o relay.Outcome) {
			out.done(o)
			if left--; left > 0 {
				d.Dispatch(deliveryTo(t, "amqp:exchange/"), false, next)
			}
			all.Done()
		}
		go d.Dispatch(deliveryTo(t, "amqp:exchange/"), false, next)
	}
	all.Wait()
	if n := out.count("handled "); n != keys*messages {
		t.Errorf("%v, want %d handled", out.all, keys*messages)
	}
}

func TestWhatWaitsLongerThanASecondIsParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(1, func(context.Context, *relay.Delivery) relay.Outcome {
			time.Sleep(5 * time.Second)
			return relay.Outcome{Class: relay.ClassHandled}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		var out outcomes
		for range 3 {
			d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		}
		time.Sleep(1200 * time.Millisecond)
		if out.count("parked full") != 2 {
			t.Errorf("%v", out.all)
		}
		other := deliveryTo(t, "http://two/")
		d.Dispatch(other, false, out.done)
		time.Sleep(5100 * time.Millisecond)
		if out.count("handled ") != 2 {
			t.Errorf("%v: another destination had to wait", out.all)
		}
		d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		if d.Dispatch(deliveryTo(t, "http://one/"), false, out.done); out.count("parked full") != 3 {
			t.Errorf("%v: a destination known to be slow made messages wait in vain", out.all)
		}
		cancel()
		d.Stop(t.Context())
	})
}

func TestADestinationThatIsDownGetsOneProbeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var attempts atomic.Int64
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			attempts.Add(1)
			time.Sleep(time.Millisecond)
			if up.Load() {
				return relay.Outcome{Class: relay.ClassHandled}
			}
			return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameOrigin}
		})
		var out outcomes
		for range 100 {
			d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		time.Sleep(time.Second)
		if n := attempts.Load(); n > openAfter+4 || out.count("push_failed ")+out.count("parked circuit_open") != 100 {
			t.Errorf("%d attempts, %v", n, out.all)
		}
		if d.Room("http://one:80", true) != 0 || len(d.Open()) != 1 {
			t.Errorf("room %d, open %v", d.Room("http://one:80", true), d.Open())
		}
		time.Sleep(2 * time.Second)
		if d.Room("http://one:80", true) != 1 {
			t.Error("no probe is asked for")
		}
		up.Store(true)
		d.Dispatch(deliveryTo(t, "http://one/"), true, out.done)
		time.Sleep(10 * time.Millisecond)
		if len(d.Open()) != 0 || d.Room("http://one:80", true) == 0 {
			t.Error("a success did not close the circuit")
		}
		cancel()
		d.Stop(t.Context())
	})
}

func TestAPanicIsThatDeliverysFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(1, func(context.Context, *relay.Delivery) relay.Outcome { panic("bug") })
		var out outcomes
		d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		synctest.Wait()
		if out.count("push_failed ") != 1 {
			t.Errorf("%v", out.all)
		}
	})
}

func TestStopWaitsForWhatIsUnderWayAndNoLongerThanTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(1, func(ctx context.Context, d *relay.Delivery) relay.Outcome {
			select {
			case <-ctx.Done():
				return relay.Outcome{Class: relay.ClassUnknown}
			case <-time.After(time.Second):
				return relay.Outcome{Class: relay.ClassHandled}
			}
		})
		var out outcomes
		d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		d.Stop(ctx)
		if took := time.Since(begun); took != time.Second || out.count("handled ") != 1 || out.count("parked ") != 1 {
			t.Errorf("after %s: %v", took, out.all)
		}
		d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		if out.count("parked ") != 2 {
			t.Errorf("%v: an attempt began after the stop", out.all)
		}
	})
}

// What a destination asked for was forgotten when it had been idle for ten minutes.
func TestARetryAfterOutlivesTheMemoryOfIdleDestinations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(1, func(context.Context, *relay.Delivery) relay.Outcome {
			return relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Hour}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		var out outcomes
		first := deliveryTo(t, "http://one/")
		d.Dispatch(first, false, out.done)
		time.Sleep(59 * time.Minute)
		if room := d.Room(first.Circuits().Target, true); room != 0 {
			t.Errorf("there is room for %d deliveries before Retry-After", room)
		}
		d.Dispatch(deliveryTo(t, "http://one/"), true, out.done)
		if out.count("push_failed ") != 1 || out.count("parked circuit_open") != 1 {
			t.Errorf("%v: something went out before Retry-After", out.all)
		}
		cancel()
		d.Stop(t.Context())
	})
}

// A destination that no message names any more stayed down for ever.
func TestADestinationThatIsDownIsForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(20, func(context.Context, *relay.Delivery) relay.Outcome {
			return relay.Outcome{Class: relay.ClassPushFailed}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		var out outcomes
		for range 20 {
			d.Dispatch(deliveryTo(t, "http://one/"), false, out.done)
		}
		time.Sleep(time.Minute)
		if n := openCircuits(t, d); len(d.Open()) != 1 || n != 1 {
			t.Errorf("open: %v, and %v by the metric", d.Open(), n)
		}
		time.Sleep(15 * time.Minute)
		if len(d.Open()) != 0 {
			t.Errorf("open: %v", d.Open())
		}
		cancel()
		d.Stop(t.Context())
	})
}

func openCircuits(t *testing.T, d *Dispatcher) float64 {
	t.Helper()
	var m dto.Metric
	if err := d.config.Metrics.open.WithLabelValues("row").Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

func TestStoppingWhileDestinationsAreForgotten(t *testing.T) {
	t.Parallel()
	d := newTestDispatcher(1, func(context.Context, *relay.Delivery) relay.Outcome {
		return relay.Outcome{Class: relay.ClassHandled}
	})
	var out outcomes
	for n := range 1000 {
		d.Dispatch(deliveryTo(t, fmt.Sprintf("http://host%d/", n)), false, out.done)
	}
	d.workers.Wait()
	var group sync.WaitGroup
	group.Go(func() { d.expire(time.Now().Add(time.Hour)) })
	d.Stop(t.Context())
	group.Wait()
}

// A message may wait for its key before it waits for its destination, and there for its rate.
// It was read before all of that, and may have been cancelled meanwhile.
func TestWhatWasReadASecondAgoIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var latest atomic.Int64
		d := newTestDispatcher(2, func(_ context.Context, delivery *relay.Delivery) relay.Outcome {
			latest.Store(max(latest.Load(), int64(time.Since(delivery.Since))))
			time.Sleep(10 * time.Millisecond)
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		since := func(delivery *relay.Delivery, age time.Duration) *relay.Delivery {
			delivery.Since = time.Now().Add(-age)
			return delivery
		}
		d.Dispatch(since(deliveryTo(t, "http://one/"), 900*time.Millisecond), false, out.done)
		d.Dispatch(since(deliveryTo(t, "http://one/"), 1100*time.Millisecond), false, out.done)
		for range 3 {
			rated := since(deliveryTo(t, "http://rated/"), 700*time.Millisecond)
			rated.Subscriber.Name, rated.Subscriber.RateLimit = "rated", 4
			d.Dispatch(rated, false, out.done)
		}
		time.Sleep(3 * time.Second)
		if out.count("handled ") != 3 || out.count("parked full") != 2 || time.Duration(latest.Load()) > time.Second {
			t.Errorf("%v, the latest after %s", out.all, time.Duration(latest.Load()))
		}
		d.Stop(t.Context())
	})
}

// One instance that is down must hold up neither the others nor the look-ups.
func TestInstancesHaveCircuitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(4, func(_ context.Context, d *relay.Delivery) relay.Outcome {
			switch {
			case d.Unresolved():
				return relay.Outcome{Class: relay.ClassResolved, Instances: []string{"10.0.0.1:80"}}
			case d.Instance == "10.0.0.1:80":
				return relay.Outcome{Class: relay.ClassPushFailed}
			}
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		send := func(instance string, paused bool) {
			delivery := deliveryTo(t, "http://workers/")
			delivery.Subscriber.Name, delivery.Subscriber.Broadcast, delivery.Subscriber.Paused = "sub", true, paused
			delivery.Instance = instance
			d.Dispatch(delivery, false, out.done)
			time.Sleep(time.Millisecond)
		}
		for range openAfter + 1 {
			send("10.0.0.1:80", false)
		}
		send("10.0.0.2:80", false)
		send(relay.PlainInstance, false)
		send(relay.PlainInstance, true) // the instances are looked up even while it is paused
		send("10.0.0.2:80", true)
		if out.count("parked circuit_open") != 1 || out.count("handled ") != 1 || out.count("resolved ") != 2 || out.count("parked paused") != 1 {
			t.Errorf("%v", out.all)
		}
		if open := d.Open(); len(open) != 1 || open[0] != "sub/10.0.0.1:80" {
			t.Errorf("open circuits %v", open)
		}
		d.UpInstances("sub")
		if open := d.Open(); len(open) != 0 {
			t.Errorf("open circuits %v after a change", open)
		}
		d.Stop(t.Context())
	})
}
