package machine

import (
	"slices"
	"time"

	"relay"
)

// Outcomes that cannot be written stay in memory, so that nothing is sent again. A destination with too many of them is
// sent nothing more: each attempt would be one more that a crash repeats.
const (
	// unwritableShare is the part of the budget that such outcomes of one destination may fill, and unwritableMost that
	// of all.
	unwritableShare = 16
	unwritableMost  = 2
	// StalledCount of them are too many as well if none of the destination was written for stalledAfter, or none of any
	// for StalledAll.
	StalledCount = 16
	stalledAfter = time.Second
	StalledAll   = 2 * time.Second
	// blockedRetry is how long a message stays in memory that is not sent for that reason.
	blockedRetry = time.Second
	// retryAllEvery keeps apart the times at which those of a destination are tried before their time.
	retryAllEvery = time.Second
)

// unwritable are the outcomes that cannot be written because of their rows.
type unwritable struct {
	m        *Machine
	n        int
	troubled []*destination // with such outcomes
	wroteAt  time.Duration  // when any outcome was written last
	// blocked are the destinations that are sent nothing, changes counts how often that has changed.
	blocked map[string]bool
	changes int
}

// add notes that an entry's outcome could not be written, because of its row.
func (s *unwritable) add(e *entry) {
	if e.unwritable != nil {
		return
	}
	d := s.m.destinations.of(e.write.command.Changes[0].Destination)
	if len(d.unwritable) == 0 {
		d.stalled = s.m.now
		s.troubled = append(s.troubled, d)
		s.m.timers.add(timer{at: s.m.now + stalledAfter}) // then it is decided anew
	}
	e.unwritable, d.unwritable = d, append(d.unwritable, e)
	s.n++
	s.update(d)
}

// remove notes that an entry's outcome is written, or is not to be written any more.
func (s *unwritable) remove(e *entry) {
	d := e.unwritable
	if d == nil {
		return
	}
	e.unwritable = nil
	if i := slices.Index(d.unwritable, e); i >= 0 {
		d.unwritable = slices.Delete(d.unwritable, i, i+1)
	}
	if s.n--; len(d.unwritable) == 0 {
		s.troubled = slices.DeleteFunc(s.troubled, func(other *destination) bool { return other == d })
	}
	s.update(d)
	s.m.destinations.forgetIfEmpty(d)
}

// onWritten notes that the outcome of an entry was written.
func (s *unwritable) onWritten(e *entry) {
	s.wroteAt = s.m.now
	if d := e.unwritable; d != nil {
		s.remove(e)
		s.retryAll(d)
	}
	if d := s.m.destinations.byName[e.write.command.Changes[0].Destination]; d != nil && len(d.unwritable) > 0 {
		d.stalled = s.m.now
		s.update(d)
	}
}

// updateAll decides anew which destinations are sent nothing, as time passes.
func (s *unwritable) updateAll() {
	for _, d := range s.troubled {
		s.update(d)
	}
}

// retryAll has the outcomes of a destination tried at once since one of them could be written: what stood in their way
// may be gone.
func (s *unwritable) retryAll(d *destination) {
	if s.m.now-d.retriedAll < retryAllEvery && d.retriedAll > 0 {
		return
	}
	d.retriedAll = s.m.now
	for _, e := range d.unwritable {
		e.retryBy(s.m.now)
	}
}

// update decides whether a destination is sent nothing for the time being.
func (s *unwritable) update(d *destination) {
	n := len(d.unwritable)
	blocked := n > 0 && (n >= max(StalledCount, s.m.config.Entries/unwritableShare) || s.n >= max(1, s.m.config.Entries/unwritableMost) ||
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
	return m.unwritable.blocked, m.unwritable.changes
}

// Unwritable reports the shards with an outcome that cannot be written because of its row.
func (m *Machine) Unwritable() (shards [relay.Shards]bool) {
	for _, d := range m.unwritable.troubled {
		for _, e := range d.unwritable {
			shards[e.shard] = true
		}
	}
	return shards
}
