package simulate

import (
	"fmt"
	"slices"
	"time"

	"relay"
	"relay/reconcile/machine"
)

const (
	// tooLate is how long after a cancel an attempt may begin.
	tooLate = 2 * time.Second
	// pausedLate is how long after a pause: the relays have to hear of it, too.
	pausedLate = tooLate + renewEvery + time.Second
	// progress is how soon a healthy destination has what is sent to it, whatever else happens.
	progress = 4 * time.Second
	// passing is how long messages of a key stay in memory at most that wait there for a slow subscriber: until they are
	// split, or parked. What is behind as many as are read ahead follows then.
	passing = 1250 * time.Millisecond
	// parkedAfter is how long a message waits in memory behind one of its key before it is parked.
	parkedAfter = time.Second
)

// checkStart checks that an attempt may begin now.
func (w *world) checkStart(p *process, r *row, i, attempt int) {
	s := &r.subs[i]
	epoch := p.epochs[r.shard]
	switch {
	case r.visible > w.now:
		w.fail("message %d is sent to %s before it is committed and visible", r.seq, subNames[i])
	case r.deleted <= w.now-tooLate:
		w.fail("message %d is sent to %s although it was deleted %s before", r.seq, subNames[i], w.now-r.deleted)
	case r.cancelled <= w.now-tooLate:
		w.fail("message %d is sent to %s although it was cancelled %s before", r.seq, subNames[i], w.now-r.cancelled)
	case r.placed == never:
		w.fail("message %d is sent to %s before it is due", r.seq, subNames[i])
	case r.mask&(1<<i) == 0:
		w.fail("message %d is sent to %s, which did not subscribe to it", r.seq, subNames[i])
	case attempt > w.h.attempts:
		w.fail("attempt %d of message %d is made at %s, of at most %d", attempt, r.seq, subNames[i], w.h.attempts)
	case w.subs[i].Paused && w.dests[i].pausedAt <= w.now-pausedLate:
		w.fail("message %d is sent to %s although that has been paused for %s", r.seq, subNames[i], w.now-w.dests[i].pausedAt)
	}
	for _, f := range s.underWay {
		if f.epoch == epoch && (f.relay != p.id || f.life == p.life) {
			w.fail("message %d is under way to %s twice under epoch %d", r.seq, subNames[i], epoch)
		}
	}
	w.checkRepeat(p, r, i)
	w.checkOrder(r, i)
}

// checkRepeat checks that what was accepted is sent again only if that may be unknown.
func (w *world) checkRepeat(p *process, r *row, i int) {
	s := &r.subs[i]
	if !s.accepted || w.subs[i].AckByConsumer || s.before {
		return
	}
	t := &s.told
	if t.written {
		w.fail("message %d is sent to %s again although the table says that it was delivered", r.seq, subNames[i])
	}
	if t.known && t.relay == p.id && t.life == p.life && t.epoch == p.epochs[r.shard] {
		w.fail("message %d is sent to %s again although this relay knows that it was accepted", r.seq, subNames[i])
	}
}

// checkOrder checks that whatever was committed before the message was inserted has been
// accepted, or does not hold its key any more.
func (w *world) checkOrder(b *row, i int) {
	if b.key < 0 || b.outside || w.subs[i].Unordered || w.dests[i].reordered >= 0 || b.subs[i].accepted {
		return
	}
	for _, j := range w.db.byKey[b.key] {
		a := &w.db.rows[j]
		if w.place(a) > b.inserted || a == b || a.outside || a.mask&(1<<i) == 0 || a.deleted <= w.now {
			continue
		}
		if s := &a.subs[i]; !s.accepted && !s.closed && a.status != relay.MessageRejected && a.status != relay.MessageCancelled {
			w.fail("message %d is sent to %s before message %d of its key, which was committed when it was inserted", b.seq, subNames[i], a.seq)
		}
	}
}

// place is when a message took its place in the order of its key. One that was delayed has it from when it was due,
// even if that is noted later.
func (w *world) place(r *row) time.Duration {
	if r.dueAt == 0 || w.h.clocks || r.visible == never {
		return r.placed
	}
	return max(r.visible, r.dueAt-w.db.clock)
}

// checkPrefix checks that a message passes none of its key with a lower sequence that the stream
// has shown to this relay, and that SQL does not show yet.
func (w *world) checkPrefix(p *process, b *row, i int, asked time.Duration) {
	if b.key < 0 || b.outside || w.subs[i].Unordered || w.dests[i].reordered >= 0 || b.subs[i].delivered {
		return
	}
	for _, s := range p.shown {
		if a := &w.db.rows[s.row]; a.key == b.key && a.seq < b.seq && a.visible > w.now && s.at < asked {
			w.fail("message %d is sent to %s before message %d of its key, which the stream has shown and SQL does not show yet", b.seq, subNames[i], a.seq)
		}
	}
}

// checkBlocked checks that nothing is sent to a destination that has too many outcomes which cannot be written. What is
// sent together with others of its message is left out. changes is how often that had changed before.
func (w *world) checkBlocked(p *process, c *machine.Send, changes int) {
	r, i := &w.db.rows[rowOf(c.Entry.Message)], subOf(c.Delivery.Subscriber.Name)
	alone := r.mask == 1<<i || c.Entry.Subscription != "" && r.status == relay.MessageOpen
	if names, now := p.m.Blocked(); alone && now == changes && names[w.db.circuit(i)] {
		w.fail("message %d is sent to %s although too many of its outcomes cannot be written", r.seq, subNames[i])
	}
}

// checkTaken checks what a message is taken up with.
func (w *world) checkTaken(r *row, c *machine.Write) {
	if c.MessageStatus == relay.MessageRejected {
		if r.mask != 0 && !r.refused {
			w.fail("message %d is rejected although it has a route: %s", r.seq, c.Changes[0].Error)
		}
		return
	}
	var mask uint8
	for i := range c.Changes {
		mask |= 1 << subOf(c.Changes[i].ID.Subscription)
	}
	if mask != r.mask {
		w.fail("message %d is taken up without some of its deliveries", r.seq)
	}
}

// checkBudget checks that a relay holds no more than it may.
func (w *world) checkBudget(p *process) {
	held := p.m.Held()
	if held.Entries < 0 || held.Entries > w.h.entries+2*len(w.subs) || held.Bytes < 0 || held.Bytes > w.h.bytes+w.h.bytes/2+2000 {
		w.fail("relay %d holds %d entries and %d bytes of %d and %d", p.id, held.Entries, held.Bytes, w.h.entries, w.h.bytes)
	}
}

// restless says what has not come to rest; empty: everything has.
func (w *world) restless() string {
	for i := range w.db.txs {
		if !w.db.txs[i].ended {
			return fmt.Sprintf("transaction %d is open", i+1)
		}
	}
	for i := range w.db.rows {
		r := &w.db.rows[i]
		if !r.sees(w.now) {
			continue
		}
		if r.status == relay.MessagePending {
			return fmt.Sprintf("message %d is still pending", r.seq)
		}
		for j := range w.subs {
			if s := &r.subs[j]; r.status == relay.MessageOpen && s.unfinished() && !w.heldByDead(r, j) {
				return fmt.Sprintf("message %d is still %s%s at %s", r.seq, s.status, reasonWords(s.reason), subNames[j])
			}
		}
	}
	for _, p := range w.relays {
		if p.alive && p.m.Held() != (machine.Held{}) {
			return fmt.Sprintf("relay %d still holds %d entries and %d bytes", p.id, p.m.Held().Entries, p.m.Held().Bytes)
		}
	}
	return ""
}

// heldByDead reports whether a delivery waits behind one of its key that is dead.
func (w *world) heldByDead(r *row, i int) bool {
	if !w.subs[i].BlockOnDead || r.key < 0 {
		return false
	}
	for _, j := range w.db.byKey[r.key] {
		a := &w.db.rows[j]
		if a.sees(w.now) && a.seq != r.seq && a.subs[i].exists && a.subs[i].status == relay.DeliveryDead && !a.outside {
			return true
		}
	}
	return false
}

// hindered reports whether outcomes of a message, or of one of its key, could not be written for a while.
func (w *world) hindered(r *row) bool {
	return r.hindered || r.key >= 0 && slices.ContainsFunc(w.db.byKey[r.key], func(i int) bool { return w.db.rows[i].hindered })
}

// shownLate reports whether SQL has shown a message, or one of its key, so late that those behind it may have been
// parked.
func (w *world) shownLate(r *row) bool {
	return r.key >= 0 && slices.ContainsFunc(w.db.byKey[r.key], func(i int) bool {
		a := &w.db.rows[i]
		return a.visible-w.db.txs[a.tx].committed > parkedAfter/2
	})
}

// checkRest checks what everything has come to.
func (w *world) checkRest() {
	for i := range w.db.rows {
		r := &w.db.rows[i]
		if !r.sees(w.now) || r.status == relay.MessageCancelled {
			continue
		}
		for j := range w.subs {
			s := &r.subs[j]
			if r.mask&(1<<j) == 0 {
				continue
			}
			if r.status == relay.MessageDone && !s.accepted {
				w.fail("message %d is done, and %s never had it", r.seq, subNames[j])
			}
			if (w.h.noRoom || w.shownLate(r)) && w.hindered(r) {
				continue // that a message found no room, or waited behind another, has to be written before it is sent
			}
			if took := s.acceptedAt - max(r.visible, r.placed); took > w.bound(r) && (w.h.row || w.h.adversary >= 0 && j != w.h.adversary) {
				w.fail("message %d reached %s after %s only, although nothing was wrong but one destination or one transaction's rows", r.seq, subNames[j], took)
			}
		}
	}
}

// bound is how soon a healthy destination has a message. One of a key may be behind many that a slow subscriber has not
// got yet: they pass through memory by as many as are read ahead.
func (w *world) bound(r *row) time.Duration {
	if r.key < 0 || w.h.adversary < 0 {
		return progress
	}
	before := 0
	for _, i := range w.db.byKey[r.key] {
		if a := &w.db.rows[i]; a.seq < r.seq && a.sees(w.now) && a.subs[w.h.adversary].acceptedAt > max(r.visible, r.placed) {
			before++
		}
	}
	return max(progress, time.Duration(before/w.h.readAhead+2)*passing)
}
