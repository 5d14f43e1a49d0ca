package machine

import (
	"slices"
	"strings"
	"time"

	"relay"
)

const (
	// roomEvery keeps two questions for room apart while deliveries are parked in the table.
	roomEvery = 100 * time.Millisecond
	// namedMost bounds the destinations that rows name and that are looked at together: rows may name any number, and
	// what waits for an operator's destination must not wait for that.
	namedMost = 1024
	// listEvery is how often the table is asked which destinations have something parked, listOnEvery how often while
	// rows name more of them than are looked at together.
	listEvery   = 10 * time.Second
	listOnEvery = time.Second
	// listFailed is when it is asked again after it did not answer.
	listFailed = 500 * time.Millisecond
)

// destination is what is in memory for one circuit, and what waits for it in the table.
type destination struct {
	name    string
	entries int
	bytes   int64
	slow    bool // the last delivery that waited for it waited in vain
	// parked says that deliveries are parked in the table; they were read up to after.
	parked     bool
	after      int64
	moreParked bool // the pass over them has found some, or some were parked since it began
	askAt      time.Duration
	busy       bool // it is being asked for room, or what is parked is being read
	room       int

	waiting    []*delivery   // that wait in memory for room
	unwritable []*entry      // outcomes that cannot be written because of their rows
	stalled    time.Duration // when one was written last, or could not be written first
	retriedAll time.Duration // when they were last tried before their time
	listed     bool          // it is among those that are asked for room
}

// destinations are those that have something in memory or waiting.
type destinations struct {
	m      *Machine
	byName map[string]*destination
	asking []*destination // with deliveries that wait for room, in the table or in memory
	ask    alarm          // for when one of them is to be asked next
	named  int            // of them, those that rows name
	// part is the name up to which those were listed that rows name; empty: all, or none yet.
	part    string
	list    alarm // for when the table is asked for them again
	listing bool
}

// of returns what is known of a circuit.
func (ds *destinations) of(name string) *destination {
	d := ds.byName[name]
	if d == nil {
		d = &destination{name: name}
		ds.byName[name] = d
	}
	return d
}

// forgetIfEmpty drops a destination that has nothing in memory and nothing known to wait.
func (ds *destinations) forgetIfEmpty(d *destination) {
	if d.entries == 0 && !d.listed && len(d.unwritable) == 0 {
		delete(ds.byName, d.name)
	}
}

// paused reports whether a destination is that of a paused subscription, or of one of its
// instances.
func (ds *destinations) paused(destination string) bool {
	name, _, _ := strings.Cut(destination, "/")
	s := ds.m.subscribers[name]
	return s != nil && s.Paused
}

// noteParked notes that a delivery waits for the destination in the table.
func (ds *destinations) noteParked(d *destination) {
	d.moreParked = true
	switch {
	case d.parked:
	case ds.askBy(d, ds.m.now):
		d.parked, d.after = true, 0
	default:
		ds.forgetIfEmpty(d)
	}
}

// askBy has a destination asked for room at a time, unless it is asked before. It reports false if rows name too many
// others.
func (ds *destinations) askBy(d *destination, at time.Duration) bool {
	if !d.listed {
		if relay.CircuitOfRow(d.name) {
			if ds.named >= namedMost && len(d.waiting) == 0 {
				return false // the table knows it
			}
			ds.named++
		}
		d.listed = true
		ds.asking = append(ds.asking, d)
		d.askAt = at
	}
	d.askAt = min(d.askAt, at)
	ds.ask.ringBy(d.askAt)
	return true
}

// askRoom asks those for room whose time has come, and the table for others.
func (ds *destinations) askRoom() {
	m := ds.m
	if !ds.listing && ds.list.popDue() {
		ds.listing = true
		m.do(FindBacklog{After: ds.part})
	}
	if !ds.ask.popDue() {
		return
	}
	next := m.now + listEvery
	ds.asking = slices.DeleteFunc(ds.asking, ds.unlist)
	for _, d := range ds.asking {
		switch {
		case d.busy:
			continue
		case m.now < d.askAt:
		case len(d.waiting) == 0 && ds.paused(d.name):
			d.askAt = m.now + time.Second
		default:
			d.busy = true
			m.do(AskRoom{Destination: d.name})
			continue
		}
		next = min(next, d.askAt)
	}
	if len(ds.asking) > 0 {
		ds.ask.ringBy(next)
	}
}

// unlist has a destination asked no more for which nothing waits, and reports whether that is so.
func (ds *destinations) unlist(d *destination) bool {
	if d.parked || len(d.waiting) > 0 || d.busy {
		return false
	}
	if d.listed = false; relay.CircuitOfRow(d.name) {
		ds.named--
	}
	ds.forgetIfEmpty(d)
	return true
}

// askAgain has a destination asked again after the ordinary time.
func (ds *destinations) askAgain(d *destination) {
	d.busy = false
	every := roomEvery
	if len(d.waiting) > 0 {
		every = roomEveryWaiting
	}
	d.askAt = ds.m.now + every
	ds.ask.ringBy(d.askAt)
}

func (e Worked) apply(m *Machine) { m.destinations.askSoon() }

// askSoon has all of them asked for room now.
func (ds *destinations) askSoon() {
	for _, d := range ds.asking {
		d.askAt = ds.m.now
	}
	ds.ask.ringBy(ds.m.now)
}

func (e Room) apply(m *Machine) {
	d := m.destinations.byName[e.Destination]
	if d == nil || !d.busy {
		return
	}
	d.room = d.serve(m.now, e.Deliveries)
	limit := min(d.room, m.budget.room())
	if limit <= 0 || !d.parked || m.stopping || m.failing || m.destinations.paused(d.name) {
		m.destinations.askAgain(d)
		return
	}
	if d.after == 0 {
		d.moreParked = false
	}
	m.do(ReadParked{Destination: d.name, After: d.after, Limit: limit})
}

func (e Parked) apply(m *Machine) {
	d := m.destinations.of(e.Destination)
	defer m.destinations.askAgain(d)
	if e.Failed {
		return
	}
	for _, row := range e.Deliveries {
		d.moreParked = true
		if m.entries.readDue(row) {
			d.room--
		}
	}
	d.after = e.Last
	if !e.End {
		return
	}
	d.after, d.parked = 0, d.moreParked
}

// listAgain has the table asked which destinations have something parked.
func (ds *destinations) listAgain() {
	ds.list.ringBy(ds.m.now)
	ds.part = ""
}

// apply takes the destinations of operators, and as many of those that rows name as are looked at together. As long as
// there are more, the next part takes the place of the last.
func (e Backlog) apply(m *Machine) {
	ds := &m.destinations
	ds.listing = false
	if e.Failed {
		ds.list.ringBy(m.now + listFailed)
		return
	}
	turns := e.After != "" || ds.part != ""
	every := listEvery
	if ds.part = e.After; ds.part != "" {
		every = listOnEvery
	}
	ds.list.ringBy(m.now + every)
	if turns {
		for _, d := range ds.asking {
			if relay.CircuitOfRow(d.name) && !d.busy {
				d.parked = false
			}
		}
		ds.ask.ringBy(m.now)
		ds.askRoom() // forgets those
	}
	for _, name := range e.Destinations {
		ds.noteParked(ds.of(name))
	}
}
