package simulate

import (
	"time"

	"relay"
	"relay/reconcile/machine"
)

// rowsOf are the rows that a step of the history inserted.
func (w *world) rowsOf(op int) []int {
	for i := range w.db.txs {
		if w.db.txs[i].op == op {
			return w.db.txs[i].rows
		}
	}
	return nil
}

// byHand has a person or another session change rows.
func (w *world) byHand(o *op) {
	for _, i := range w.rowsOf(o.target) {
		r := &w.db.rows[i]
		if !r.sees(w.now) {
			continue
		}
		switch o.kind {
		case opCancel:
			w.cancel(r)
		case opDelete:
			r.deleted = w.now
			w.say("Message %d is deleted.", r.seq)
		case opRetry:
			w.retry(r)
		case opLock:
			r.locked, r.hindered = true, true
			w.say("A session locks message %d.", r.seq)
		case opRefuse:
			r.hindered = true
			if r.refused, r.failing = o.mode%2 == 0, o.mode%2 == 1; r.failing {
				w.say("A trigger fails whatever is written of message %d.", r.seq)
			} else {
				w.say("A trigger refuses what is written of message %d.", r.seq)
			}
		}
	}
}

func (w *world) byHandEnds(o *op) {
	for _, i := range w.rowsOf(o.target) {
		r := &w.db.rows[i]
		if o.kind == opLock {
			r.locked = false
		} else {
			r.refused, r.failing = false, false
		}
	}
}

func (w *world) cancel(r *row) {
	if r.locked || r.status != relay.MessagePending && r.status != relay.MessageOpen {
		return
	}
	r.status, r.cancelled = relay.MessageCancelled, w.now
	for i := range r.subs {
		if s := &r.subs[i]; s.unfinished() || s.exists && s.status == relay.DeliveryDead {
			s.status, s.next = relay.DeliveryCancelled, -1
		}
		r.subs[i].closed = true
	}
	w.say("A person cancels message %d.", r.seq)
	w.wake(r)
}

// wake makes due what waited for a message that a person has ended, as the same transaction
// does in the product.
func (w *world) wake(ended *row) {
	if ended.key < 0 {
		return
	}
	for j := range w.subs {
		for _, i := range w.db.byKey[ended.key] {
			r := &w.db.rows[i]
			if s := &r.subs[j]; r.status == relay.MessageOpen && s.unfinished() && !s.delivered && !r.outside {
				if s.reason == relay.ReasonKeyBlocked && s.next < 0 && !w.heldByDead(r, j) {
					s.next = w.db.now()
				}
				break
			}
		}
	}
}

// retry has an ended message sent again, outside the order of its key.
func (w *world) retry(r *row) {
	switch r.status {
	case relay.MessagePending, relay.MessageOpen:
		return
	}
	if r.locked || r.again {
		return
	}
	r.status, r.outside, r.again, r.cancelled = relay.MessagePending, true, true, never
	w.db.update(r)
	for i := range r.subs {
		s := &r.subs[i]
		s.accepted, s.closed, s.told, s.ack = false, true, proof{}, nil
	}
	w.say("A person has message %d sent again.", r.seq)
	for _, p := range w.relays {
		w.in(time.Millisecond, happening{kind: doEvent, relay: p.id, life: p.life, event: machine.Found{Rows: []machine.Report{w.db.report(r, false)}}})
	}
}

// endOrphan ends a delivery whose message has ended.
func (d *database) endOrphan(id relay.DeliveryID) {
	r := &d.rows[rowOf(id.Message)]
	s := &r.subs[subOf(id.Subscription)]
	if r.deleted <= d.w.now {
		s.exists = false
		return
	}
	if r.status != relay.MessageOpen && r.status != relay.MessagePending && s.unfinished() {
		s.status = relay.DeliveryCancelled
	}
}
