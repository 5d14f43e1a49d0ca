package machine

import (
	"slices"
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

// noteParked notes that a delivery waits for the destination in the table.
func (ds *destinations) noteParked(d *destination) {
	d.moreParked = true
	if !d.parked && ds.await(d, ds.m.now) {
		d.parked, d.after = true, 0
	}
}

// await has a destination asked for room at a time, and reports false if rows name too many others.
func (ds *destinations) await(d *destination, at time.Duration) bool {
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
	ds.ask.ring(d.askAt)
	return true
}

// askRoom asks those for room whose time has come, and the table for others.
func (ds *destinations) askRoom() {
	m := ds.m
	if !ds.listing && ds.list.rings() {
		ds.listing = true
		m.do(FindBacklog{After: ds.part})
	}
	if !ds.ask.rings() {
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
		ds.ask.ring(next)
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
	ds.ask.ring(d.askAt)
}

func (e Worked) apply(m *Machine) { m.destinations.askSoon() }

// askSoon has all of them asked for room now.
func (ds *destinations) askSoon() {
	for _, d := range ds.asking {
		d.askAt = ds.m.now
	}
	ds.ask.ring(ds.m.now)
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
		if m.entries.resume(row) {
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
	ds.list.ring(ds.m.now)
	ds.part = ""
}

// apply takes the destinations of operators, and as many of those that rows name as are looked at together. As long as
// there are more, the next part takes the place of the last.
func (e Backlog) apply(m *Machine) {
	ds := &m.destinations
	ds.listing = false
	if e.Failed {
		ds.list.ring(m.now + listFailed)
		return
	}
	turns := e.After != "" || ds.part != ""
	every := listEvery
	if ds.part = e.After; ds.part != "" {
		every = listOnEvery
	}
	ds.list.ring(m.now + every)
	if turns {
		for _, d := range ds.asking {
			if relay.CircuitOfRow(d.name) && !d.busy {
				d.parked = false
			}
		}
		ds.ask.ring(m.now)
		ds.askRoom() // forgets those
	}
	for _, name := range e.Destinations {
		ds.noteParked(ds.of(name))
	}
}
