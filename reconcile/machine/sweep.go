package machine

import (
	"time"

	"relay"
)

// sweep is the pass over the pending messages of a group of shards that finds what was left in the table.
type sweep struct {
	m       *Machine
	group   int
	limit   int    // rows of one statement
	wanted  extent // of the next pass
	running extent // of the pass that is under way
	begun   bool   // it has made its first statement
	asked   bool   // a statement is under way
	wholeAt time.Duration
}

// extent is how much a pass finds.
type extent int

const (
	noPass      extent = iota // there is no pass
	pendingOnly               // pending messages
	everything                // keys with waiting deliveries alone, too
)

// sweeps are those of all groups.
type sweeps struct {
	m      *Machine
	groups []*sweep
	alarm  alarm // for rows that were left to the table
	// left counts those rows. When they are as many as one statement finds, a pass rests until they are looked for.
	left   int
	extent extent // of the pass that looks for them
}

// begin asks for a pass.
func (s *sweep) begin(e extent) { s.wanted = max(s.wanted, e) }

// begin asks for a pass of all groups.
func (all *sweeps) begin(e extent) {
	for _, s := range all.groups {
		s.begin(e)
	}
}

// later asks for a pass of all groups in a while, since rows were left to the table.
func (all *sweeps) later(e extent) {
	all.extent = max(all.extent, e)
	all.alarm.ring(all.m.now + sweepAfter)
}

// apply asks for passes. One of all groups is asked for when anything may have changed in the table.
func (e SweepNow) apply(m *Machine) {
	if e.All {
		m.searchTable()
		return
	}
	s := m.sweeps.groups[e.Group]
	if s.begin(pendingOnly); m.now-s.wholeAt >= wholeEvery {
		s.begin(everything)
	}
}

// searchTable has everything looked for that the table may hold, since anything may have changed in it.
func (m *Machine) searchTable() {
	m.reports.noteGap()
	m.sweeps.begin(everything)
	m.due.findBy(m.now)
	m.destinations.listAgain()
}

// apply has every key read from its beginning, and forgets what was reported and is not
// visible: if it exists, it is found like everything else.
func (Gap) apply(m *Machine) {
	m.reports.noteGap()
	m.sweeps.begin(everything)
	for shard := range m.leases.shards {
		m.leases.each(int16(shard), func(e *entry) {
			if e.state == unseen {
				e.remove()
			}
		})
	}
}

// noteGap notes that reports may have been lost.
func (m reports) noteGap() { m.gap, m.horizon = m.gap+1, 0 }

// next makes the next statements of the passes, as far as they are wanted and there is room.
func (all *sweeps) next() {
	if all.alarm.rings() {
		all.begin(all.extent)
		all.left, all.extent = 0, noPass
	}
	for _, s := range all.groups {
		s.next()
	}
}

func (s *sweep) next() {
	m := s.m
	if s.running == noPass && s.wanted != noPass {
		s.running, s.wanted, s.begun = s.wanted, noPass, false
		if s.running == everything {
			s.wholeAt = m.now
		}
	}
	if s.running == noPass || s.asked || m.sweeps.left >= s.limit || m.keysReading > m.config.Batch {
		return
	}
	room := min(m.budget.room(), s.limit)
	if room == 0 {
		return
	}
	m.do(Sweep{Group: s.group, Begin: !s.begun, Waiting: s.running == everything, Limit: room})
	s.begun, s.asked = true, true
}

func (e Swept) apply(m *Machine) {
	s := m.sweeps.groups[e.Group]
	s.asked = false
	if e.Failed {
		m.sweeps.later(s.running) // the next pass finds what this one was to find
		s.running = noPass
		return
	}
	for i := range e.Rows {
		m.reports.add(&e.Rows[i], true)
	}
	for i := range e.Keys {
		m.readKey(e.Keys[i].Key, e.Keys[i].Shard, true)
	}
	if e.End {
		s.running = noPass
	}
}

func (e KeysFreed) apply(m *Machine) {
	for i := range e.Keys {
		m.readKey(e.Keys[i].Key, e.Keys[i].Shard, false)
	}
}

// apply reads deliveries that are to be ended, whatever place they have in the order of their keys. What waits behind
// them is looked at afterwards.
func (e Overdue) apply(m *Machine) {
	for _, d := range e.Deliveries {
		if e := m.entries.loadDelivery(d.ID, d.Shard); e != nil {
			e.overdue, e.readAfter = true, d.Key
		}
	}
}

func (e Reported) apply(m *Machine) {
	for i := range e.Rows {
		m.reports.heard(&e.Rows[i], true)
	}
}

func (e Found) apply(m *Machine) {
	for i := range e.Rows {
		m.reports.heard(&e.Rows[i], false)
	}
	m.due.findBy(max(m.now, m.due.foundAt+foundEvery))
}

// foundEvery keeps the searches of due times apart that follow changes by other sessions.
const foundEvery = 100 * time.Millisecond

// heard takes a row that the stream shows, or that SQL shows.
func (m reports) heard(r *Report, stream bool) {
	switch {
	case r.DueIn > 0:
		m.due.findBy(m.now + r.DueIn)
	case !m.leases.mayRead(r.Shard):
	case r.Key != "" && stream:
		m.key(r.Key, r.Shard).report(r)
	case r.Key != "":
		m.readKey(r.Key, r.Shard, true)
	default:
		m.reports.add(r, false)
	}
}

// add has a row without a key read, or one whose key is not known.
func (m reports) add(r *Report, swept bool) {
	if e := m.pending[r.ID]; e != nil {
		e.reportedAgain = e.reportedAgain || !swept && e.state > toRead
		return
	}
	switch {
	case !m.leases.mayRead(r.Shard):
		return
	case !m.budget.fits(swept):
		m.sweepLater(pendingOnly)
		return
	}
	e := &entry{id: relay.DeliveryID{Message: r.ID}, seq: r.Seq, shard: r.Shard, xid: r.XID, swept: swept}
	if swept {
		m.Machine.swept++
	}
	m.entries.register(e)
	e.readSoon()
}

// dues is what is known of due times.
type dues struct {
	m        *Machine
	alarm    alarm // for the earliest that is known
	finding  bool
	searches int           // how often they were searched
	foundAt  time.Duration // when that was last
}

// findBy has what is due found at a time, unless it is found before.
func (d *dues) findBy(at time.Duration) { d.alarm.ring(at) }

// find makes what is due ordinary work, when a time has come.
func (d *dues) find() {
	m := d.m
	if d.finding || !d.alarm.rings() {
		return
	}
	limit := min(m.budget.room(), m.config.Batch)
	if limit == 0 {
		d.findBy(m.now + dueEvery/2)
		return
	}
	if m.now < d.foundAt+dueGap && d.searches > 0 {
		d.findBy(d.foundAt + dueGap)
		return
	}
	d.finding, d.foundAt = true, m.now
	d.searches++
	m.do(FindDue{Limit: limit + len(m.open)})
	m.due.findBy(m.now + dueEvery)
}

func (e Due) apply(m *Machine) {
	m.due.finding = false
	if e.Failed {
		m.due.findBy(m.now + dueEvery/2)
		return
	}
	for i := range e.Messages {
		m.reports.heard(&e.Messages[i], false)
	}
	for _, d := range e.Deliveries {
		m.entries.resume(d)
	}
	if e.Next >= 0 {
		m.due.findBy(m.now + e.Next)
	}
}
