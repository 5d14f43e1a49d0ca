package notify

import (
	"sync"
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
// 2007, whose half-open state is here one message at a time). It is told the time, so that
// it needs no clock of its own. The lanes of a broker share one, hence its own lock.
type circuit struct {
	name string // as relay.delivery.circuit has it

	mu    sync.Mutex
	state circuitState
}

type circuitState struct {
	failures int
	first    relay.ID // the message that failed first of those running
	several  bool     // another one failed since
	open     bool
	since    time.Time // when open: when it opened
	why      string    // when open: the error that opened it
	probing  bool
	probeAt  time.Time // when open: from when something else may be the probe
	used     time.Time // when it last failed or was held
	// heldUntil is the destination's own word (Retry-After): nothing goes out before.
	heldUntil time.Time
	// lacks is how many attempts running the relay could not make for want of a resource of
	// its own, which lack names. From openAfter on one at a time is made, not before lackUntil.
	lacks     int
	lack      relay.Resource
	lackUntil time.Time
}

func newCircuit(name string) *circuit { return &circuit{name: name} }

// now returns the present state.
func (c *circuit) now() circuitState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// lacking reports whether attempts wait for what the relay itself lacks. That is no failure
// of the destination, and the circuit is not open.
func (s circuitState) lacking() bool { return s.lacks >= openAfter }

// admits reports whether an attempt may start now. What is due may be the probe of an open
// circuit; what is new may not.
func (s circuitState) admits(due bool, now time.Time) bool {
	if now.Before(s.heldUntil) || now.Before(s.lackUntil) {
		return false
	}
	return !s.open && !s.lacking() || due && !s.probing
}

// wantsProbe reports whether the circuit is to be probed, and no retry has come to do so.
func (s circuitState) wantsProbe(now time.Time) bool {
	if s.probing || now.Before(s.heldUntil) || now.Before(s.lackUntil) {
		return false
	}
	return s.lacking() || s.open && !now.Before(s.probeAt)
}

// matters reports whether something is known that would be lost if it were forgotten.
func (s circuitState) matters(now time.Time) bool {
	return s.open || s.lacking() || now.Before(s.heldUntil)
}

// forgettable reports whether what is known does not matter any more, nothing having gone to
// the destination for long. A circuit that is open is probed at probeAt at the latest if
// anything waits for it in the table.
func (s circuitState) forgettable(now time.Time) bool {
	known := s.used
	if s.open && s.probeAt.After(known) {
		known = s.probeAt
	}
	return !now.Before(s.heldUntil) && now.Sub(known) > forgetAfter
}

// admits reports whether an attempt may start now.
func (c *circuit) admits(due bool, now time.Time) bool { return c.now().admits(due, now) }

// begin has an attempt start if the circuit admits it, and says whether it is the probe.
func (c *circuit) begin(due bool, now time.Time) (probe, admitted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.admits(due, now) {
		return false, false
	}
	c.state.probing = c.state.open || c.state.lacking()
	return c.state.probing, true
}

// unprobe says that the probe has ended, or has not started.
func (c *circuit) unprobe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.probing = false
}

// sign is what the end of an attempt says about a circuit.
type sign int

const (
	signNone    sign = iota // nothing
	signWell                // it can be reached, or answers as it should
	signFailing             // it cannot, or does not
	signDown                // the destination knows that it takes nothing now
)

// signsOf reads an outcome: what it says about the origin of a target and about the target
// itself. shared says that the target is an exchange to which several routing keys lead: the
// broker's answer about one of them says nothing about the others.
func signsOf(o relay.Outcome, shared bool) (origin, target sign) {
	switch o.Class {
	case relay.ClassParked:
		if o.Reason == relay.ReasonCircuitOpen { // such as a broker that blocks
			return signDown, signNone
		}
		return signNone, signNone
	case relay.ClassRejected:
		return signNone, signNone
	case relay.ClassUnknown:
		if o.Silent {
			return signNone, signFailing
		}
		return signNone, signNone
	case relay.ClassDead:
		if !o.Push {
			return signWell, signWell
		}
	case relay.ClassPushFailed:
	default:
		return signWell, signWell
	}
	if o.Answered && shared {
		return signWell, signWell
	}
	switch o.Blame {
	case relay.BlameNone:
		return signNone, signNone
	case relay.BlameOrigin:
		return signFailing, signNone
	}
	return signWell, signFailing
}

// both is what two signs say about a circuit that stands for origin and target in one.
func both(origin, target sign) sign {
	if origin == signFailing || origin == signDown {
		return origin
	}
	return target
}

// note takes the sign of an attempt for a message and reports whether the state changed
// between open and closed, and whether more goes out from now on. retry is when that message
// itself goes again.
func (c *circuit) note(s sign, id relay.ID, retry time.Duration, now time.Time) (changed, freed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lacking := c.state.lacking()
	changed = c.take(s, id, retry, now)
	return changed, !c.state.open && (changed || lacking && !c.state.lacking())
}

// take is note. The caller holds the mutex.
func (c *circuit) take(s sign, id relay.ID, retry time.Duration, now time.Time) (changed bool) {
	switch s {
	case signWell:
		return c.close()
	case signFailing:
		return c.fail(id, retry, now)
	case signDown:
		changed = !c.state.open
		c.state.open, c.state.probeAt, c.state.used = true, now.Add(probeGrace), now
	}
	return changed
}

// explain notes the error that has opened the circuit.
func (c *circuit) explain(why string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.open {
		c.state.why, c.state.since = why, now
	}
}

// hold keeps everything back for a time. Zero holds nothing back.
func (c *circuit) hold(d time.Duration, now time.Time) {
	if d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.heldUntil, c.state.used = now.Add(d), now
}

// lacks notes an attempt that the relay could not make for want of a resource of its own, and
// that is to be made again after a pause.
func (c *circuit) lacks(lack relay.Resource, pause time.Duration, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.state
	s.lacks, s.lack, s.used = s.lacks+1, lack, now
	if s.lacking() {
		s.lackUntil = now.Add(pause)
	}
}

// up closes the circuit and reports whether it was open.
func (c *circuit) up() (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.close()
}

// retire closes a circuit that is not remembered any more, and reports whether it was open.
func (c *circuit) retire() (wasOpen bool) { return c.up() }

// fail counts a failure. The caller holds the mutex.
func (c *circuit) fail(id relay.ID, retry time.Duration, now time.Time) (changed bool) {
	s := &c.state
	s.used, s.lacks, s.lackUntil = now, 0, time.Time{}
	if s.failures == 0 {
		s.first, s.several = id, false
	}
	s.failures++
	s.several = s.several || id != s.first
	if s.open {
		s.probeAt = now.Add(retry + probeGrace)
		return false
	}
	if s.failures < openAfter || !s.several {
		return false
	}
	s.open, s.probeAt = true, now.Add(retry+probeGrace)
	return true
}

// close forgets the failures. The caller holds the mutex.
func (c *circuit) close() (changed bool) {
	changed = c.state.open
	c.state = circuitState{heldUntil: c.state.heldUntil}
	return changed
}
