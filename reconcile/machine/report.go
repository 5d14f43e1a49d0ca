package machine

import (
	"time"

	"relay"
)

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
	e := &entry{id: relay.DeliveryID{Message: r.ID}, seq: r.Seq, shard: r.Shard, xid: r.XID, fromTable: swept}
	if swept {
		m.Machine.swept++
	}
	m.entries.register(e)
	e.readSoon()
}

// apply has every key read from its beginning, and forgets what was reported and is not
// visible: if it exists, it is found like everything else.
func (Gap) apply(m *Machine) {
	m.reports.noteGap()
	m.sweeps.begin(everything)
	for shard := range m.leases.shards {
		m.leases.each(int16(shard), func(e *entry) {
			if e.state == unseen {
				e.leaveInTable()
			}
		})
	}
}

// noteGap notes that reports may have been lost.
func (m reports) noteGap() { m.gap, m.horizon = m.gap+1, 0 }
