package machine

import "time"

// unseenMost is the longest time until a row is looked for again that SQL does not show yet. A standby that is away may
// keep rows hidden for as long as it is away.
const unseenMost = time.Second

func (r RowRead) apply(m *Machine) {
	at := m.entries.find(r.Entry)
	if at == nil || at.state != reading {
		return
	}
	at.state = toRead
	switch owned := m.leases.of(at.shard); {
	case !m.leases.mayRead(at.shard):
		at.remove()
	case owned.epoch != at.epoch:
		at.readSoon() // another relay may have changed the row meanwhile
	case r.Failed:
		at.retryLater(50*time.Millisecond, 10*time.Second)
	default:
		r.onVerdict(at)
	}
}

// onVerdict decides what becomes of an entry whose row was read.
func (r *RowRead) onVerdict(e *entry) {
	switch r.Verdict {
	case Readable:
		r.readable(e)
	case NoRoom:
		e.retryLater(50*time.Millisecond, time.Second)
	case Later:
		e.m.due.findBy(e.m.now + dueEvery/10)
		e.key.readSoon() // it may have been accepted meanwhile, and hold its key no more
		e.leaveInTable()
	case Absent:
		if e.xid != 0 && !r.Snapshot.Shows(e.xid) {
			e.retryLater(2*time.Millisecond, unseenMost) // it is not visible yet
			return
		}
		fallthrough
	default:
		k := e.key
		if !e.id.Pending() {
			c := EndOrphan{ID: e.id, Shard: e.shard}
			if k != nil {
				c.Key = k.name
			}
			e.m.do(c)
		}
		if r.Verdict == Absent && e.xid != 0 {
			e.m.do(Missed{ID: e.id.Message})
		}
		k.readSoon()
		e.remove()
	}
}

// readable takes what was read, unless it may not be durable yet.
func (r *RowRead) readable(e *entry) {
	m := e.m
	if e.xid == 0 && !r.Snapshot.Durable {
		e.retryLater(2*time.Millisecond, 100*time.Millisecond)
		return
	}
	message := r.Row.Message
	if e.key == nil && e.id.Pending() && message.Key != "" {
		xid := e.xid
		e.reportedAgain = false
		e.remove()
		m.reports.heard(&Report{ID: e.id.Message, Key: message.Key, Shard: message.Shard, XID: xid}, false)
		return
	}
	e.tries = 0
	switch {
	case e.message != nil:
	case m.fanout.holdsUp(e, len(r.Row.Deliveries)):
		m.fanout.await(e, len(r.Row.Deliveries))
		return
	case !r.Row.fits(m):
		e.leaveInTable()
		m.sweepLater(everything) // it may be a delivery that waits
		return
	}
	r.Row.fill(e)
	e.key.advance()
}
