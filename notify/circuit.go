package notify

import (
	"time"

	"relay"
)

const (
	// openAfter is how many push failures running open a circuit.
	openAfter = 10
	// probeGrace is how long a due retry may take to arrive before something else is asked
	// for as the probe.
	probeGrace = time.Second
)

// circuit is the health of one destination (a circuit breaker as in Nygard, "Release It!",
// 2007, whose half-open state is here one message at a time). It is guarded by its lane's
// mutex and told the time, so that it needs no clock of its own.
type circuit struct {
	// shared says that several routing keys of an exchange share it: the broker's answer about
	// one of them says nothing about the others.
	shared   bool
	failures int
	first    relay.ID // the message that failed first of those running
	several  bool     // another one failed since
	open     bool
	probing  bool
	probeAt  time.Time // when open: from when something else may be the probe
	// heldUntil is the destination's own word (Retry-After): nothing goes out before.
	heldUntil time.Time
}

// admits reports whether an attempt may start now. What is due may be the probe of an open
// circuit; what is new may not.
func (c *circuit) admits(due bool, now time.Time) bool {
	if now.Before(c.heldUntil) {
		return false
	}
	return !c.open || due && !c.probing
}

// wantsProbe reports whether the circuit is open and no retry has come to probe it.
func (c *circuit) wantsProbe(now time.Time) bool {
	return c.open && !c.probing && !now.Before(c.probeAt) && !now.Before(c.heldUntil)
}

// begin notes that an attempt starts.
func (c *circuit) begin() { c.probing = c.open }

// end notes how the attempt for a message ended and reports whether the state changed
// between open and closed. retry is when that message itself goes again.
func (c *circuit) end(id relay.ID, o relay.Outcome, retry time.Duration, now time.Time) (changed bool) {
	c.probing = false
	if o.RetryAfter > 0 {
		c.heldUntil = now.Add(o.RetryAfter)
	}
	switch {
	case o.Class == relay.ClassPushFailed && o.Answered && c.shared:
		return c.close()
	case o.Class == relay.ClassPushFailed, o.Class == relay.ClassDead && o.Push, o.Silent:
		return c.fail(id, retry, now)
	case o.Class == relay.ClassParked && o.Reason == relay.ReasonCircuitOpen:
		// The destination knows that it cannot take anything (a broker that blocks).
		changed = !c.open
		c.open, c.probeAt = true, now.Add(probeGrace)
		return changed
	case o.Class == relay.ClassUnknown, o.Class == relay.ClassParked, o.Class == relay.ClassRejected:
		return false
	}
	return c.close()
}

func (c *circuit) fail(id relay.ID, retry time.Duration, now time.Time) (changed bool) {
	if c.failures == 0 {
		c.first, c.several = id, false
	}
	c.failures++
	c.several = c.several || id != c.first
	if c.open {
		c.probeAt = now.Add(retry + probeGrace)
		return false
	}
	if c.failures < openAfter || !c.several {
		return false
	}
	c.open, c.probeAt = true, now.Add(retry+probeGrace)
	return true
}

func (c *circuit) close() (changed bool) {
	changed = c.open
	*c = circuit{shared: c.shared, heldUntil: c.heldUntil}
	return changed
}
