package demo

import (
	"slices"
	"sync"
	"time"

	"relay"
)

// route is the way that a message takes.
type route int

const (
	viaHTTP route = iota
	viaRabbit
	routes // how many there are
)

// String names the route as the display does.
func (r route) String() string { return [...]string{"HTTP", "RabbitMQ"}[r] }

// fate is how the transaction of a message ended.
type fate int

const (
	undecided  fate = iota // not ended yet, or ended in an unknown way
	committed              // it must arrive
	rolledBack             // it must not
)

// entry is what is known of one message of the shop.
type entry struct {
	route     route
	fate      fate
	committed time.Time // zero: not yet
	arrived   time.Time // the first time; zero: not yet
	accepted  bool      // the receiver took it
}

// counts are the numbers of one route.
type counts struct {
	committed, rolledBack, delivered, retried, duplicates int
	latency                                               latencies // from commit to first arrival
}

// tally holds what arrived against what the shop committed. Its methods are safe for
// concurrent use.
type tally struct {
	mu      sync.Mutex
	entries map[relay.ID]*entry
	counts  [routes]counts
	faults  [faults]int // the receiver's own
	forged  int         // requests without a valid signature
	waiting int         // committed, not accepted
}

func newTally() *tally { return &tally{entries: make(map[relay.ID]*entry)} }

// inserted notes a message within its transaction.
func (t *tally) inserted(id relay.ID, by route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries[id] = &entry{route: by}
}

// ended notes how the transaction of messages ended, and when.
func (t *tally) ended(how fate, at time.Time, ids ...relay.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		e := t.entries[id]
		e.fate = how
		c := &t.counts[e.route]
		switch how {
		case rolledBack:
			c.rolledBack++
		case committed:
			c.committed++
			e.committed = at
			if !e.arrived.IsZero() {
				c.latency.add(e.arrived.Sub(at)) // it was faster than the word of its commit
			}
			if !e.accepted {
				t.waiting++
			}
		}
	}
}

// arrived notes that an attempt reached its destination and reports whether the message
// is the shop's.
func (t *tally) arrived(id relay.ID, attempt int, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[id]
	if e == nil {
		return false
	}
	c := &t.counts[e.route]
	if attempt > 1 {
		c.retried++
	}
	if e.arrived.IsZero() {
		e.arrived = at
		if !e.committed.IsZero() {
			c.latency.add(at.Sub(e.committed))
		}
	}
	return true
}

// accept notes that the destination took a message of the shop's.
func (t *tally) accept(id relay.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[id]
	c := &t.counts[e.route]
	if e.accepted {
		c.duplicates++
		return
	}
	e.accepted = true
	c.delivered++
	if e.fate == committed {
		t.waiting--
	}
}

// failed notes a failure of the receiver's.
func (t *tally) failed(f fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults[f]++
}

// refused notes a request without a valid signature.
func (t *tally) refused() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forged++
}

// lost returns the committed messages that no receiver has accepted, the oldest first. While the
// demo runs they are on their way.
func (t *tally) lost() []relay.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == 0 {
		return nil
	}
	return t.where(func(e *entry) bool { return e.fate == committed && !e.accepted })
}

// phantoms returns the messages that arrived although their transaction was rolled back.
func (t *tally) phantoms() []relay.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.where(func(e *entry) bool { return e.fate == rolledBack && !e.arrived.IsZero() })
}

func (t *tally) where(wanted func(*entry) bool) (ids []relay.ID) {
	for id, e := range t.entries {
		if wanted(e) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b relay.ID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
