package notify

import (
	"testing"
	"time"

	"relay"
)

func failed() relay.Outcome { return relay.Outcome{Class: relay.ClassPushFailed} }

// openCircuit returns a circuit that ten push failures of two messages have opened.
func openCircuit(t *testing.T, now time.Time) *circuit {
	t.Helper()
	var c circuit
	first, second := relay.NewID(), relay.NewID()
	for i := range openAfter {
		id := first
		if i%2 == 1 {
			id = second
		}
		if changed := c.end(id, failed(), time.Second, now); changed != (i == openAfter-1) {
			t.Fatalf("failure %d: changed %v", i+1, changed)
		}
	}
	return &c
}

func TestTenPushFailuresOfTwoMessagesOpenACircuit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := openCircuit(t, now)
	if c.admits(false, now) || !c.admits(true, now) {
		t.Error("an open circuit admits something new, or not what is due")
	}
	c.begin()
	if c.admits(true, now) {
		t.Error("two probes at once")
	}
	if changed := c.end(relay.NewID(), relay.Outcome{Class: relay.ClassHandled}, 0, now); !changed || !c.admits(false, now) {
		t.Error("one success does not close it")
	}
}

func TestOneMessageAloneOpensNothing(t *testing.T) {
	t.Parallel()
	var c circuit
	id, now := relay.NewID(), time.Now()
	for range 5 * openAfter {
		c.end(id, failed(), time.Second, now)
	}
	if c.open {
		t.Error("one bad message opened the circuit of all")
	}
}

func TestHandleFailuresAndUnknownOutcomesOpenNothing(t *testing.T) {
	t.Parallel()
	var c circuit
	now := time.Now()
	for range 5 * openAfter {
		c.end(relay.NewID(), relay.Outcome{Class: relay.ClassHandleFailed}, time.Second, now)
		c.end(relay.NewID(), relay.Outcome{Class: relay.ClassUnknown}, time.Second, now)
	}
	for range openAfter - 1 {
		c.end(relay.NewID(), failed(), time.Second, now)
	}
	c.end(relay.NewID(), relay.Outcome{Class: relay.ClassHandleFailed}, time.Second, now)
	c.end(relay.NewID(), failed(), time.Second, now)
	if c.open {
		t.Error("failures that were not running opened the circuit")
	}
}

func TestAnAnswerAboutOneQueueDoesNotOpenTheBrokersCircuit(t *testing.T) {
	t.Parallel()
	answer := failed()
	answer.Answered = true
	for _, shared := range []bool{true, false} {
		c := circuit{shared: shared}
		for range 2 * openAfter {
			c.end(relay.NewID(), answer, time.Second, time.Now())
		}
		if c.open == shared {
			t.Errorf("shared %v: open %v after many nacks", shared, c.open)
		}
	}
}

func TestAnOpenCircuitAsksForAProbeWhenNoRetryComes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := openCircuit(t, now)
	if c.wantsProbe(now) {
		t.Error("a probe at once")
	}
	if later := now.Add(time.Second + probeGrace); !c.wantsProbe(later) {
		t.Error("no probe after the interval")
	}
}

func TestRetryAfterHoldsTheDestination(t *testing.T) {
	t.Parallel()
	var c circuit
	now := time.Now()
	o := failed()
	o.RetryAfter = time.Minute
	c.end(relay.NewID(), o, time.Second, now)
	if c.admits(true, now.Add(59*time.Second)) || !c.admits(false, now.Add(61*time.Second)) {
		t.Error("the destination's own word was not kept")
	}
}

func TestABrokerThatSaysNothingIsAFailureOfTheDestination(t *testing.T) {
	t.Parallel()
	silent := relay.Outcome{Class: relay.ClassUnknown, Silent: true}
	for _, shared := range []bool{true, false} {
		c := circuit{shared: shared}
		for range openAfter {
			c.end(relay.NewID(), silent, time.Second, time.Now())
		}
		if !c.open {
			t.Errorf("shared %v: closed after messages that were not confirmed in time", shared)
		}
	}
}
