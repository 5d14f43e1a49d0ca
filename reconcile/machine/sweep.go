package machine

import "time"

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
	all.alarm.ringBy(all.m.now + sweepAfter)
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

// next makes the next statements of the passes, as far as they are wanted and there is room.
func (all *sweeps) next() {
	if all.alarm.popDue() {
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
