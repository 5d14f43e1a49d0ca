package reconcile

import (
	"strings"
	"testing"
	"time"

	"relay"
)

func testPolicy() Policy {
	return Policy{Backoff: []time.Duration{time.Second, 10 * time.Second}, MaxAttempts: 3, GiveUpAfter: time.Hour}
}

func testDelivery(attempt int) *relay.Delivery {
	target, _ := relay.ParseTarget("http://127.0.0.1/")
	return &relay.Delivery{
		Message: &relay.Message{ID: relay.NewID()}, Attempt: attempt,
		Subscriber: &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target},
	}
}

func TestIntervalsGrowTheLastRepeatsAndJitterStaysWithinATenth(t *testing.T) {
	t.Parallel()
	p, d := testPolicy(), testDelivery(1)
	for attempts, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 10 * time.Second, 9: 10 * time.Second} {
		spread := map[time.Duration]bool{}
		for range 100 {
			got := p.Interval(d, attempts)
			if got < want*9/10 || got > want*11/10 {
				t.Fatalf("after %d attempts: %s, want about %s", attempts, got, want)
			}
			spread[got] = true
		}
		if len(spread) < 50 {
			t.Errorf("after %d attempts: %d different intervals of 100", attempts, len(spread))
		}
	}
}

func TestOutcomesBecomeChanges(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fresh := state{taking: true, due: now}
	for name, c := range map[string]struct {
		attempt  int
		state    state
		outcome  relay.Outcome
		status   relay.DeliveryStatus
		attempts int
		retries  bool
		record   relay.DeliveryStatus
	}{
		"handled":             {1, fresh, relay.Outcome{Class: relay.ClassHandled}, "handled", 1, false, "handled"},
		"delivered":           {1, fresh, relay.Outcome{Class: relay.ClassDelivered}, "delivered", 1, false, "delivered"},
		"push failed":         {1, fresh, relay.Outcome{Class: relay.ClassPushFailed}, "push_failed", 1, true, "push_failed"},
		"handle failed":       {2, fresh, relay.Outcome{Class: relay.ClassHandleFailed}, "handle_failed", 2, true, "handle_failed"},
		"the last attempt":    {3, fresh, relay.Outcome{Class: relay.ClassPushFailed}, "dead", 3, false, "push_failed"},
		"due for too long":    {1, state{due: now.Add(-2 * time.Hour)}, relay.Outcome{Class: relay.ClassPushFailed}, "dead", 1, false, "push_failed"},
		"dead by its answer":  {1, fresh, relay.Outcome{Class: relay.ClassDead}, "dead", 1, false, "handle_failed"},
		"dead unreached":      {1, fresh, relay.Outcome{Class: relay.ClassDead, Push: true}, "dead", 1, false, "push_failed"},
		"unknown counts none": {2, state{attempts: 1, status: "push_failed"}, relay.Outcome{Class: relay.ClassUnknown}, "push_failed", 1, true, ""},
		"parked":              {1, fresh, relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonFull}, "waiting", 0, false, ""},
		"the relay lacked something": {2, state{attempts: 1, status: "push_failed", due: now},
			relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonNoResources, Lack: relay.ResourceDescriptors, RetryAfter: time.Second}, "push_failed", 1, true, ""},
		"parked after a failure": {2, state{attempts: 1, status: "handle_failed"},
			relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen}, "handle_failed", 1, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := testPolicy().change(testDelivery(c.attempt), c.state, c.outcome)
			record := relay.DeliveryStatus("")
			if got.Attempt != nil {
				record = got.Attempt.Outcome
			}
			if got.Status != c.status || got.Attempts != c.attempts || got.NextAttempt >= 0 != c.retries || record != c.record {
				t.Errorf("status %s, %d attempts, next in %s, record %q", got.Status, got.Attempts, got.NextAttempt, record)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	got := testPolicy().change(testDelivery(1), state{due: time.Now()}, relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Minute})
	if got.NextAttempt != time.Minute {
		t.Errorf("next attempt in %s, want the minute the destination asked for", got.NextAttempt)
	}
}

// However long its intervals are, a delivery is looked at again when it is to be given up.
func TestNoIntervalOutlastsGivingUp(t *testing.T) {
	t.Parallel()
	p := testPolicy()
	for name, c := range map[string]struct {
		due         time.Duration // ago
		wait        time.Duration // asked for
		least, most time.Duration
	}{
		"time is left":          {0, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute},
		"it is nearly over":     {59 * time.Minute, 30 * time.Minute, 59 * time.Second, time.Minute + overdueBy},
		"a moment before it is": {time.Hour - time.Millisecond, 30 * time.Minute, 0, time.Millisecond + overdueBy},
	} {
		got := p.change(testDelivery(1), state{due: time.Now().Add(-c.due)}, relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: c.wait})
		if got.Status != relay.DeliveryPushFailed || got.NextAttempt < c.least || got.NextAttempt > c.most {
			t.Errorf("%s: %s, next in %s, want %s to %s", name, got.Status, got.NextAttempt, c.least, c.most)
		}
	}
	p.GiveUpAfter = 0
	got := p.change(testDelivery(1), state{due: time.Now().Add(-time.Hour)}, relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Minute})
	if got.NextAttempt != time.Minute {
		t.Errorf("never given up: next in %s", got.NextAttempt)
	}
}

func TestGivingUpNamesTheVariable(t *testing.T) {
	t.Parallel()
	got := testPolicy().change(testDelivery(1), state{due: time.Now().Add(-2 * time.Hour)}, relay.Outcome{Class: relay.ClassPushFailed, Error: "refused"})
	if !strings.Contains(got.Error, "RELAY_GIVE_UP_AFTER") || !strings.Contains(got.Error, "refused") {
		t.Errorf("error %q", got.Error)
	}
}

// An instance that nobody can mend any more must not make its message dead.
func TestAGivenUpInstanceThatIsGoneIsCancelled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attempt int
		outcome relay.Outcome
		status  relay.DeliveryStatus
	}{
		"gone, with attempts left":  {2, relay.Outcome{Class: relay.ClassPushFailed, Gone: true}, relay.DeliveryPushFailed},
		"gone at the last attempt":  {3, relay.Outcome{Class: relay.ClassPushFailed, Gone: true}, relay.DeliveryCancelled},
		"gone, and its logic fails": {3, relay.Outcome{Class: relay.ClassHandleFailed, Gone: true}, relay.DeliveryCancelled},
		"there at the last attempt": {3, relay.Outcome{Class: relay.ClassPushFailed}, relay.DeliveryDead},
		"a final answer":            {1, relay.Outcome{Class: relay.ClassDead, Gone: true}, relay.DeliveryDead},
	} {
		d := testDelivery(c.attempt)
		d.Subscriber.Name, d.Subscriber.Broadcast, d.Instance = "sub", true, "10.0.0.1:80"
		change := testPolicy().change(d, state{taking: true, due: time.Now()}, c.outcome)
		if change.Status != c.status || change.Circuit != "sub/10.0.0.1:80" {
			t.Errorf("%s: %s on the circuit %s, want %s", name, change.Status, change.Circuit, c.status)
		}
	}
}

// What waits for one path of a host must be woken by that path, and not by the host.
func TestAParkedDeliveryWaitsForTheCircuitThatHoldsIt(t *testing.T) {
	t.Parallel()
	for circuit, want := range map[string]string{"": "http://127.0.0.1:80", "http://127.0.0.1:80/": "http://127.0.0.1:80/"} {
		o := relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen, Circuit: circuit}
		if got := testPolicy().change(testDelivery(1), state{taking: true, due: time.Now()}, o); got.Circuit != want || got.NextAttempt >= 0 {
			t.Errorf("it waits for %q, next in %s, want %q", got.Circuit, got.NextAttempt, want)
		}
	}
}
