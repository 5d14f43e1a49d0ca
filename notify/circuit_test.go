package notify

import (
	"testing"
	"time"

	"relay"
)

func failed() relay.Outcome { return relay.Outcome{Class: relay.ClassPushFailed} }

// end tells an operator's circuit how an attempt ended.
func end(c *circuit, id relay.ID, o relay.Outcome, retry time.Duration, now time.Time) (changed bool) {
	return endShared(c, false, id, o, retry, now)
}

func endShared(c *circuit, shared bool, id relay.ID, o relay.Outcome, retry time.Duration, now time.Time) (changed bool) {
	c.unprobe()
	c.hold(o.RetryAfter, now)
	changed, _ = c.note(both(signsOf(o, shared)), id, retry, now)
	return changed
}

// openCircuit returns a circuit that ten push failures of two messages have opened.
func openCircuit(t *testing.T, now time.Time) *circuit {
	t.Helper()
	c := newCircuit("c")
	first, second := relay.NewID(), relay.NewID()
	for i := range openAfter {
		id := first
		if i%2 == 1 {
			id = second
		}
		if changed := end(c, id, failed(), time.Second, now); changed != (i == openAfter-1) {
			t.Fatalf("failure %d: changed %v", i+1, changed)
		}
	}
	return c
}

func TestTenPushFailuresOfTwoMessagesOpenACircuit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := openCircuit(t, now)
	if c.admits(false, now) || !c.admits(true, now) {
		t.Error("an open circuit admits something new, or not what is due")
	}
	if probe, admitted := c.begin(true, now); !probe || !admitted {
		t.Error("what is due is not the probe")
	}
	if c.admits(true, now) {
		t.Error("two probes at once")
	}
	if changed := end(c, relay.NewID(), relay.Outcome{Class: relay.ClassHandled}, 0, now); !changed || !c.admits(false, now) {
		t.Error("one success does not close it")
	}
}

func TestOneMessageAloneOpensNothing(t *testing.T) {
	t.Parallel()
	c := newCircuit("c")
	id, now := relay.NewID(), time.Now()
	for range 5 * openAfter {
		end(c, id, failed(), time.Second, now)
	}
	if c.now().open {
		t.Error("one bad message opened the circuit of all")
	}
}

func TestHandleFailuresAndUnknownOutcomesOpenNothing(t *testing.T) {
	t.Parallel()
	c := newCircuit("c")
	now := time.Now()
	for range 5 * openAfter {
		end(c, relay.NewID(), relay.Outcome{Class: relay.ClassHandleFailed}, time.Second, now)
		end(c, relay.NewID(), relay.Outcome{Class: relay.ClassUnknown}, time.Second, now)
	}
	for range openAfter - 1 {
		end(c, relay.NewID(), failed(), time.Second, now)
	}
	end(c, relay.NewID(), relay.Outcome{Class: relay.ClassHandleFailed}, time.Second, now)
	end(c, relay.NewID(), failed(), time.Second, now)
	if c.now().open {
		t.Error("failures that were not running opened the circuit")
	}
}

func TestAnAnswerAboutOneQueueDoesNotOpenTheBrokersCircuit(t *testing.T) {
	t.Parallel()
	answer := failed()
	answer.Answered = true
	for _, shared := range []bool{true, false} {
		c := newCircuit("c")
		for range 2 * openAfter {
			endShared(c, shared, relay.NewID(), answer, time.Second, time.Now())
		}
		if c.now().open == shared {
			t.Errorf("shared %v: open %v after many nacks", shared, c.now().open)
		}
	}
}

func TestAnOpenCircuitAsksForAProbeWhenNoRetryComes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := openCircuit(t, now)
	if c.now().wantsProbe(now) {
		t.Error("a probe at once")
	}
	if later := now.Add(time.Second + probeGrace); !c.now().wantsProbe(later) {
		t.Error("no probe after the interval")
	}
}

func TestRetryAfterHoldsTheDestination(t *testing.T) {
	t.Parallel()
	c := newCircuit("c")
	now := time.Now()
	o := failed()
	o.RetryAfter = time.Minute
	end(c, relay.NewID(), o, time.Second, now)
	if c.admits(true, now.Add(59*time.Second)) || !c.admits(false, now.Add(61*time.Second)) {
		t.Error("the destination's own word was not kept")
	}
}

func TestABrokerThatSaysNothingIsAFailureOfTheDestination(t *testing.T) {
	t.Parallel()
	silent := relay.Outcome{Class: relay.ClassUnknown, Silent: true}
	for _, shared := range []bool{true, false} {
		c := newCircuit("c")
		for range openAfter {
			endShared(c, shared, relay.NewID(), silent, time.Second, time.Now())
		}
		if !c.now().open {
			t.Errorf("shared %v: closed after messages that were not confirmed in time", shared)
		}
	}
}

// Forty rows that named a private address closed the way to the operator's own destination.
func TestWhatIsDecidedBeforeAByteIsSentOpensNoCircuit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, o := range map[string]relay.Outcome{
		"refused by a rule":       {Class: relay.ClassPushFailed, Blame: relay.BlameNone},
		"a metadata address":      {Class: relay.ClassDead, Push: true, Blame: relay.BlameNone},
		"no file descriptor":      Lacking(relay.ResourceDescriptors, false, ""),
		"none after a first try":  Lacking(relay.ResourceDescriptors, true, ""),
		"an impossible header":    {Class: relay.ClassRejected},
		"a queue that is full":    parked(relay.ReasonFull),
		"no longer this relay's":  {Class: relay.ClassParked},
		"the relay's own mistake": {Class: relay.ClassPushFailed, Blame: relay.BlameNone},
	} {
		c := newCircuit("c")
		for range openAfter - 1 {
			end(c, relay.NewID(), failed(), time.Second, now)
		}
		for range 4 * openAfter {
			end(c, relay.NewID(), o, time.Second, now)
		}
		if state := c.now(); state.open || state.failures != openAfter-1 {
			t.Errorf("%s: open %v after %d failures", name, state.open, state.failures)
		}
	}
}

func TestWhatAnOutcomeSaysAboutOriginAndTarget(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome        relay.Outcome
		origin, target sign
	}{
		"handled":            {relay.Outcome{Class: relay.ClassHandled}, signWell, signWell},
		"its logic failed":   {relay.Outcome{Class: relay.ClassHandleFailed}, signWell, signWell},
		"503":                {relay.Outcome{Class: relay.ClassPushFailed}, signWell, signFailing},
		"connection refused": {relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameOrigin}, signFailing, signNone},
		"a rule":             {relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameNone}, signNone, signNone},
		"the broker blocks":  {parked(relay.ReasonCircuitOpen), signDown, signNone},
		"no confirm":         {relay.Outcome{Class: relay.ClassUnknown, Silent: true}, signNone, signFailing},
		"410":                {relay.Outcome{Class: relay.ClassDead}, signWell, signWell},
	} {
		if origin, target := signsOf(c.outcome, false); origin != c.origin || target != c.target {
			t.Errorf("%s: origin %d, target %d, want %d and %d", name, origin, target, c.origin, c.target)
		}
	}
}
