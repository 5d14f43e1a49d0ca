package machine

import (
	"slices"
	"strings"
	"time"

	"relay"
)

// share is how many times the free room one destination may hold: three quarters of the budget
// if it is alone, three sevenths each if there are two, and so on. There is always some left
// for one that comes (Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998).
const share = 3

// slowAfter is when a destination counts as slow: when what it holds would take it more than this many
// times as long as a delivery may wait for its turn.
const slowAfter = 8

// budget bounds what is in memory. A row that is not routed yet is one entry, afterwards each
// of its deliveries is one. The last eighth of the entries is for sweeps and parked deliveries,
// which for their part may hold one half.
type budget struct {
	maxEntries int
	maxBytes   int64
	entries    int
	bytes      int64
	swept      int // entries that sweeps have found, or that were parked
}

// destination is what is in memory for one circuit, and what waits for it in the table.
type destination struct {
	name    string
	entries int
	bytes   int64
	ended   int  // attempts that have come to an end
	slow    bool // the last delivery that waited for it waited in vain
	// parked says that deliveries are parked in the table; they were read up to after.
	parked  bool
	after   int64
	asked   bool // for room
	askAt   time.Duration
	room    int
	reading bool
	found   bool // the pass that is under way has found something
	renewed bool // something was parked since the pass began
}

// destinations are those that have something in memory or waiting.
type destinations struct {
	m        *Machine
	byName   map[string]*destination
	backlogs []*destination // with parked deliveries
}

// fits reports whether one more row may be registered.
func (b *budget) fits(swept bool) bool {
	if swept {
		return b.swept < max(1, b.maxEntries/2) && b.entries < b.maxEntries
	}
	return b.entries < b.maxEntries-b.maxEntries/8
}

// room is how many more rows a sweep may register.
func (b *budget) room() int {
	if b.bytes > b.maxBytes/2 {
		return 0
	}
	return max(0, min(max(1, b.maxEntries/2)-b.swept, b.maxEntries-b.entries))
}

// admits reports whether a destination may hold one delivery more of a size in bytes. One that
// holds nothing always may.
func (b *budget) admits(d *destination, bytes int64) bool {
	return d.entries == 0 ||
		d.entries < max(1, share*(b.maxEntries-b.entries)) && d.bytes+bytes <= share*max(0, b.maxBytes-b.bytes)
}

// destination returns what is known of a circuit.
func (ds *destinations) of(name string) *destination {
	d := ds.byName[name]
	if d == nil {
		d = &destination{name: name}
		ds.byName[name] = d
	}
	return d
}

// forget drops a destination that has nothing in memory and nothing known to wait.
func (ds *destinations) forget(d *destination) {
	if d.entries == 0 && !d.parked && !d.asked && !d.reading {
		delete(ds.byName, d.name)
	}
}

// moves reports whether a delivery that has waited for its turn in vain should be read again
// rather than parked: the destination works off what it holds within a short time.
func (d *destination) moves(since int) bool { return (d.ended-since)*slowAfter >= d.entries }

// park notes that a delivery waits for the destination in the table.
func (ds *destinations) park(d *destination) {
	d.renewed = true
	if !d.parked {
		d.parked, d.after = true, 0
		ds.backlogs = append(ds.backlogs, d)
	}
}

// readBacklogs asks for room at the destinations for which something is parked.
func (ds *destinations) askRoom() {
	for _, d := range ds.backlogs {
		if d.asked || d.reading || ds.m.now < d.askAt || ds.paused(d.name) {
			continue
		}
		d.asked = true
		ds.m.do(AskRoom{Destination: d.name})
	}
}

// paused reports whether a destination is that of a paused subscription, or of one of its
// instances.
func (ds *destinations) paused(destination string) bool {
	name, _, _ := strings.Cut(destination, "/")
	s := ds.m.subscribers[name]
	return s != nil && s.Paused
}

func (e Room) apply(m *Machine) {
	d := m.destinations.byName[e.Destination]
	if d == nil || !d.asked {
		return
	}
	d.asked, d.room = false, e.Deliveries
	limit := min(e.Deliveries, m.budget.room())
	if limit <= 0 || m.stopping || m.failing {
		d.askAt = m.now + roomEvery
		m.timers.wakeUp(d.askAt)
		return
	}
	if d.after == 0 {
		d.found, d.renewed = false, false
	}
	d.reading = true
	m.do(ReadParked{Destination: d.name, After: d.after, Limit: limit})
}

func (e Parked) apply(m *Machine) {
	d := m.destinations.of(e.Destination)
	d.reading = false
	d.askAt = m.now + roomEvery
	m.timers.wakeUp(d.askAt)
	if e.Failed {
		return
	}
	for _, row := range e.Deliveries {
		d.found = true
		if row.Key != "" {
			m.lookAtKey(row.Key, row.Shard, false)
		} else if m.loadDelivery(row.ID, row.Shard) {
			d.room--
		}
	}
	d.after = e.Last
	if !e.End {
		return
	}
	if d.after = 0; d.found || d.renewed {
		return
	}
	d.parked = false
	for i, b := range m.destinations.backlogs {
		if b == d {
			m.destinations.backlogs = slices.Delete(m.destinations.backlogs, i, i+1)
			break
		}
	}
	m.destinations.forget(d)
}

func (e Backlog) apply(m *Machine) {
	for _, name := range e.Destinations {
		m.destinations.park(m.destinations.of(name))
	}
	if e.Failed {
		m.do(FindBacklog{})
	}
}

// learn notes what an outcome says about the destination.
func (ds *destinations) learn(d *destination, o relay.Outcome) {
	if !o.Class.Attempted() {
		return
	}
	d.ended++
	if o.Class.Accepted() || o.Class == relay.ClassHandleFailed {
		d.slow = false
	}
}
