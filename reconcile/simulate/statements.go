package simulate

import (
	"slices"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/retry"
)

// waitingMost is how many unfinished deliveries of one queue a read shows.
const waitingMost = 3

// readKey is the statement of machine.ReadKey.
func (d *database) readKey(c machine.ReadKey) machine.KeyRead {
	now := d.w.now
	out := machine.KeyRead{Key: c.Key, Snapshot: d.snapshot()}
	var counts [len(subNames)]int
	for _, i := range d.byKey[c.Key[1]-'0'] {
		r := &d.rows[i]
		if r.visible > now {
			continue
		}
		switch r.status {
		case relay.MessagePending:
			switch {
			case r.deleted > now && r.delayed:
				out.Late = out.Late || r.dueAt <= d.now()
			case r.deleted <= now || r.seq <= c.After || slices.Contains(c.Known, r.seq):
			case len(out.Rows) == c.Most:
				out.More = true
			default:
				out.Rows = append(out.Rows, d.read(r))
			}
		default:
			d.waiting(&out, r, &counts)
		}
	}
	return out
}

// waiting adds what waits of a row that is open or has ended.
func (d *database) waiting(out *machine.KeyRead, r *row, counts *[len(subNames)]int) {
	for i := range d.w.subs {
		s := &r.subs[i]
		if !s.exists || r.outside || s.delivered {
			continue
		}
		w := machine.Waiting{ID: relay.DeliveryID{Message: r.id, Subscription: d.w.subs[i].Name}, Seq: r.seq, Destination: d.circuit(i)}
		switch {
		case s.status == relay.DeliveryDead && r.deleted <= d.w.now:
			continue
		case s.status == relay.DeliveryDead:
			w.State = relay.WaitsDead
		case s.status.Ended() || r.status != relay.MessageOpen || counts[i] > waitingMost:
			continue
		case counts[i] == waitingMost:
			w.State = relay.WaitsMore
		case s.next >= 0 && s.next <= d.now():
			w.State = relay.WaitsDue
		case s.next >= 0:
			w.State = relay.WaitsForTime
		case s.reason == relay.ReasonKeyBlocked:
			w.State = relay.WaitsForKey
		default:
			w.State = relay.WaitsForRoom
		}
		if w.State != relay.WaitsDead {
			counts[i]++
		}
		out.Waiting = append(out.Waiting, w)
	}
}

// readRow is the statement of machine.ReadRow.
func (d *database) readRow(c machine.ReadRow) machine.RowRead {
	out := machine.RowRead{Entry: c.Entry, Snapshot: d.snapshot()}
	r := &d.rows[rowOf(c.Entry.Message)]
	switch {
	case !r.sees(d.w.now):
	case c.Entry.Subscription == "":
		switch {
		case r.status != relay.MessagePending:
			out.Verdict = machine.Finished
		case r.delayed:
			out.Verdict = machine.Later
		default:
			out.Verdict, out.Row = machine.Readable, d.read(r)
		}
	default:
		d.readDelivery(&out, r, subOf(c.Entry.Subscription))
	}
	return out
}

func (d *database) readDelivery(out *machine.RowRead, r *row, i int) {
	s := &r.subs[i]
	switch {
	case !s.exists:
	case r.status != relay.MessageOpen || s.status.Ended():
		out.Verdict = machine.Finished
	case s.next > d.now(), s.ack != nil && (s.ack.Handled || s.ackOf <= s.attempts) && (s.status != relay.DeliveryWaiting || s.attempts > 0):
		out.Verdict = machine.Later
	default:
		out.Verdict = machine.Readable
		m := r.copy()
		out.Row = machine.Row{
			Message: m, Size: r.size, Waited: max(0, d.now()-s.due), Unordered: r.outside,
			Deliveries: []*relay.Delivery{{Message: m, Subscriber: d.w.subs[i], Attempt: s.attempts + 1}},
			Open:       &retry.Open{Status: s.status, Reason: s.reason, Attempts: s.attempts, HandleAttempts: s.handles, Accepted: s.delivered},
		}
	}
}

// write is the statement of machine.Write. It returns zero if the change is in the table.
func (d *database) write(p *process, c *machine.Write) machine.Why {
	l := &d.leases[c.Shard]
	r := &d.rows[rowOf(c.Entry.Message)]
	switch {
	case l.owner != p.id || l.life != p.life || l.epoch != c.Epoch:
		return machine.WhyFenced
	case !r.sees(d.w.now):
		return machine.WhyGone
	case r.locked:
		return machine.WhyLocked
	case c.Taking && (r.status != relay.MessagePending || r.again != c.Again), !c.Taking && (r.status != relay.MessageOpen || !r.subs[subOf(c.Entry.Subscription)].unfinished()):
		return machine.WhyGone
	case r.failing || d.failing:
		return machine.WhyFailed
	case r.refused && c.Changes[0].Attempt != nil:
		return machine.WhyRefused
	}
	d.w.flush(d.w.now) // a commit of the relay's flushes those before it
	if c.Taking {
		d.takeUp(r, c)
	} else {
		d.change(r, &c.Changes[0])
	}
	d.conclude(r)
	return 0
}

func (d *database) takeUp(r *row, c *machine.Write) {
	d.w.checkTaken(r, c)
	if c.MessageStatus == relay.MessageRejected {
		r.status, r.reason = relay.MessageRejected, c.Changes[0].Error
		return
	}
	r.status = relay.MessageOpen
	for i := range r.subs {
		r.subs[i].exists = false
	}
	for i := range c.Changes {
		s := &r.subs[subOf(c.Changes[i].ID.Subscription)]
		s.exists, s.delivered, s.acked = true, false, 0
		s.due = d.now()
		d.change(r, &c.Changes[i])
	}
}

// change writes one delivery.
func (d *database) change(r *row, c *retry.Change) {
	i := subOf(c.ID.Subscription)
	s := &r.subs[i]
	status, next, reason := c.Status, c.Next, c.Reason
	if s.ack != nil && c.Acknowledges {
		if s.ack.Handled {
			status, next, reason = relay.DeliveryHandled, -1, relay.ReasonNone
			s.ack = nil
		} else if c.AckAttempt > 0 && s.ackOf <= c.AckAttempt {
			s.ack, s.acked = nil, c.AckAttempt
		}
	}
	s.status, s.reason, s.attempts, s.handles = status, reason, c.Attempts, c.HandleAttempts
	s.next = -1
	if next >= 0 {
		s.next = d.now() + next
	}
	switch status {
	case relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryAwaitingAck:
		s.delivered = true
		s.told.written = true
		if !s.accepted {
			d.w.fail("message %d counts as %s at %s, which never took it", r.seq, status, subNames[i])
		}
	case relay.DeliveryDead:
		s.closed = s.closed || !d.w.subs[i].BlockOnDead
	}
	if d.w.tell != nil {
		d.w.say("Message %d at %s is written as %s%s.", r.seq, subNames[i], status, reasonWords(reason))
	}
}

// conclude ends a message that has nothing outstanding.
func (d *database) conclude(r *row) {
	if r.status != relay.MessageOpen {
		return
	}
	dead := false
	for i := range r.subs {
		if r.subs[i].unfinished() {
			return
		}
		dead = dead || r.subs[i].exists && r.subs[i].status == relay.DeliveryDead
	}
	r.status = relay.MessageDone
	if dead {
		r.status = relay.MessageDead
	}
}

// findDue makes delayed messages that are due ordinary ones, and finds what may be tried again.
func (d *database) findDue(p *process, limit int) machine.Due {
	out := machine.Due{Next: -1}
	note := func(at time.Duration) {
		if wait := at - d.now(); wait > 0 && (out.Next < 0 || wait < out.Next) {
			out.Next = wait
		}
	}
	for i := range d.rows {
		r := &d.rows[i]
		if !p.holds(d, r.shard) || r.visible > d.w.now {
			continue
		}
		if r.status == relay.MessagePending && r.delayed && r.deleted > d.w.now {
			if note(r.dueAt); r.dueAt <= d.now() && !(r.locked && !d.w.h.row) && len(out.Messages) < limit {
				r.delayed, r.placed = false, d.w.now
				d.update(r)
				out.Messages = append(out.Messages, d.report(r, false))
			}
		}
		for j := range d.w.subs {
			s := &r.subs[j]
			if r.status != relay.MessageOpen || !s.unfinished() || s.next < 0 {
				continue
			}
			if note(s.next); s.next <= d.now() && len(out.Deliveries) < limit {
				out.Deliveries = append(out.Deliveries, d.delivery(r, j))
			}
		}
	}
	return out
}

// overdue tells a relay which deliveries have been due for too long and are not under way.
func (w *world) overdue(p *process) {
	var found machine.Overdue
	d := &w.db
	for i := range d.rows {
		r := &d.rows[i]
		for j := range w.subs {
			s := &r.subs[j]
			if w.h.giveUp == 0 || !p.holds(d, r.shard) || r.status != relay.MessageOpen || !s.unfinished() || s.status == relay.DeliveryAwaitingAck ||
				s.next > d.now() || d.now()-s.due <= w.h.giveUp {
				continue
			}
			found.Deliveries = append(found.Deliveries, d.delivery(r, j))
		}
	}
	if len(found.Deliveries) > 0 {
		w.step(p, found)
	}
}

func (d *database) delivery(r *row, i int) machine.DueDelivery {
	out := machine.DueDelivery{ID: relay.DeliveryID{Message: r.id, Subscription: d.w.subs[i].Name}, Shard: r.shard}
	if d.inOrder(r, i) {
		out.Key = r.keyName()
	}
	return out
}

func (d *database) report(r *row, stream bool) machine.Report {
	out := machine.Report{ID: r.id, Key: r.keyName(), Shard: r.shard}
	if r.outside {
		out.Key = ""
	}
	if stream {
		if out.XID = uint32(d.txs[r.tx].xid); !d.w.h.unnumbered || r.seq%2 == 0 {
			out.Seq = r.seq
		}
	}
	if r.delayed {
		out.DueIn = max(1, r.dueAt-d.now())
	}
	return out
}

// readParked is the statement of machine.ReadParked.
func (d *database) readParked(p *process, c machine.ReadParked) machine.Parked {
	out := machine.Parked{Destination: c.Destination, End: true}
	j := subOf(c.Destination)
	for i := range d.rows {
		r := &d.rows[i]
		if !p.holds(d, r.shard) || !d.parked(r, j) || r.seq <= c.After {
			continue
		}
		if len(out.Deliveries) == c.Limit {
			out.End = false
			break
		}
		out.Deliveries, out.Last = append(out.Deliveries, d.delivery(r, j)), r.seq
	}
	return out
}

func (d *database) parked(r *row, i int) bool {
	s := &r.subs[i]
	return r.status == relay.MessageOpen && s.unfinished() && s.next < 0 && s.reason != relay.ReasonKeyBlocked
}

// backlog is the statement of machine.FindBacklog. Of the destinations that rows name it lists one part after the
// other.
func (d *database) backlog(c machine.FindBacklog) (out machine.Backlog) {
	for j := range d.w.subs {
		if relay.CircuitOfRow(d.circuit(j)) && c.After != "" {
			continue
		}
		for i := range d.rows {
			if d.parked(&d.rows[i], j) {
				if out.Destinations = append(out.Destinations, d.circuit(j)); relay.CircuitOfRow(d.circuit(j)) {
					out.After = d.circuit(j)
				}
				break
			}
		}
	}
	return out
}

// sweep makes one statement of a relay's pass: messages without a key by their sequence, then
// keys.
func (d *database) sweep(p *process, c machine.Sweep) (out machine.Swept) {
	out.Group = c.Group
	at := &p.swept[c.Group]
	if c.Begin {
		*at = 0
	}
	for ; *at < len(d.rows); *at++ {
		if len(out.Rows) == c.Limit {
			return out
		}
		r := &d.rows[*at]
		if (r.key < 0 || r.outside) && d.w.h.groupOf(r.shard) == c.Group && p.holds(d, r.shard) && r.sees(d.w.now) && r.status == relay.MessagePending && !r.delayed {
			out.Rows = append(out.Rows, d.report(r, false))
		}
	}
	for k := range d.byKey {
		if d.w.h.groupOf(shardOf(k, 0)) == c.Group && d.keyWants(p, k, c.Waiting) {
			out.Keys = append(out.Keys, machine.Report{Key: keyNames[k], Shard: shardOf(k, 0)})
		}
	}
	out.End = true
	return out
}

func (d *database) keyWants(p *process, k int, waiting bool) bool {
	for _, i := range d.byKey[k] {
		r := &d.rows[i]
		switch {
		case !p.holds(d, r.shard) || r.visible > d.w.now:
		case r.status == relay.MessagePending && r.deleted > d.w.now && !r.delayed && !r.outside:
			return true
		case waiting && r.status == relay.MessageOpen:
			for j := range d.w.subs {
				if r.subs[j].unfinished() && !r.subs[j].delivered {
					return true
				}
			}
		}
	}
	return false
}
