package machine

import (
	"slices"
	"time"

	"relay"
	"relay/retry"
)

// state is how far an entry has come.
type state int

const (
	unseen  state = iota // the stream has shown it, and SQL perhaps not yet
	toRead               // it is to be read by its id
	reading              // it is being read
	ready                // it was read: its deliveries are on their way
	writing              // its outcomes are being written
)

// entry is what is read and written as one: a pending message with all of its deliveries, or
// one delivery of an open message.
type entry struct {
	m     *Machine
	id    relay.DeliveryID
	seq   int64
	shard int16
	index int    // in its shard's list
	epoch int64  // of the lease when it was read
	key   *key   // nil: it has none, or it is not known yet
	xid   uint32 // zero: not reported by the stream
	state state
	// removed says that it is not in memory any more.
	removed       bool
	fromTable     bool // it counts for sweeps and parked deliveries
	reportedAgain bool // when it has ended, it is read once more

	readAt  time.Duration // when the read was asked for that it stands on
	due     time.Duration // when it was due, by the relay's clock
	tries   int           // reads or writes in vain
	retryAt time.Duration // when it is read or written again
	splitAt time.Duration // when it is taken up with what is known

	message     *relay.Message
	bytes       int64
	open        retry.Open
	deliveries  []*delivery
	undecided   int      // deliveries without an outcome
	parent      *entry   // the pending message that is being taken up
	children    []*entry // deliveries that go on while their message is taken up
	write       pendingWrite
	readAfter   string       // the key that is read when the entry has left memory; empty: none
	readsAck    bool         // what the consumer said is being read
	overdue     bool         // it has been due for too long: it is ended, or left as it is
	fanoutHeld  int          // deliveries that count as those of a message with many
	fanoutNeeds int          // how many there were when it was read and found no room
	unwritable  *destination // whose outcomes cannot be written, this one among them
}

// delivery is one delivery of an entry.
type delivery struct {
	entry       *entry
	to          *relay.Delivery // nil: not read yet
	queue       *queue          // nil: it waits for no other
	destination *destination
	step        step
	checking    bool          // it is only asked whether its instance exists
	noRoomSince time.Duration // when it first found no room; zero: it did not
	change      retry.Change
	spread      []retry.Change
}

// step is how far a delivery has come.
type step int

const (
	idle         step = iota // it waits for its turn
	sent                     // its attempt is under way
	decided                  // what is to be written of it is known
	endedInOrder             // the same, and the next one of its queue goes when it is written
)

// alone reports whether an entry is a single delivery, whose row is in the table: it can be read again.
func (e *entry) alone() bool { return e.parent == nil && len(e.deliveries) == 1 }

// register adds an entry.
func (m entries) register(e *entry) {
	e.m, e.write.entry = m.Machine, e
	m.leases.add(e)
	m.budget.entries++
	if e.fromTable {
		m.budget.fromTable++
	}
	if e.id.Pending() {
		m.pending[e.id.Message] = e
	} else {
		m.open[e.id] = e
	}
}

// find returns what is in memory of a pending message, or of a delivery of an open one; nil: nothing is.
func (m entries) find(id relay.DeliveryID) *entry {
	if id.Pending() {
		return m.pending[id.Message]
	}
	return m.open[id]
}

// remove takes an entry out of memory, out of its key and its queues, too.
func (e *entry) remove() {
	if e.removed {
		return
	}
	m := e.m
	e.removed = true
	m.unwritable.remove(e)
	if e.state == writing {
		if m.writes--; m.writes == 0 {
			m.failing = false // there is nothing left that could show that it works again
		}
	}
	m.leases.remove(e)
	m.budget.entries--
	if e.fromTable {
		m.budget.fromTable--
	}
	if e.id.Pending() {
		delete(m.pending, e.id.Message)
	} else {
		delete(m.open, e.id)
	}
	for _, d := range e.deliveries {
		if d.queue != nil {
			d.queue.drop(d)
		}
	}
	e.discharge()
	for _, c := range e.children {
		c.parent = nil
		c.finish()
	}
	if e.key != nil {
		e.key.removeEntry(e)
	}
	if e.readAfter != "" {
		m.readKey(e.readAfter, e.shard, false)
	}
	if m.leases.releaseIfDrained(e.shard); e.reportedAgain && m.leases.mayRead(e.shard) {
		r := Report{ID: e.id.Message, Shard: e.shard}
		if e.key != nil {
			r.Key = e.key.name
		}
		m.reports.heard(&r, false)
	}
}

// charge counts what an entry that was read holds, and discharge gives it back.
func (e *entry) charge() {
	e.m.budget.bytes += e.bytes
	for _, d := range e.deliveries {
		d.destination.entries++
		e.m.budget.routed++
		d.destination.bytes += e.bytes
	}
	e.m.budget.entries += max(0, len(e.deliveries)-1)
	e.m.fanout.charge(e, len(e.deliveries))
}

func (e *entry) discharge() {
	for _, d := range e.deliveries {
		if d.destination != nil {
			d.destination.entries--
			e.m.budget.routed--
			d.destination.bytes -= e.bytes
			e.m.destinations.forgetIfEmpty(d.destination)
		}
	}
	e.m.budget.entries -= max(0, len(e.deliveries)-1)
	e.m.budget.bytes -= e.bytes
	e.bytes = 0
	e.m.fanout.discharge(e)
}

// abandon removes the entry unless an attempt or a statement is under way for it, or an outcome is
// known; then it is removed, or written, when that has ended. Those of its deliveries that have not begun are
// taken up with it, as due at once.
func (e *entry) abandon() {
	if e.state == reading || e.state == writing || e.parent != nil {
		return
	}
	if !slices.ContainsFunc(e.deliveries, func(d *delivery) bool { return d.step != idle }) {
		e.reportedAgain = false
		e.leaveInTable()
		return
	}
	for _, d := range e.deliveries {
		if d.step == idle {
			d.readAgain()
		}
	}
}

// read asks for the entry's row.
func (e *entry) read() {
	if e.state != toRead || e.removed {
		return
	}
	if !e.m.leases.mayRead(e.shard) {
		e.remove()
		return
	}
	e.state, e.readAt = reading, e.m.now
	e.epoch = e.m.leases.of(e.shard).epoch
	if e.readsAck {
		e.m.do(ReadAck{Entry: e.id, Shard: e.shard})
		return
	}
	e.m.do(ReadRow{Entry: e.id, Shard: e.shard, Streamed: e.xid != 0})
}

// readSoon has the row read as soon as that is allowed.
func (e *entry) readSoon() {
	e.state = toRead
	e.m.unread = append(e.m.unread, e)
}

// retryLater has the row read, or written, again after a while that grows with each try.
func (e *entry) retryLater(first, most time.Duration) {
	if e.m.stopping {
		most = min(most, whenStopping)
	}
	e.retryAt = e.m.now + min(first<<min(e.tries, 20), most)
	e.tries++
	e.m.timers.add(timer{e.retryAt, e})
}

// retryBy has what waits to be read or written again wait no longer than to a time.
func (e *entry) retryBy(at time.Duration) {
	if e.retryAt > at {
		e.retryAt = at
		e.m.timers.add(timer{at, e})
	}
}

// whenStopping is the longest time until what cannot be written is tried again by a relay that stops.
const whenStopping = 100 * time.Millisecond

// onTime acts on a time that has come.
func (e *entry) onTime(at time.Duration) {
	switch {
	case e.removed:
	case at == e.retryAt && e.state == toRead:
		e.readSoon()
	case at == e.retryAt && e.state == writing:
		e.write.submit()
	case at == e.splitAt && e.state == ready && e.undecided > 0:
		e.split()
	}
}

// leaveInTable removes an entry whose row stays as it is in the table. What is behind it in its key waits for it.
func (e *entry) leaveInTable() {
	if e.id.Pending() {
		e.key.lose(e.seq)
	} else {
		for _, d := range e.deliveries {
			if d.queue != nil {
				d.queue.noteWaiting(e.seq)
			}
		}
	}
	e.remove()
}
