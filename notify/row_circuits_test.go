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

	"relay"
)

// parkedAt collects the circuits that deliveries are parked for.
type parkedAt struct {
	mu  sync.Mutex
	all map[string]int
}

func (p *parkedAt) done(o relay.Outcome) {
	if o.Class != relay.ClassParked {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[string]int)
	}
	p.all[o.Circuit]++
}

func (p *parkedAt) count(circuit string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[circuit]
}

func subscriptionAt(t *testing.T, url string) *relay.Delivery {
	t.Helper()
	d := deliveryTo(t, url)
	d.Subscriber.Name, d.Subscriber.Trusted = "sub", true
	return d
}

// A 429 from one path held every path of that host for an hour.
func TestRetryAfterHoldsTheTargetAndNotItsOrigin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var others atomic.Int64
		d := newTestDispatcher(4, func(_ context.Context, d *relay.Delivery) relay.Outcome {
			if d.Subscriber.Target.URL.Path == "/limited" {
				return relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Hour}
			}
			others.Add(1)
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var parked parkedAt
		send := func(url string) {
			d.Dispatch(deliveryTo(t, url), false, parked.done)
			synctest.Wait()
		}
		send("http://one/limited")
		for n := range 10 {
			send("http://one/limited")
			send(fmt.Sprintf("http://one/other%d", n))
		}
		if others.Load() != 10 || parked.count("http://one:80/limited") != 10 {
			t.Errorf("%d reached the other paths, parked %v", others.Load(), parked.all)
		}
		if limited, origin := d.Room("http://one:80/limited", true), d.Room("http://one:80", true); limited != 0 || origin == 0 {
			t.Errorf("room for %d at the path, %d at the origin", limited, origin)
		}
		time.Sleep(time.Hour)
		if room := d.Room("http://one:80/limited", true); room == 0 {
			t.Error("no room when the time is over")
		}
		d.Stop(t.Context())
	})
}

func TestAnswersOpenTheTargetsCircuitAndOneSuccessClosesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		d := newTestDispatcher(4, func(_ context.Context, d *relay.Delivery) relay.Outcome {
			if d.Subscriber.Target.URL.Path == "/bad" && !well.Load() {
				return relay.Outcome{Class: relay.ClassPushFailed, Code: 503}
			}
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var parked parkedAt
		send := func(url string, due bool) {
			d.Dispatch(deliveryTo(t, url), due, parked.done)
			synctest.Wait()
		}
		for range openAfter + 3 {
			send("http://one/bad", false)
			send("http://one/good", false)
		}
		const bad = "http://one:80/bad"
		if open := d.Open(); parked.count(bad) != 3 || len(parked.all) != 1 || len(open) != 1 {
			t.Errorf("parked %v, open %v", parked.all, open)
		}
		if d.Room(bad, true) != 0 || d.Room("http://one:80", true) == 0 {
			t.Error("there is room at the path, or none at its origin")
		}
		time.Sleep(time.Second + probeGrace)
		if room := d.Room(bad, true); room != 1 {
			t.Errorf("room for %d probes", room)
		}
		well.Store(true)
		send("http://one/bad", true)
		if open := d.Open(); len(open) != 0 || d.Room(bad, true) < 2 || d.targets.known.len() != 0 || openCircuits(t, d) != 0 {
			t.Errorf("after a success open is %v, %d targets are remembered", open, d.targets.known.len())
		}
		d.Stop(t.Context())
	})
}

// Any number of paths must not be a way around the circuit of a host that is down, nor
// around its share of the attempts under way.
func TestPathsShareTheCircuitAndTheConcurrencyOfTheirOrigin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most, attempts atomic.Int64
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			attempts.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(10 * time.Millisecond)
			now.Add(-1)
			return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameOrigin}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		var parked parkedAt
		for n := range 200 {
			d.Dispatch(deliveryTo(t, fmt.Sprintf("http://one/%d", n)), false, parked.done)
		}
		time.Sleep(time.Second)
		if most.Load() != 4 || attempts.Load() > openAfter+4 || parked.count("http://one:80") != 200-int(attempts.Load()) {
			t.Errorf("%d attempts, %d at once, parked %v", attempts.Load(), most.Load(), parked.all)
		}
		cancel()
		d.Stop(t.Context())
	})
}

// A row that names the URL of a subscription could shut that subscription down.
func TestRowsAndOperatorsShareNoCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(4, func(_ context.Context, d *relay.Delivery) relay.Outcome {
			if d.Direct() {
				return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameOrigin, RetryAfter: time.Hour}
			}
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		const url = "http://one/hook"
		byDefault := func() *relay.Delivery {
			delivery := deliveryTo(t, url)
			delivery.Subscriber.Name, delivery.Subscriber.Trusted = relay.SubscriptionDefault, true
			return delivery
		}
		for range 4 * openAfter {
			for _, delivery := range []*relay.Delivery{deliveryTo(t, url), subscriptionAt(t, url), byDefault()} {
				d.Dispatch(delivery, false, out.done)
				synctest.Wait()
			}
		}
		if out.count("handled ") != 8*openAfter {
			t.Errorf("%v", out.all)
		}
		if d.Room("sub", false) == 0 || d.Room(relay.SubscriptionDefault, false) == 0 || d.Room("http://one:80/hook", true) != 0 {
			t.Error("rows shut an operator's destination down")
		}
		d.Stop(t.Context())
	})
}

// Rows may name any number of destinations that all fail. They must neither grow the memory nor
// push out what is known of an operator's destinations.
func TestRowsPushNoOperatorsCircuitOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(20, func(context.Context, *relay.Delivery) relay.Outcome {
			return relay.Outcome{Class: relay.ClassPushFailed}
		})
		var out outcomes
		send := func(delivery *relay.Delivery) {
			d.Dispatch(delivery, false, out.done)
			synctest.Wait()
		}
		for range openAfter {
			send(subscriptionAt(t, "http://one/"))
		}
		for n := range maxLanes + 100 {
			send(deliveryTo(t, fmt.Sprintf("http://h%d/", n)))
			send(deliveryTo(t, fmt.Sprintf("http://one/%d?%d", n, n)))
			send(deliveryTo(t, fmt.Sprintf("amqp:/q%d", n)))
		}
		if rows, targets := d.rows.len(), d.targets.known.len(); rows > maxLanes || targets > maxTargets {
			t.Errorf("%d lanes and %d targets are remembered", rows, targets)
		}
		if open := d.Open(); len(open) != 1 || open[0] != "sub" || d.Room("sub", false) != 0 {
			t.Errorf("open %v", open)
		}
		d.Stop(t.Context())
	})
}

// What waits for an exchange or a queue that rows name waits for the broker if that is down.
func TestQueuesThatRowsNameShareTheBrokersCircuitAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blame := relay.BlameTarget
		d := newTestDispatcher(4, func(_ context.Context, d *relay.Delivery) relay.Outcome {
			if d.Subscriber.Target.Queue == "good" && blame == relay.BlameTarget {
				return relay.Outcome{Class: relay.ClassDelivered}
			}
			return relay.Outcome{Class: relay.ClassPushFailed, Blame: blame}
		})
		var parked parkedAt
		send := func(target string) {
			d.Dispatch(deliveryTo(t, target), false, parked.done)
			synctest.Wait()
		}
		for range openAfter + 1 {
			send("amqp:/bad")
			send("amqp:/good")
		}
		if parked.count("amqp:/bad") != 1 || len(parked.all) != 1 {
			t.Errorf("a queue that fails: parked %v", parked.all)
		}
		blame = relay.BlameOrigin
		for n := range openAfter + 1 {
			send(fmt.Sprintf("amqp:/q%d", n))
		}
		send("amqp:/good")
		if parked.count("amqp:") != 2 || d.Room("amqp:", true) != 0 || d.Room("amqp:/good", true) != 0 {
			t.Errorf("a broker that is down: parked %v", parked.all)
		}
		d.UpTechnology("amqp")
		if d.Room("amqp:", true) == 0 || d.Room("amqp:/bad", true) == 0 || len(d.Open()) != 0 {
			t.Errorf("after the broker's return open is %v", d.Open())
		}
		d.Stop(t.Context())
	})
}

// A path whose circuit opens while messages for it wait holds up no other of its origin.
func TestWhatWaitsBehindATargetThatIsDownGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(1, func(_ context.Context, d *relay.Delivery) relay.Outcome {
			time.Sleep(time.Millisecond)
			if d.Subscriber.Target.URL.Path == "/held" {
				return relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Hour}
			}
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		for _, path := range []string{"/held", "/held", "/other", "/held", "/other"} {
			d.Dispatch(deliveryTo(t, "http://one"+path), false, out.done)
		}
		time.Sleep(100 * time.Millisecond)
		if out.count("handled ") != 2 || out.count("push_failed ") != 1 || out.count("parked circuit_open") != 2 {
			t.Errorf("%v", out.all)
		}
		d.Stop(t.Context())
	})
}

// The relay's own shortage was taken for the destination's failure.
func TestAShortageOfTheRelaysOwnPausesTheAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int64
		var plenty atomic.Bool
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			attempts.Add(1)
			if plenty.Load() {
				return relay.Outcome{Class: relay.ClassHandled}
			}
			return Lacking(relay.ResourceDescriptors, false, "none left")
		})
		var log counted
		d.shortages.log, d.reported.log = slog.New(&log), slog.New(&log)
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		var last relay.Outcome
		send := func() {
			d.Dispatch(subscriptionAt(t, "http://one/"), true, func(o relay.Outcome) { last = o })
			synctest.Wait()
		}
		for range openAfter {
			send()
			if last.Class != relay.ClassParked || last.Reason != relay.ReasonNoResources || last.RetryAfter < minShortage || last.RetryAfter > 2*minShortage {
				t.Fatalf("%+v", last)
			}
		}
		send()
		if attempts.Load() != openAfter || last.Reason != relay.ReasonNoResources || last.RetryAfter != 0 || last.Lack != relay.ResourceNone || last.Error == "" {
			t.Errorf("after %d attempts: %+v", attempts.Load(), last)
		}
		if open := d.Open(); len(open) != 0 || log.n.Load() != 1 || d.Room("sub", false) != 0 {
			t.Errorf("open %v, %d lines in the log, room for %d", open, log.n.Load(), d.Room("sub", false))
		}
		for range 60 {
			time.Sleep(time.Second)
			send()
		}
		if n := attempts.Load(); n < openAfter+6 || n > openAfter+20 || log.n.Load() != 1 {
			t.Errorf("%d attempts in a minute, %d lines in the log", n-openAfter, log.n.Load())
		}
		time.Sleep(2 * maxShortage)
		if room := d.Room("sub", false); room != 1 {
			t.Errorf("room for %d, want one that is tried", room)
		}
		plenty.Store(true)
		if send(); last.Class != relay.ClassHandled || d.Room("sub", false) < 4 {
			t.Errorf("%+v, then room for %d", last, d.Room("sub", false))
		}
		time.Sleep(2 * shortageOver)
		if log.n.Load() != 2 {
			t.Errorf("%d lines in the log after its end", log.n.Load())
		}
		cancel()
		d.Stop(t.Context())
	})
}

// A destination with connections that are open takes messages while no new one can be had.
func TestAShortageHoldsUpNothingThatGoesWithoutIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		d := newTestDispatcher(4, func(context.Context, *relay.Delivery) relay.Outcome {
			if n.Add(1)%3 > 0 {
				return Lacking(relay.ResourceDescriptors, false, "none left")
			}
			return relay.Outcome{Class: relay.ClassHandled}
		})
		var out outcomes
		for range 90 {
			d.Dispatch(subscriptionAt(t, "http://one/"), false, out.done)
			synctest.Wait()
		}
		if out.count("handled ") != 30 {
			t.Errorf("%v", out.all)
		}
		d.Stop(t.Context())
	})
}

// counted counts the lines of a log.
type counted struct{ n atomic.Int64 }

func (c *counted) Enabled(context.Context, slog.Level) bool { return true }
func (c *counted) Handle(context.Context, slog.Record) error {
	c.n.Add(1)
	return nil
}
func (c *counted) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *counted) WithGroup(string) slog.Handler      { return c }
