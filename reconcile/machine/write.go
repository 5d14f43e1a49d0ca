package machine

import (
	"fmt"
	"slices"
	"time"

	"relay"
	"relay/retry"
)

// pendingWrite is what is being written of an entry.
type pendingWrite struct {
	entry   *entry
	command Write
	begun   time.Duration
}

// put has changes written. status is the message's, unless it follows from the changes.
func (w *pendingWrite) put(changes []retry.Change, status relay.MessageStatus) {
	e := w.entry
	w.command.Entry, w.command.Shard, w.command.Taking, w.command.Changes = e.id, e.shard, e.id.Pending(), changes
	if w.command.MessageStatus = status; w.command.Taking && status == "" {
		w.command.conclude()
	}
	for i := range changes {
		changes[i].Waited = past(e).Waited
	}
	e.state, e.tries = writing, 0
	w.command.Message, w.begun = e.message, e.m.now
	e.m.writes++
	if e.key != nil && e.id.Pending() {
		e.key.written++
		readOn(e.key)
	}
	w.submit()
}

// conclude sets the state of a message that is taken up, from its changes. sql.Conclude does the
// same for what a consumer acknowledged meanwhile.
func (w *Write) conclude() {
	w.Outstanding = 0
	dead, good := false, false
	for i := range w.Changes {
		switch status := w.Changes[i].Status; {
		case !status.Ended():
			w.Outstanding++
		case status == relay.DeliveryDead:
			dead = true
		case status != relay.DeliveryCancelled:
			good = true
		}
	}
	switch {
	case w.Outstanding > 0:
		w.MessageStatus = relay.MessageOpen
	case dead:
		w.MessageStatus = relay.MessageDead
	case good:
		w.MessageStatus = relay.MessageDone
	default:
		w.MessageStatus = relay.MessageCancelled
	}
}

// submit sends the write, if its shard is this relay's. An outcome from before the shard was
// another's is written only if it is as true as ever: that the destination took the message,
// and what takes up a message that is still pending.
func (w *pendingWrite) submit() {
	e := w.entry
	at := e.m.leases.of(e.shard)
	switch {
	case !at.owned:
		e.remove()
		return
	case at.epoch != e.epoch && !w.command.Taking && !w.command.accepted():
		w.discard()
		return
	}
	w.command.Epoch, w.command.Tries, w.command.Since = at.epoch, e.tries, e.m.now-w.begun
	e.m.do(w.command)
}

// accepted reports whether all changes say that the destination took the message.
func (w *Write) accepted() bool {
	for i := range w.Changes {
		switch w.Changes[i].Status {
		case relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryAwaitingAck:
		default:
			return false
		}
	}
	return true
}

// beingWritten returns the entry that is being written.
func (m entries) beingWritten(id relay.DeliveryID) *entry {
	if e := m.entries.find(id); e != nil && e.state == writing {
		return e
	}
	return nil
}

func (w Written) apply(m *Machine) {
	m.failing = false
	e := m.entries.beingWritten(w.Entry)
	if e == nil {
		return
	}
	m.unwritable.onWritten(e)
	for _, d := range e.deliveries {
		d.noteWritten(&d.change)
		for i := range d.spread {
			d.noteWritten(&d.spread[i])
		}
		if d.queue != nil && d.letsNextGo(&d.change) {
			d.queue.nextMayGo = true // a read made before this may have shown it in the place of the next
		}
	}
	if slices.ContainsFunc(e.write.command.Changes, func(c retry.Change) bool { return c.Acknowledges }) {
		e.key.readSoon() // the consumer may have said meanwhile that the work succeeded
	}
	e.remove()
}

// noteWritten notes what a delivery, or one that takes its place, waits for in the table after a change: also in the
// order of its key.
func (d *delivery) noteWritten(c *retry.Change) {
	e, m := d.entry, d.entry.m
	switch {
	case c.Next >= 0:
		m.due.findBy(m.now + c.Next)
	case c.Status.Ended() || c.Status == relay.DeliveryAwaitingAck, c.Reason == relay.ReasonKeyBlocked:
	default:
		m.destinations.noteParked(m.destinations.of(c.Destination))
	}
	if e.key == nil || e.open.Accepted || d.letsNextGo(c) || m.subscriber(c.ID.Subscription, d.to).Unordered {
		return
	}
	q := e.key.queue(c.ID.Subscription, c.ID.Instance)
	q.noteWaiting(e.seq)
	q.nextMayGo = q.nextMayGo || c.Reason == relay.ReasonKeyBlocked
}

func (d Divided) apply(m *Machine) {
	for _, id := range d.Entries {
		if e := m.entries.beingWritten(id); e != nil {
			m.unwritable.add(e)
		}
	}
}

func (w NotWritten) apply(m *Machine) {
	m.failing = w.Why == WhyUnknown
	e := m.entries.beingWritten(w.Entry)
	if e == nil {
		return
	}
	switch w.Why {
	case WhyLocked, WhyRefused, WhyFailed:
		e.write.command.Last = w.Why
		m.unwritable.add(e)
	}
	switch w.Why {
	case WhyLocked:
		e.retryLater(100*time.Millisecond, time.Second)
	case WhyRefused:
		e.write.reduce(w.Text)
	case WhyFailed:
		e.retryLater(refusedFirst, refusedMost)
	case WhyGone:
		e.write.discard()
	default: // of WhyFenced, the loop tells if the shard is another relay's
		e.retryLater(50*time.Millisecond, 2*time.Second)
	}
}

// discard drops outcomes that are not to be written. What the table holds is looked at
// anew.
func (w *pendingWrite) discard() {
	e := w.entry
	m, k := e.m, e.key
	if k != nil {
		k.gap = -1
		k.readSoon()
	}
	e.reportedAgain = e.reportedAgain || k == nil && e.id.Pending()
	for _, d := range e.deliveries {
		d.noteWritten(&d.change) // it may be in the table, if the answer to an earlier write was lost
	}
	e.remove()
	m.due.findBy(m.now)
}

// reduce takes from an outcome that the database refuses what it may be refused for: first the
// record of the attempt and its words, then, of a message that was pending, its deliveries. If
// nothing is left to be taken, it is written later, as it was.
func (w *pendingWrite) reduce(text string) {
	e := w.entry
	c := &w.command
	switch {
	case c.Reduced == 0:
		for i := range c.Changes {
			if change := &c.Changes[i]; change.Attempt != nil || change.Error != "" {
				change.Error, change.Attempt = notStored(change, text), nil
			}
		}
		c.Reduced = 1
		w.submit()
	case c.Reduces():
		c.Reduced = 2
		whole := *c
		c.Changes = []retry.Change{{
			ID: e.id, Next: -1, Waited: whole.Changes[0].Waited, Cause: relay.CauseNotStored, Error: notStored(&whole.Changes[0], text),
		}}
		c.MessageStatus, c.Outstanding = relay.MessageRejected, 0
		w.submit()
		*c = whole
	default:
		c.Reduced = 1
		e.retryLater(refusedFirst, refusedMost)
	}
}

// notStored is the error of an outcome that the database refuses.
func notStored(c *retry.Change, text string) string {
	return fmt.Sprintf("the outcome %q could not be stored in full: %s", c.Status, text)
}

// refusedFirst is how long an outcome waits that cannot be written because of its row, and refusedMost the longest
// such time.
const (
	refusedFirst = time.Second
	refusedMost  = 30 * time.Second
)

// apply has what consumers said read, unless something of the delivery is in memory: its outcome comes first, and the
// loop tells of the word again.
func (a Acknowledged) apply(m *Machine) {
	for _, d := range a.Deliveries {
		if m.stopping {
			return
		}
		if e := m.entries.loadDelivery(d.ID, d.Shard); e != nil {
			e.readsAck, e.readAfter = true, d.Key
		}
	}
}

func (a AckRead) apply(m *Machine) {
	e := m.open[a.Entry]
	if e == nil || e.state != reading || !e.readsAck {
		return
	}
	e.readsAck = false
	if at := m.leases.of(e.shard); a.None || !at.owned || at.epoch != e.epoch {
		e.state, e.readAfter = ready, ""
		e.remove()
		return
	}
	e.state, e.open, e.due = ready, a.Open, m.now-a.Waited
	e.open.Accepted = true
	d := e.deliveries[0]
	d.to, d.destination, e.undecided = a.Delivery, m.destinations.of(a.Delivery.Circuit()), 1
	e.charge()
	d.decide(m.config.Policy.Acknowledged(d.to, past(e), a.Word, m.random.Float64))
	e.finish()
}
