package machine

import (
	"slices"
	"time"

	"relay"
)

// Outcomes that cannot be written stay in memory, so that nothing is sent again. A destination with too many of them is
// sent nothing more: each attempt would be one more that a crash repeats.
const (
	// stuckShare is the part of the budget that such outcomes of one destination may fill, and stuckMost that of all.
	stuckShare = 16
	stuckMost  = 2
	// StalledCount of them are too many as well if none of the destination was written for stalledAfter, or none of any
	// for StalledAll.
	StalledCount = 16
	stalledAfter = time.Second
	StalledAll   = 2 * time.Second
	// crowdedOut is how long a message stays in memory that is not sent for that reason.
	crowdedOut = time.Second
	// retryAllEvery keeps apart the times at which those of a destination are tried before their time.
	retryAllEvery = time.Second
)

// stuck are the outcomes that cannot be written because of their rows.
type stuck struct {
	m        *Machine
	n        int
	troubled []*destination // with such outcomes
	wroteAt  time.Duration  // when any outcome was written last
	// blocked are the destinations that are sent nothing, changes counts how often that has changed.
	blocked map[string]bool
	changes int
}

// stick notes that an entry's outcome could not be written, because of its row.
func (s *stuck) stick(e *entry) {
	if e.stuck != nil {
		return
	}
	d := s.m.destinations.of(e.write.command.Changes[0].Destination)
	if len(d.stuck) == 0 {
		d.stalled = s.m.now
		s.troubled = append(s.troubled, d)
		s.m.timers.add(timer{at: s.m.now + stalledAfter}) // then it is decided anew
	}
	e.stuck, d.stuck = d, append(d.stuck, e)
	s.n++
	s.judge(d)
}

// unstick notes that an entry's outcome is written, or is not to be written any more.
func (s *stuck) unstick(e *entry, written bool) {
	d := e.stuck
	if d == nil {
		return
	}
	e.stuck = nil
	if i := slices.Index(d.stuck, e); i >= 0 {
		d.stuck = slices.Delete(d.stuck, i, i+1)
	}
	if s.n--; len(d.stuck) == 0 {
		s.troubled = slices.DeleteFunc(s.troubled, func(other *destination) bool { return other == d })
	}
	if written {
		s.retryAll(d)
	}
	s.judge(d)
	s.m.destinations.forgetIfEmpty(d)
}

// wrote notes that the outcome of an entry was written.
func (s *stuck) wrote(e *entry) {
	s.unstick(e, true)
	s.wroteAt = s.m.now
	if d := s.m.destinations.byName[e.write.command.Changes[0].Destination]; d != nil && len(d.stuck) > 0 {
		d.stalled = s.m.now
		s.judge(d)
	}
}

// pass decides anew which destinations are sent nothing, as time passes.
func (s *stuck) pass() {
	for _, d := range s.troubled {
		s.judge(d)
	}
}

// retryAll has the outcomes of a destination tried at once since one of them could be written: what stood in their way
// may be gone.
func (s *stuck) retryAll(d *destination) {
	if s.m.now-d.retriedAll < retryAllEvery && d.retriedAll > 0 {
		return
	}
	d.retriedAll = s.m.now
	for _, e := range d.stuck {
		e.retryBy(s.m.now)
	}
}

// judge decides whether a destination is sent nothing for the time being.
func (s *stuck) judge(d *destination) {
	n := len(d.stuck)
	blocked := n > 0 && (n >= max(StalledCount, s.m.config.Entries/stuckShare) || s.n >= max(1, s.m.config.Entries/stuckMost) ||
		n >= StalledCount && (s.m.now-d.stalled >= stalledAfter || s.m.now-s.wroteAt >= StalledAll))
	if blocked == s.blocked[d.name] {
		return
	}
	if s.changes++; blocked {
		s.blocked[d.name] = true
	} else {
		delete(s.blocked, d.name)
	}
}

// Blocked returns the destinations that are sent nothing at present, since their outcomes cannot be written, and how
// often that has changed. The map is the machine's.
func (m *Machine) Blocked() (names map[string]bool, changes int) {
	return m.stuck.blocked, m.stuck.changes
}

// Stuck reports the shards with an outcome that cannot be written because of its row.
func (m *Machine) Stuck() (shards [relay.Shards]bool) {
	for _, d := range m.stuck.troubled {
		for _, e := range d.stuck {
			shards[e.shard] = true
		}
	}
	return shards
}
