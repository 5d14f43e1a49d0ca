package machine

import (
	"relay"
	"relay/retry"
)

// fits reports whether a pending row may be taken into memory. What goes to a destination
// that is slow, and holds its share, is taken in order to be parked.
func (row *Row) fits(m *Machine) bool {
	b := &m.budget
	more := len(row.Deliveries) - 1
	if more > 0 && b.entries+more > b.maxEntries && b.entries > 1 {
		return false
	}
	for _, to := range row.Deliveries {
		if row.Open == nil && m.open[relay.DeliveryID{Message: row.Message.ID, Subscription: to.Subscriber.Name, Instance: to.Instance}] != nil {
			return false // an attempt from an earlier life of the message is still under way
		}
		d := m.destinations.byName[to.Circuit()]
		if d != nil && !d.slow && !b.admits(d, row.Size) {
			return false
		}
	}
	return true
}

// fill takes a row that was read into its entry. Its deliveries begin as soon as their queues let them.
func (row *Row) fill(e *entry) {
	fresh := e.message == nil
	e.state, e.due = ready, e.m.now-row.Waited
	e.write.command.Again = row.Again
	e.message, e.epoch = row.Message, e.m.leases.of(e.shard).epoch
	if row.Open != nil {
		e.open = *row.Open
	}
	switch {
	case row.Rejected != "":
		e.reject(row.Rejected)
	case !fresh:
		row.refresh(e)
	case e.id.Pending():
		row.route(e)
	default:
		row.resume(e)
	}
}

// route begins the deliveries of a pending message.
func (row *Row) route(e *entry) {
	full := make([]bool, len(row.Deliveries))
	e.deliveries = make([]*delivery, 0, len(row.Deliveries))
	for i, to := range row.Deliveries {
		d := &delivery{entry: e, to: to, destination: e.m.destinations.of(to.Circuit())}
		full[i] = d.destination.slow && !e.m.budget.admits(d.destination, row.Size)
		if e.key != nil && !row.Unordered {
			d.queue = queueOf(e.key, to)
		}
		e.deliveries = append(e.deliveries, d)
	}
	e.bytes, e.undecided = row.Size, len(e.deliveries)
	e.charge()
	if e.undecided > 1 {
		splitLater(e)
	}
	row.endHandled(e)
	for i, d := range e.deliveries {
		if d.step != idle {
			continue
		}
		if full[i] {
			if d.queue != nil {
				d.queue.insert(d) // nothing behind it may go before that is written
			}
			d.park(&relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonFull})
		} else {
			d.launch()
		}
	}
}

// endHandled ends the deliveries of a pending message whose consumers have said that they have handled it: what writes
// them finds the word.
func (row *Row) endHandled(e *entry) {
	for _, i := range row.Handled {
		d := e.deliveries[i]
		d.queue = nil // what was accepted holds its key no more
		change := d.unchanged()
		change.Status, change.Next, change.Attempts = relay.DeliveryAwaitingAck, d.to.Subscriber.AckTimeout, 1
		d.decide(change)
		e.finish()
	}
}

func splitLater(e *entry) {
	e.splitAt = e.m.now + splitAfter
	e.m.timers.add(timer{e.splitAt, e})
}

// resume begins the next attempt of an open message's delivery, or ends it without one.
func (row *Row) resume(e *entry) {
	to := row.Deliveries[0]
	d := e.deliveries[0]
	d.to, d.destination = to, e.m.destinations.of(to.Circuit())
	e.bytes, e.undecided = row.Size, 1
	e.charge()
	d.resume()
}

// resume launches a delivery of an open message unless its time is over.
func (d *delivery) resume() {
	e := d.entry
	if (e.open.Accepted || e.m.subscriber(d.to.Subscriber.Name, d.to).Unordered) && d.queue != nil {
		q := d.queue
		d.queue = nil
		q.remove(d)
	}
	change, over := e.m.config.Policy.Over(d.to, past(e), false)
	switch {
	case !over && e.overdue:
		e.remove()
	case !over:
		d.launch()
	case d.to.Pinned():
		d.send(true)
	default:
		d.decide(change)
		e.finish()
	}
}

// refresh goes on with an entry that was read again, since it had waited.
func (row *Row) refresh(e *entry) {
	for i, d := range e.deliveries {
		if i < len(row.Deliveries) && d.step == idle && d.to.Instance == row.Deliveries[i].Instance {
			d.to = row.Deliveries[i]
		}
		switch {
		case d.step != idle:
		case e.id.Pending():
			d.launch()
		default:
			d.resume()
		}
	}
}

// launch begins a delivery, or puts it into its queue.
func (d *delivery) launch() {
	if d.queue == nil {
		d.start()
		return
	}
	d.queue.insert(d)
	d.entry.key.advance()
}

// reject ends a message that cannot be sent; a delivery of an open one, which could be sent
// once, is dead instead.
func (e *entry) reject(why string) {
	if e.id.Pending() {
		for _, d := range e.deliveries {
			if d.queue != nil {
				d.queue.remove(d)
			}
		}
		e.discharge()
		e.deliveries, e.undecided = nil, 0
		e.write.put([]retry.Change{{ID: e.id, Next: -1, Cause: relay.Rejection(why).Cause(), Error: why}}, relay.MessageRejected)
		return
	}
	d := e.deliveries[0]
	change := d.unchanged()
	change.Status, change.Cause, change.Error = relay.DeliveryDead, relay.Rejection(why).Cause(), why
	e.undecided = 1
	d.decide(change)
	e.finish()
}

// start makes the attempt, if it may be made now. It reports whether the delivery is under way
// or has ended; otherwise it is read again first.
func (d *delivery) start() bool {
	e := d.entry
	m := e.m
	if d.to != nil && m.destinations.paused(d.destination.name) && !d.to.Unresolved() {
		d.park(&relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonPaused})
		return true
	}
	if m.unwritable.blocked[d.destination.name] && e.alone() {
		d.step, e.state = idle, toRead
		e.retryLater(blockedRetry, blockedRetry)
		return false
	}
	if !m.leases.mayStart(e.shard) || m.now-e.readAt > staleAfter || m.leases.of(e.shard).epoch != e.epoch {
		d.readAgain()
		return false
	}
	d.send(false)
	return true
}

func (d *delivery) send(check bool) {
	e := d.entry
	d.step, d.checking = sent, check
	e.m.do(Send{
		Entry: e.id, Shard: e.shard, Delivery: d.to, Due: !e.id.Pending(), Check: check, Waited: past(e).Waited,
		Before: min(e.m.leases.until, e.readAt+2*staleAfter),
	})
}

// readAgain has a delivery that was not attempted read again. One of several of a pending
// message is taken up with the others instead, and is due at once.
func (d *delivery) readAgain() {
	e := d.entry
	switch {
	case e.parent != nil: // its row is not in the table yet
		d.step = idle
		e.state = toRead
	case e.alone():
		d.step = idle
		e.readSoon()
	default:
		change := d.unchanged()
		change.Status, change.Next = relay.DeliveryWaiting, 0
		d.decide(change)
		e.finish()
	}
}

// unchanged is what the table says of a delivery before an attempt.
func (d *delivery) unchanged() retry.Change {
	e := d.entry
	if d.to != nil {
		return retry.Unchanged(d.to, past(e))
	}
	return retry.Change{ID: e.id, Attempts: e.open.Attempts, HandleAttempts: e.open.HandleAttempts, Next: -1, Acknowledges: e.open.Accepted}
}

// past is what the entry's deliveries have behind them.
func past(e *entry) retry.Past { return retry.Past{Open: e.open, Waited: e.m.now - e.due} }
