package machine

import (
	"slices"
	"time"
)

// Outcomes that cannot be written stay in memory, so that nothing is sent again. A destination with too many of them is
// sent nothing more: each attempt would be one more that a crash repeats.
const (
	// stuckShare is the part of the budget that such outcomes of one destination may fill, and stuckMost that of all.
	stuckShare = 16
	stuckMost  = 2
	// stalledCount of them are too many as well if none of the destination was written for stalledAfter, or none of any
	// for stalledAll.
	stalledCount = 16
	stalledAfter = time.Second
	stalledAll   = 2 * time.Second
	// crowdedOut is how long a message stays in memory that is not sent for that reason.
	crowdedOut = time.Second
	// hurryEvery keeps apart the times at which those of a destination are tried before their time.
	hurryEvery = time.Second
)

// stick notes that an entry's outcome could not be written, because of its row.
func (m *Machine) stick(e *entry) {
	if e.stuck != nil {
		return
	}
	d := m.destinations.of(e.write.command.Changes[0].Destination)
	if len(d.stuck) == 0 {
		d.stalled = m.now
		m.troubled = append(m.troubled, d)
		m.timers.wakeUp(m.now + stalledAfter)
	}
	e.stuck, d.stuck = d, append(d.stuck, e)
	m.stuck++
	m.judge(d)
}

// unstick notes that an entry's outcome is written, or is not to be written any more.
func (m *Machine) unstick(e *entry, written bool) {
	d := e.stuck
	if d == nil {
		return
	}
	e.stuck = nil
	if i := slices.Index(d.stuck, e); i >= 0 {
		d.stuck = slices.Delete(d.stuck, i, i+1)
	}
	if m.stuck--; len(d.stuck) == 0 {
		m.troubled = slices.DeleteFunc(m.troubled, func(other *destination) bool { return other == d })
	}
	if written {
		m.hurry(d)
	}
	m.judge(d)
	m.destinations.forget(d)
}

// wrote notes that an outcome of a destination was written.
func (m *Machine) wrote(name string) {
	m.wroteAt = m.now
	if d := m.destinations.byName[name]; d != nil && len(d.stuck) > 0 {
		d.stalled = m.now
		m.judge(d)
	}
}

// hurry has the outcomes of a destination tried at once since one of them could be written: what stood in their way may be
// gone.
func (m *Machine) hurry(d *destination) {
	if m.now-d.hurried < hurryEvery && d.hurried > 0 {
		return
	}
	d.hurried = m.now
	for _, e := range d.stuck {
		e.hurry(m.now)
	}
}

// judge decides whether a destination is sent nothing for the time being.
func (m *Machine) judge(d *destination) {
	n := len(d.stuck)
	blocked := n > 0 && (n >= max(stalledCount, m.config.Entries/stuckShare) || m.stuck >= max(1, m.config.Entries/stuckMost) ||
		n >= stalledCount && (m.now-d.stalled >= stalledAfter || m.now-m.wroteAt >= stalledAll))
	if blocked == d.blocked {
		return
	}
	if d.blocked = blocked; blocked {
		m.blocked[d.name] = true
	} else {
		delete(m.blocked, d.name)
	}
	m.blockedChanges++
}

// Blocked returns the destinations that are sent nothing at present, since their outcomes cannot be written, and how
// often that has changed. The map is the machine's.
func (m *Machine) Blocked() (names map[string]bool, changes int) { return m.blocked, m.blockedChanges }

// Stuck reports the shards with an outcome that cannot be written because of its row.
func (m *Machine) Stuck() (shards [64]bool) {
	for _, d := range m.destinations.byName {
		for _, e := range d.stuck {
			if e.shard >= 0 {
				shards[e.shard] = true
			}
		}
	}
	return shards
}
