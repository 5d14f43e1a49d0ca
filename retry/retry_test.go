package retry

import (
	"strings"
	"testing"
	"time"

	"relay"
)

func testDelivery(attempt int) *relay.Delivery {
	target, _ := relay.ParseTarget("http://127.0.0.1/")
	return &relay.Delivery{
		Message: &relay.Message{ID: relay.NewID()}, Attempt: attempt,
		Subscriber: &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target},
	}
}

// half spreads no interval.
func half() float64 { return 0.5 }

func testPolicy() Policy {
	return Policy{Backoff: []time.Duration{time.Second, 10 * time.Second}, MaxAttempts: 3, GiveUpAfter: time.Hour}
}

func TestIntervalsGrowTheLastRepeatsAndJitterStaysWithinATenth(t *testing.T) {
	t.Parallel()
	p, d := testPolicy(), testDelivery(1)
	p.MaxAttempts = 10
	for attempt, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 10 * time.Second, 9: 10 * time.Second} {
		d.Attempt = attempt
		for spread, factor := range map[float64]time.Duration{0: 9, 0.5: 10, 1: 11} {
			got := p.Change(d, Past{}, relay.Outcome{Class: relay.ClassPushFailed}, func() float64 { return spread }).Next
			if off := got - want*factor/10; off < -time.Microsecond || off > time.Microsecond {
				t.Errorf("after %d attempts, spread by %v: %s, want %s", attempt, spread, got, want*factor/10)
			}
		}
	}
}

func TestOutcomesBecomeChanges(t *testing.T) {
	t.Parallel()
	var fresh Past
	after := func(status relay.DeliveryStatus) Past {
		return Past{Open: Open{Status: status, Attempts: 1}}
	}
	for name, c := range map[string]struct {
		attempt  int
		past     Past
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
		"due for too long":    {1, Past{Waited: 2 * time.Hour}, relay.Outcome{Class: relay.ClassPushFailed}, "dead", 1, false, "push_failed"},
		"dead by its answer":  {1, fresh, relay.Outcome{Class: relay.ClassDead}, "dead", 1, false, "handle_failed"},
		"dead unreached":      {1, fresh, relay.Outcome{Class: relay.ClassDead, Push: true}, "dead", 1, false, "push_failed"},
		"unknown counts none": {2, after("push_failed"), relay.Outcome{Class: relay.ClassUnknown}, "push_failed", 1, true, ""},
		"parked":              {1, fresh, relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonFull}, "waiting", 0, false, ""},
		"the relay lacked something": {2, after("push_failed"),
			relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonNoResources, Lack: relay.ResourceDescriptors, RetryAfter: time.Second}, "push_failed", 1, true, ""},
		"parked after a failure": {2, after("handle_failed"),
			relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen}, "handle_failed", 1, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := testPolicy().Change(testDelivery(c.attempt), c.past, c.outcome, half)
			record := relay.DeliveryStatus("")
			if got.Attempt != nil {
				record = got.Attempt.Outcome
			}
			if got.Status != c.status || got.Attempts != c.attempts || got.Next >= 0 != c.retries || record != c.record {
				t.Errorf("status %s, %d attempts, next in %s, record %q", got.Status, got.Attempts, got.Next, record)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	got := testPolicy().Change(testDelivery(1), Past{}, relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Minute}, half)
	if got.Next != time.Minute {
		t.Errorf("next attempt in %s, want the minute the destination asked for", got.Next)
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
		got := p.Change(testDelivery(1), Past{Waited: c.due}, relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: c.wait}, half)
		if got.Status != relay.DeliveryPushFailed || got.Next < c.least || got.Next > c.most {
			t.Errorf("%s: %s, next in %s, want %s to %s", name, got.Status, got.Next, c.least, c.most)
		}
	}
	p.GiveUpAfter = 0
	got := p.Change(testDelivery(1), Past{Waited: time.Hour}, relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Minute}, half)
	if got.Next != time.Minute {
		t.Errorf("never given up: next in %s", got.Next)
	}
}

func TestGivingUpNamesTheVariable(t *testing.T) {
	t.Parallel()
	got := testPolicy().Change(testDelivery(1), Past{Waited: 2 * time.Hour}, relay.Outcome{Class: relay.ClassPushFailed, Error: "refused"}, half)
	if !strings.Contains(got.Error, "RELAY_GIVE_UP_AFTER") || !strings.Contains(got.Error, "refused") {
		t.Errorf("error %q", got.Error)
	}
}

// An instance that cannot be mended any more must not make its message dead.
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
		change := testPolicy().Change(d, Past{}, c.outcome, half)
		if change.Status != c.status || change.Destination != "sub/10.0.0.1:80" {
			t.Errorf("%s: %s on the circuit %s, want %s", name, change.Status, change.Destination, c.status)
		}
	}
}

// What waits for one path of a host must be woken by that path, and not by the host.
func TestAParkedDeliveryWaitsForTheCircuitThatHoldsIt(t *testing.T) {
	t.Parallel()
	for circuit, want := range map[string]string{"": "http://127.0.0.1:80", "http://127.0.0.1:80/": "http://127.0.0.1:80/"} {
		o := relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen, Circuit: circuit}
		if got := testPolicy().Change(testDelivery(1), Past{}, o, half); got.Destination != want || got.Next >= 0 {
			t.Errorf("it waits for %q, next in %s, want %q", got.Destination, got.Next, want)
		}
	}
}

func TestAWordBecomesAChange(t *testing.T) {
	t.Parallel()
	p := testPolicy()
	for name, c := range map[string]struct {
		attempt, handleAttempts, most int
		ack                           relay.Ack
		counted                       bool
		status                        relay.DeliveryStatus
		again                         bool
	}{
		"handled":                   {1, 0, 0, relay.Ack{Handled: true}, false, relay.DeliveryHandled, false},
		"failed":                    {1, 0, 0, relay.Ack{Retry: true}, false, relay.DeliveryHandleFailed, true},
		"failed for good":           {1, 0, 0, relay.Ack{}, false, relay.DeliveryDead, false},
		"failed at the last":        {3, 0, 0, relay.Ack{Retry: true}, false, relay.DeliveryDead, false},
		"failed once too often":     {2, 1, 2, relay.Ack{Retry: true}, false, relay.DeliveryDead, false},
		"failed, as it answered":    {1, 1, 2, relay.Ack{Retry: true}, true, relay.DeliveryHandleFailed, true},
		"for good, and it answered": {1, 1, 2, relay.Ack{}, true, relay.DeliveryDead, false},
	} {
		d := testDelivery(c.attempt)
		d.Subscriber.MaxHandleAttempts = c.most
		past := Past{Open: Open{Status: relay.DeliveryAwaitingAck, Attempts: c.attempt, HandleAttempts: c.handleAttempts}}
		got := p.Acknowledged(d, past, Word{Attempt: c.attempt, Ack: c.ack, Counted: c.counted}, half)
		if got.Status != c.status || got.Next >= 0 != c.again || got.Attempts != c.attempt || !got.Acknowledges || got.AckAttempt != c.attempt {
			t.Errorf("%s: %+v", name, got)
		}
		if failed := !c.ack.Handled; (failed && !c.counted) != (got.HandleAttempts == c.handleAttempts+1) || failed != (got.Attempt != nil) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What was accepted waits for its word, and after that for another attempt, never parked
// where no reader looks for it.
func TestAcceptedDeliveriesGoAgain(t *testing.T) {
	t.Parallel()
	p, d := testPolicy(), testDelivery(1)
	d.Subscriber.AckByConsumer, d.Subscriber.AckTimeout = true, time.Minute
	c := p.Change(d, Past{}, relay.Outcome{Class: relay.ClassAwaitingAck}, half)
	if c.Status != relay.DeliveryAwaitingAck || c.Next != time.Minute || !c.Acknowledges {
		t.Errorf("accepted: %+v", c)
	}
	past := Past{Open: Open{Status: relay.DeliveryAwaitingAck, Attempts: 1, Accepted: true}}
	c = p.Change(d, past, relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonPaused}, half)
	if c.Status != relay.DeliveryWaiting || c.Reason != relay.ReasonPaused {
		t.Errorf("paused when it is to go again: %+v", c)
	}
	if text := silent(d.Subscriber, 3); !strings.Contains(text, "ack_timeout") || !strings.Contains(text, "1m0s") {
		t.Errorf("error %q", text)
	}
}

func TestADeliveryEndsWithoutAnotherAttempt(t *testing.T) {
	t.Parallel()
	p, d := testPolicy(), testDelivery(3)
	d.Subscriber.AckTimeout = time.Minute
	silent := Past{Open: Open{Status: relay.DeliveryAwaitingAck, Attempts: 3, Accepted: true}}
	late := Past{Open: Open{Status: relay.DeliveryPushFailed, Attempts: 1}, Waited: 2 * time.Hour}
	for _, c := range []struct {
		past   Past
		gone   bool
		most   int // of the subscriber itself
		over   bool
		status relay.DeliveryStatus
		cause  relay.Cause
		words  string
	}{
		{past: silent, over: true, status: relay.DeliveryDead, cause: relay.CauseNoAck, words: "within 1m0s (ack_timeout) of attempt 3"},
		{past: silent, most: 4},
		{past: late, over: true, status: relay.DeliveryDead, cause: relay.CauseGaveUp, words: "RELAY_GIVE_UP_AFTER"},
		{past: late, gone: true, over: true, status: relay.DeliveryCancelled, words: "does not resolve to this instance any more"},
		{past: Past{Open: late.Open}},
	} {
		d.Subscriber.MaxAttempts = c.most
		change, over := p.Over(d, c.past, c.gone)
		if over != c.over {
			t.Errorf("%+v: over %t", c, over)
		}
		if over && (change.Status != c.status || c.cause != "" && change.Cause != c.cause || !strings.Contains(change.Error, c.words)) {
			t.Errorf("%+v: %+v", c, change)
		}
	}
}

func TestASubscriberMayHaveIntervalsOfItsOwn(t *testing.T) {
	t.Parallel()
	s := &relay.Subscriber{Backoff: []time.Duration{time.Minute}}
	if got := testPolicy().Interval(s, 7, half); got != time.Minute {
		t.Errorf("%s", got)
	}
}
