package machine

import (
	"slices"
	"time"

	"relay"
	"relay/retry"
)

func (e AttemptEnded) apply(m *Machine) {
	d := m.entries.attempted(e)
	if d == nil {
		return
	}
	d.outcome(e.Outcome)
	d.entry.key.advance()
}

// attempted finds the delivery whose attempt has ended. The one of a message that was taken up
// meanwhile is an entry of its own.
func (m entries) attempted(e AttemptEnded) *delivery {
	own := relay.DeliveryID{Message: e.Entry.Message, Subscription: e.Subscription, Instance: e.Instance}
	for _, at := range [2]*entry{m.open[own], m.pending[e.Entry.Message]} {
		if at == nil {
			continue
		}
		for _, d := range at.deliveries {
			if d.step == sent && d.to.Subscriber.Name == e.Subscription && d.to.Instance == e.Instance {
				return d
			}
		}
	}
	return nil
}

// outcome takes the outcome of a delivery.
func (d *delivery) outcome(o relay.Outcome) {
	e := d.entry
	if o.Class.Accepted() || o.Class == relay.ClassHandleFailed {
		d.destination.slow = false
	}
	switch {
	case o.Class == relay.ClassResolved:
		d.spreadOver(o.Instances)
		return
	case o.Class == relay.ClassParked && o.Reason == relay.ReasonNone:
		if e.alone() {
			d.step, e.state = idle, toRead
			e.retryLater(10*time.Millisecond, time.Second)
		} else {
			d.readAgain()
		}
		if !e.m.leases.mayRead(e.shard) {
			e.abandon()
		}
		return
	case o.Class == relay.ClassParked && o.Reason == relay.ReasonFull && d.waitForRoom(&o):
		return
	case o.Class == relay.ClassParked:
		d.destination.slow = true
		d.park(&o)
		return
	case o.Class == relay.ClassRejected && e.id.Pending() && e.alone():
		e.reject(o.Error)
		return
	}
	change := e.m.config.Policy.Change(d.to, past(e), o, e.m.random.Float64)
	if d.checking {
		change, _ = e.m.config.Policy.Over(d.to, past(e), o.Gone)
	}
	d.decide(change)
	e.finish()
}

// letsNextGo reports whether the change lets the next message of the key go.
func (d *delivery) letsNextGo(c *retry.Change) bool {
	switch c.Status {
	case relay.DeliveryDead:
		return !d.entry.m.subscriber(c.ID.Subscription, d.to).BlockOnDead
	case relay.DeliveryCancelled, relay.DeliveryHandled, relay.DeliveryDelivered, relay.DeliveryAwaitingAck:
		return true
	}
	return false
}

// park has a delivery wait in the table for a reason. What the table says already is not
// written again.
func (d *delivery) park(o *relay.Outcome) {
	e, reason := d.entry, o.Reason
	if !e.id.Pending() && e.parent == nil && e.open.Reason == reason && o.Lack == relay.ResourceNone && reason != relay.ReasonNone {
		if reason != relay.ReasonKeyBlocked {
			e.m.destinations.noteParked(d.destination)
		}
		e.leaveInTable()
		return
	}
	d.decide(e.m.config.Policy.Change(d.to, past(e), *o, nil))
	e.finish()
}

// decide notes what is to be written of a delivery. The next one of its queue may go at once if it
// was accepted. If it has ended otherwise, it has to be written first: after a crash it would be
// tried again, and the next one would have passed it.
func (d *delivery) decide(change retry.Change) {
	d.step, d.change = decided, change
	d.entry.undecided--
	switch q := d.queue; {
	case q == nil || !d.letsNextGo(&change):
	case change.Status == relay.DeliveryDead || change.Status == relay.DeliveryCancelled:
		d.step = endedInOrder
	default:
		q.letNextGo(d)
	}
}

// finish has an entry written, read again or started that was waited for.
func (e *entry) finish() {
	switch {
	case e.parent != nil:
	case e.state == toRead:
		e.readSoon()
	case e.state == ready && e.undecided == 0 && len(e.deliveries) > 0:
		changes := make([]retry.Change, len(e.deliveries))
		for i, d := range e.deliveries {
			changes[i] = d.change
		}
		e.write.command.Spread = e.deliveries[0].spread
		e.write.put(changes, "")
	}
}

// split takes a message up whose deliveries have not all ended: those that have are written
// with it, the others go on as entries of their own.
func (e *entry) split() {
	var rest []*delivery
	changes := make([]retry.Change, len(e.deliveries))
	for i, d := range e.deliveries {
		if d.step >= decided {
			changes[i] = d.change
			rest = append(rest, d)
			continue
		}
		changes[i] = d.unchanged()
		changes[i].Status = relay.DeliveryWaiting
		if d.queue != nil && d.step == idle {
			changes[i].Reason = relay.ReasonKeyBlocked
		}
		e.detach(d, changes[i])
	}
	e.deliveries, e.undecided = rest, 0
	e.m.budget.entries -= len(e.children) - 1 + min(1, len(rest))
	e.write.put(changes, "")
}

// detach makes a delivery an entry of its own, which goes on while its message is taken up.
func (e *entry) detach(d *delivery, change retry.Change) {
	child := &entry{
		id: change.ID, seq: e.seq, shard: e.shard, epoch: e.epoch, key: e.key, state: ready, readAt: e.readAt, due: e.due,
		message: e.message, bytes: e.bytes, undecided: 1, parent: e, deliveries: []*delivery{d},
		open: retry.Open{Status: change.Status, Reason: change.Reason},
	}
	d.entry = child
	if other := e.m.open[child.id]; other != nil { // from an earlier life of the message
		other.reportedAgain = false
		other.remove()
	}
	e.m.entries.register(child)
	e.m.budget.bytes += child.bytes
	if child.key != nil {
		child.key.opens++
	}
	e.children = append(e.children, child)
}

// spreadOver replaces a delivery of a broadcast by one for each instance: in memory while the
// message is pending, else in the table.
func (d *delivery) spreadOver(instances []string) {
	e := d.entry
	if !e.id.Pending() {
		d.spreadOpen(instances)
		return
	}
	fresh := make([]*delivery, len(instances))
	for i, instance := range instances {
		to := *d.to
		to.Instance, to.Attempt = instance, 1
		fresh[i] = &delivery{entry: e, to: &to, destination: e.m.destinations.of(to.Circuit())}
		if d.queue != nil {
			fresh[i].queue = e.key.queue(to.Subscriber.Name, instance)
		}
	}
	size := e.bytes
	e.discharge()
	at := slices.Index(e.deliveries, d)
	e.deliveries = slices.Concat(e.deliveries[:at], fresh, e.deliveries[at+1:])
	e.undecided += len(fresh) - 1
	e.bytes = size
	e.charge()
	if e.splitAt == 0 && len(e.deliveries) > 1 {
		splitLater(e)
	}
	for _, f := range fresh {
		f.launch()
	}
	if d.queue != nil {
		d.queue.letNextGo(d)
	}
}

// spreadOpen writes the instances' deliveries in the place of the one that stands in the table.
func (d *delivery) spreadOpen(instances []string) {
	e := d.entry
	for _, instance := range instances {
		to := *d.to
		to.Instance = instance
		c := retry.Unchanged(&to, retry.Past{})
		c.Status, c.Reason = relay.DeliveryWaiting, relay.ReasonKeyBlocked
		if d.queue == nil {
			c.Reason, c.Next = relay.ReasonNone, 0
		}
		d.spread = append(d.spread, c)
	}
	change := d.unchanged()
	change.Status = relay.DeliveryWaiting
	d.decide(change)
	e.finish()
}
