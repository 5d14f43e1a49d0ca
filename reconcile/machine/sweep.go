package machine

import "time"

// sweeps is the pass over the table that finds what was left there.
type sweeps struct {
	m       *Machine
	wanted  bool
	waiting bool // keys with waiting deliveries alone are wanted, too
	at      time.Duration
	soon    bool // at is set
	running bool
	begun   bool // the pass that runs has made its first statement
	asked   bool // a statement is under way
	whole   bool // the pass that runs looks at what waits, too
	wholeAt time.Duration
}

// begin asks for a pass.
func (s *sweeps) begin(waiting bool) {
	s.wanted, s.waiting = true, s.waiting || waiting
}

// leave notes that rows were left to the table: a sweep looks for them soon.
func (s *sweeps) leave() {
	if s.soon {
		return
	}
	s.soon, s.at = true, s.m.now+sweepAfter
	s.m.timers.wakeUp(s.at)
}

func (SweepNow) apply(m *Machine) {
	m.sweeps.begin(m.now-m.sweeps.wholeAt >= wholeEvery)
}

// apply has every key read from its beginning, and forgets what was reported and is not
// visible: if it exists, it is found like everything else.
func (Gap) apply(m *Machine) {
	m.lostReports()
	m.sweeps.begin(true)
	for shard := range m.leases.shards {
		entries := m.leases.shards[shard].entries
		for i := len(entries) - 1; i >= 0; i-- {
			if i < len(m.leases.shards[shard].entries) {
				if e := m.leases.shards[shard].entries[i]; e.state == unseen {
					e.remove()
				}
			}
		}
	}
}

// lostReports notes that reports may have been lost.
func (m *Machine) lostReports() { m.gap, m.horizon = m.gap+1, 0 }

// sweep makes the next statement of a pass, if one is wanted and there is room.
func (s *sweeps) next() {
	m := s.m
	if s.soon && s.at <= m.now {
		s.soon = false
		s.begin(true)
	}
	if s.wanted && !s.running {
		s.wanted, s.running, s.begun = false, true, false
		if s.whole, s.waiting = s.waiting, false; s.whole {
			s.wholeAt = m.now
		}
	}
	if !s.running || s.asked || m.keysReading > m.config.Batch {
		return
	}
	room := min(m.budget.room(), m.config.Batch)
	if room == 0 {
		return
	}
	m.do(Sweep{Begin: !s.begun, Waiting: s.whole, Limit: room})
	s.begun, s.asked = true, true
}

func (e Swept) apply(m *Machine) {
	s := &m.sweeps
	s.asked = false
	if e.Failed {
		s.running = false
		m.sweeps.leave()
		return
	}
	for i := range e.Rows {
		m.add(&e.Rows[i], true)
	}
	for i := range e.Keys {
		m.lookAtKey(e.Keys[i].Key, e.Keys[i].Shard, true)
	}
	s.running = !e.End
}

func (e Reported) apply(m *Machine) {
	for i := range e.Rows {
		r := &e.Rows[i]
		switch {
		case r.DueIn > 0:
			m.due.look(m.now + r.DueIn)
		case !m.leases.takes(r.Shard):
		case r.Key != "":
			m.key(r.Key, r.Shard).report(r)
		default:
			m.add(r, false)
		}
	}
}

func (e Found) apply(m *Machine) {
	for i := range e.Rows {
		m.found(e.Rows[i])
	}
	m.due.look(m.now)
}

// found takes a row that SQL shows.
func (m *Machine) found(r Report) {
	switch {
	case r.DueIn > 0:
		m.due.look(m.now + r.DueIn)
	case !m.leases.takes(r.Shard):
	case r.Key != "":
		m.lookAtKey(r.Key, r.Shard, true)
	default:
		m.add(&r, false)
	}
}

// add has a row without a key read, or one whose key is not known.
func (m *Machine) add(r *Report, swept bool) {
	if e := m.pending[r.ID]; e != nil {
		e.again = e.again || !swept && e.state > wanted
		return
	}
	switch {
	case !m.leases.takes(r.Shard):
		return
	case !m.budget.fits(swept):
		m.sweeps.leave()
		return
	}
	e := &entry{id: DeliveryID{Message: r.ID}, seq: r.Seq, shard: r.Shard, xid: r.XID, swept: swept}
	m.register(e)
	e.want()
}

// dues is what is known of due times.
type dues struct {
	m       *Machine
	at      time.Duration // the earliest that is known
	some    bool
	finding bool
	looks   int // how often they were looked at
}

// look has due times looked at at a time.
func (d *dues) look(at time.Duration) {
	if !d.some || at < d.at {
		d.at, d.some = at, true
		d.m.timers.wakeUp(at)
	}
}

// findDue makes what is due ordinary work, when a time has come.
func (d *dues) find() {
	m := d.m
	if d.finding || !d.some || m.now < d.at {
		return
	}
	limit := min(m.budget.room(), m.config.Batch)
	if limit == 0 {
		d.some = false
		m.due.look(m.now + dueEvery/2)
		return
	}
	d.finding, d.some = true, false
	d.looks++
	m.do(FindDue{Limit: limit})
	m.due.look(m.now + dueEvery)
}

func (e Due) apply(m *Machine) {
	m.due.finding = false
	if e.Failed {
		m.due.look(m.now + dueEvery/2)
		return
	}
	for i := range e.Messages {
		m.found(e.Messages[i])
	}
	for _, d := range e.Deliveries {
		if d.Key != "" {
			m.lookAtKey(d.Key, d.Shard, false)
		} else {
			m.loadDelivery(d.ID, d.Shard)
		}
	}
	if e.Next >= 0 {
		m.due.look(m.now + e.Next)
	}
}
