package notify

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxTargets bounds the circuits that are remembered of rows' own HTTP targets.
const maxTargets = 4096

// gates are the circuits that an attempt has to pass. For what an operator configured there
// is one. For a row's own target there are two: that of its origin, for which failures to
// connect count, and that of the target itself, for which answers count.
type gates struct {
	origin *circuit
	target *circuit // nil: there is none, or no failure of it is known
}

// closed returns the first circuit that does not admit an attempt. Nil means that all admit it.
func (g gates) closed(due bool, now time.Time) *circuit {
	for _, c := range []*circuit{g.origin, g.target} {
		if c != nil && !c.admits(due, now) {
			return c
		}
	}
	return nil
}

// begin starts an attempt. It returns the circuits that this attempt probes, or the circuit that
// does not admit it.
func (g gates) begin(due bool, now time.Time) (probes gates, closed *circuit) {
	probe, admitted := g.origin.begin(due, now)
	if !admitted {
		return gates{}, g.origin
	}
	if probe {
		probes.origin = g.origin
	}
	if g.target == nil {
		return probes, nil
	}
	if probe, admitted = g.target.begin(due, now); !admitted {
		probes.unprobe()
		return gates{}, g.target
	}
	if probe {
		probes.target = g.target
	}
	return probes, nil
}

// unprobe says that the probe has ended.
func (g gates) unprobe() {
	if g.origin != nil {
		g.origin.unprobe()
	}
	if g.target != nil {
		g.target.unprobe()
	}
}

// room bounds how many more deliveries the circuits take: none, one for a probe, or as many
// as there is room for.
func (g gates) room(room int, now time.Time) int {
	for _, c := range []*circuit{g.origin, g.target} {
		if c == nil {
			continue
		}
		switch state := c.now(); {
		case state.wantsProbe(now):
			room = 1
		case !state.admits(false, now):
			return 0
		}
	}
	return room
}

// targets remembers the circuits of rows' own HTTP targets. One that answers as it should
// is not remembered, so that any number of them costs nothing.
type targets struct {
	some atomic.Bool // one is known; saves the lock as a rule

	mu    sync.Mutex
	known *recent[*circuit]
}

func newTargets() *targets { return &targets{known: newRecent[*circuit]()} }

// find returns the circuit of a target, or nil if no failure of it is known.
func (t *targets) find(name string) *circuit {
	if !t.some.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, _ := t.known.find(name)
	return c
}

// failing returns the circuit of a target that has failed. When there are too many it forgets
// another one, and reports whether that was open.
func (t *targets) failing(name string, now time.Time) (c *circuit, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, found := t.known.use(name); found {
		return c, false
	}
	if t.known.len() >= maxTargets {
		closed = t.evict(now)
	}
	c = newCircuit(name)
	t.known.add(name, c)
	t.some.Store(true)
	return c, closed
}

// evict forgets the circuit that failed longest ago, if possible one that holds no state that
// matters, and reports whether it was open. The caller holds the mutex.
func (t *targets) evict(now time.Time) (wasOpen bool) {
	var oldest *circuit
	looked := 0
	for _, c := range t.known.oldest {
		if oldest == nil {
			oldest = c
		}
		if !c.now().matters(now) {
			oldest = c
			break
		}
		if looked++; looked == evictLook {
			break
		}
	}
	t.known.remove(oldest.name)
	return oldest.retire()
}

// forget drops the circuit of a target that answers as it should, unless it is held.
func (t *targets) forget(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, found := t.known.find(name); found && !c.now().matters(now) {
		t.known.remove(name)
		t.some.Store(t.known.len() > 0)
	}
}

// expire drops the circuits of targets that nothing was sent to for long, and returns how
// many of them were open.
func (t *targets) expire(now time.Time) (open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, c := range t.known.oldest {
		if !c.now().forgettable(now) {
			continue
		}
		t.known.remove(name)
		if c.retire() {
			open++
		}
	}
	t.some.Store(t.known.len() > 0)
	return open
}

// open lists the circuits that are open.
func (t *targets) open() (all []*circuit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.known.oldest {
		if c.now().open {
			all = append(all, c)
		}
	}
	return all
}
