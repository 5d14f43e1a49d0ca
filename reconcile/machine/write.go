package machine

import (
	"fmt"
	"time"

	"relay"
)

// put has changes written. status is the message's, unless it follows from the changes.
func (e *entry) put(changes []Change, status relay.MessageStatus) {
	e.write.Entry, e.write.Shard, e.write.Taking, e.write.Changes = e.id, e.shard, e.id.pending(), changes
	if e.write.MessageStatus = status; e.write.Taking && status == "" {
		e.write.conclude()
	}
	e.state = writing
	e.m.writes++
	e.rewrite()
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

// rewrite sends the write, if its shard is this relay's. An outcome from before the shard was
// another's is written only if it is as true as ever: that the destination took the message,
// and what takes up a message that is still pending.
func (e *entry) rewrite() {
	at := e.m.leases.of(e.shard)
	switch {
	case !at.owned:
		e.remove()
		return
	case at.epoch != e.epoch && !e.write.Taking && !e.write.accepted():
		e.forgetWrite()
		return
	}
	e.write.Epoch = at.epoch
	e.m.do(e.write)
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

// find returns the entry that is being written.
func (m *Machine) written(id DeliveryID) *entry {
	e := m.open[id]
	if id.pending() {
		e = m.pending[id.Message]
	}
	if e == nil || e.state != writing {
		return nil
	}
	return e
}

func (w Written) apply(m *Machine) {
	m.failing = false
	e := m.written(w.Entry)
	if e == nil {
		return
	}
	for i := range e.write.Changes {
		e.announce(&e.write.Changes[i])
	}
	for i := range e.write.Spread {
		e.announce(&e.write.Spread[i])
	}
	for _, d := range e.deliveries {
		if d.queue != nil && d.change.passes(d) {
			d.queue.look = true // a read made before this may have shown it in the place of the next
		}
	}
	k := e.key
	if k != nil && w.Replaced {
		k.want()
	}
	e.remove()
	if e.ackKey != "" {
		m.lookAtKey(e.ackKey, e.shard, false)
	}
	if k != nil {
		k.settle()
	}
}

// announce notes what a change that is in the table waits for there.
func (e *entry) announce(c *Change) {
	m := e.m
	switch {
	case c.ID.pending():
		return // it was rejected
	case c.Next >= 0:
		m.look(m.now + c.Next)
	case c.Status.Ended() || c.Status == relay.DeliveryAwaitingAck, c.Reason == relay.ReasonKeyBlocked:
	case e.adopted(c.ID):
		return // it goes on in memory
	default:
		m.park(m.destination(c.Destination))
	}
	e.held(c)
}

// adopted reports whether a delivery goes on as an entry of its own.
func (e *entry) adopted(id DeliveryID) bool {
	for _, child := range e.children {
		if child.id == id {
			return true
		}
	}
	return false
}

// held notes that a delivery waits in the table in the order of its key.
func (e *entry) held(c *Change) {
	if e.key == nil || e.open.Accepted || e.adopted(c.ID) {
		return
	}
	s := e.m.subscriber(c.ID.Subscription, e.routed(c.ID))
	if s.Unordered || c.Status.Ended() && !(c.Status == relay.DeliveryDead && s.BlockOnDead) || c.Status == relay.DeliveryAwaitingAck {
		return
	}
	q := e.key.queue(c.ID.Subscription, c.ID.Instance)
	q.hold(e.seq)
	q.look = q.look || c.Reason == relay.ReasonKeyBlocked
}

// routed returns the delivery that a change is of.
func (e *entry) routed(id DeliveryID) *relay.Delivery {
	for _, d := range e.deliveries {
		if d.to != nil && d.to.Subscriber.Name == id.Subscription && d.to.Instance == id.Instance {
			return d.to
		}
	}
	return nil
}

func (w NotWritten) apply(m *Machine) {
	m.failing = w.Why == WhyUnknown
	e := m.written(w.Entry)
	if e == nil {
		return
	}
	k := e.key
	switch w.Why {
	case WhyLocked:
		e.later(100*time.Millisecond, 10*time.Second)
	case WhyRefused:
		e.reduce(w.Text)
	case WhyGone:
		e.forgetWrite()
	case WhyFenced:
		if at := m.leases.of(e.shard); at.owned && at.epoch == e.write.Epoch {
			m.lose(e.shard)
		}
		e.rewrite()
	default:
		e.later(50*time.Millisecond, 2*time.Second)
	}
	if k != nil {
		k.settle()
	}
}

// forgetWrite forgets outcomes that are not to be written. What the table holds is looked at
// anew.
func (e *entry) forgetWrite() {
	m, k := e.m, e.key
	if k != nil {
		k.gap = -1
		k.want()
	}
	e.again = e.again || k == nil && e.id.pending()
	for i := range e.write.Changes {
		e.announce(&e.write.Changes[i]) // it may be in the table, if the answer to an earlier write was lost
	}
	e.remove()
	m.look(m.now)
}

// reduce takes from an outcome that the database refuses what it may be refused for: first the
// record of the attempt and its words, then, of a message that was pending, its deliveries. If
// nothing is left to be taken, it is written later, as it was.
func (e *entry) reduce(text string) {
	switch {
	case e.reduced == 0:
		for i := range e.write.Changes {
			c := &e.write.Changes[i]
			if c.Attempt != nil || c.Error != "" {
				c.Error = fmt.Sprintf("the outcome %q could not be stored in full: %s", c.Status, text)
				c.Attempt = nil
			}
		}
	case e.reduced == 1 && e.write.Taking && e.write.MessageStatus != relay.MessageRejected:
		whole := e.write
		e.write.Changes = []Change{{ID: e.id, Next: -1, Error: "the outcome could not be stored: " + text}}
		e.write.MessageStatus, e.write.Outstanding = relay.MessageRejected, 0
		e.reduced = 2
		e.rewrite()
		e.write = whole
		return
	default:
		e.reduced = 1
		e.later(10*time.Second, 10*time.Minute)
		return
	}
	e.reduced++
	e.rewrite()
}

func (a Acknowledged) apply(m *Machine) {
	at := m.leases.of(a.Shard)
	if !at.owned || m.stopping || m.open[a.ID] != nil || m.pending[a.ID.Message] != nil {
		return // its outcome comes first; the loop tells it again
	}
	if !m.budget.fits(true) {
		return
	}
	e := &entry{id: a.ID, shard: a.Shard, epoch: at.epoch, swept: true, state: ready, open: a.Open, due: m.now - a.Waited, ackKey: a.Key}
	m.register(e)
	e.open.Accepted = true
	d := &delivery{entry: e, to: a.Delivery, destination: m.destination(a.Delivery.Circuit())}
	e.deliveries, e.left = []*delivery{d}, 1
	e.charge()
	d.end(m.config.Policy.acknowledged(d, &a), false)
	e.finish()
}
