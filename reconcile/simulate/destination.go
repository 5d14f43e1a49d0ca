package simulate

import (
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/retry"
)

// How a destination answers.
const (
	accepts = iota
	refuses
	failsLogic
	hangs
	isSlow
	losesConnection
	rejectsForGood
	modes
)

var modeWords = [modes]string{
	"accepts", "refuses connections", "answers that its logic failed", "hangs", "is slow", "takes messages and loses its connections", "answers 410",
}

// destination is the model of one destination and of the lane that the relays have for it.
type destination struct {
	mode      int
	active    int
	failures  int
	open      bool
	probeAt   time.Duration
	pausedAt  time.Duration
	reordered time.Duration
}

const concurrency = 4

func (d *destination) begin() { d.reordered, d.pausedAt = -1, -1 }

var started = time.Unix(1, 0)

// send begins an attempt that the machine asked for at a time, if it may begin.
func (w *world) send(p *process, c machine.Send, asked time.Duration) {
	i := subOf(c.Delivery.Subscriber.Name)
	dest := &w.dests[i]
	parked := relay.Outcome{Class: relay.ClassParked}
	switch {
	case !p.owns[c.Shard]:
		w.ends(p, c, 0, parked)
		return
	case p.clock(w) >= c.Before:
		parked.Reason, parked.Pace = relay.ReasonFull, 20
		w.ends(p, c, 0, parked)
		return
	case c.Delivery.Subscriber.Paused:
		parked.Reason = relay.ReasonPaused
		w.ends(p, c, 0, parked)
		return
	case dest.open && !(c.Due && w.now >= dest.probeAt):
		parked.Reason = relay.ReasonCircuitOpen
		w.ends(p, c, 0, parked)
		return
	case dest.active >= concurrency && w.h.noRoom && w.rngs[rngRoom].one(2):
		parked.Reason, parked.Pace = relay.ReasonFull, float64(10*w.rngs[rngRoom].below(3))
		w.ends(p, c, 0, parked)
		return
	case dest.active >= concurrency:
		w.in(20*time.Millisecond, happening{kind: doSend, relay: p.id, life: p.life, b: int(asked), command: c})
		return
	}
	if dest.open {
		dest.probeAt = w.now + time.Second
	}
	r := &w.db.rows[rowOf(c.Delivery.Message.ID)]
	w.checkStart(p, r, i, c.Delivery.Attempt)
	w.checkPrefix(p, r, i, asked)
	s := &r.subs[i]
	s.underWay = append(s.underWay, underWay{relay: p.id, life: p.life, epoch: p.epochs[r.shard]})
	s.started++
	s.before = s.before || r.again && c.Delivery.Message.CreatedAt.Unix() != int64(r.version)
	if w.tell != nil {
		w.say("Relay %d sends message %d to %s, attempt %d.", p.id, r.seq, subNames[i], c.Delivery.Attempt)
	}
	dest.active++
	o, after := w.answers(dest, r, i, c.Delivery.Attempt)
	o.Started, o.Duration = started, after
	w.ends(p, c, after, o)
}

// ends tells a relay how an attempt ended.
func (w *world) ends(p *process, c machine.Send, after time.Duration, o relay.Outcome) {
	s := c.Delivery.Subscriber
	e := machine.AttemptEnded{Entry: c.Entry, Subscription: s.Name, Instance: c.Delivery.Instance, Outcome: o}
	w.in(after, happening{kind: doEvent, relay: p.id, life: p.life, event: e})
}

// answers returns what the destination answers to an attempt, and when.
func (w *world) answers(dest *destination, r *row, i, attempt int) (o relay.Outcome, after time.Duration) {
	rng := &w.rngs[rngAnswers]
	after = time.Millisecond + rng.upTo(4*time.Millisecond)
	if w.h.hot {
		after += 10*time.Millisecond + rng.upTo(150*time.Millisecond)
	}
	took := relay.Outcome{Class: relay.ClassDelivered}
	if w.subs[i].AckByConsumer {
		took.Class = relay.ClassAwaitingAck
	}
	switch dest.mode {
	case refuses:
		return relay.Outcome{Class: relay.ClassPushFailed, Error: "refused"}, after
	case failsLogic:
		return relay.Outcome{Class: relay.ClassHandleFailed, Error: "failed"}, after
	case hangs:
		if rng.one(2) {
			w.accept(r, i, attempt)
		}
		return relay.Outcome{Class: relay.ClassPushFailed, Error: "timed out"}, 700 * time.Millisecond
	case isSlow:
		w.accept(r, i, attempt)
		return took, 200*time.Millisecond + rng.upTo(1200*time.Millisecond)
	case losesConnection:
		if rng.one(2) {
			w.accept(r, i, attempt)
		}
		return relay.Outcome{Class: relay.ClassUnknown, Error: "connection lost"}, after
	case rejectsForGood:
		return relay.Outcome{Class: relay.ClassDead, Error: "gone"}, after
	}
	w.accept(r, i, attempt)
	return took, after
}

// accept notes that a destination took a message. A consumer that acknowledges does so later.
func (w *world) accept(r *row, i, attempt int) {
	s := &r.subs[i]
	if !s.accepted {
		s.accepted, s.acceptedAt = true, w.now
	}
	s.told = proof{}
	if w.subs[i].AckByConsumer {
		w.in(time.Millisecond+w.rngs[rngAcks].upTo(time.Second), happening{kind: doAck, a: int(r.seq - 1), b: i<<16 | attempt})
	}
}

// told notes that a relay hears how an attempt ended.
func (w *world) told(p *process, e *machine.AttemptEnded) {
	o := &e.Outcome
	if o.Started.IsZero() {
		return
	}
	i := subOf(e.Subscription)
	dest := &w.dests[i]
	dest.active = max(0, dest.active-1)
	switch {
	case o.Class.Accepted():
		dest.failures, dest.open = 0, false
	case o.Class == relay.ClassPushFailed:
		if dest.failures++; dest.failures >= 4 {
			dest.open = true
		}
	}
	r := &w.db.rows[rowOf(e.Entry.Message)]
	s := &r.subs[i]
	for j, f := range s.underWay {
		if f.relay == p.id && f.life == p.life {
			s.underWay = append(s.underWay[:j], s.underWay[j+1:]...)
			if o.Class.Accepted() && !s.told.written {
				s.told = proof{known: true, relay: p.id, life: p.life, epoch: f.epoch}
			}
			break
		}
	}
	if w.tell != nil {
		w.say("Relay %d hears that %s %s message %d.", p.id, subNames[i], classWords(o.Class), r.seq)
	}
}

// room answers how much room a destination has.
func (w *world) room(p *process, x *happening, name string) {
	dest := &w.dests[subOf(name)]
	room := concurrency - dest.active
	if dest.open {
		if room = 0; w.now >= dest.probeAt {
			room = 1
		}
	}
	if w.h.noRoom && w.rngs[rngRoom].one(4) {
		room = 0
	}
	w.answer(p, x, machine.Room{Destination: name, Deliveries: max(0, room)})
}

// acknowledge has a consumer say how its work ended.
func (w *world) acknowledge(i, what int) {
	r := &w.db.rows[i]
	j, attempt := what>>16, what&0xffff
	s := &r.subs[j]
	rng := &w.rngs[rngAcks]
	if !w.calm && rng.one(4) || !r.sees(w.now) || s.ack != nil && s.ack.Handled {
		return // it says nothing
	}
	if r.status != relay.MessagePending && !(r.status == relay.MessageOpen && s.unfinished()) {
		return
	}
	s.ack, s.ackOf = &relay.Ack{Handled: w.calm || !rng.one(4), Retry: true}, attempt
	if s.ack.Handled && !s.accepted {
		s.accepted, s.acceptedAt = true, w.now // it took the message before a person had that sent again
	}
	w.say("The consumer of %s acknowledges message %d: handled %t.", subNames[j], r.seq, s.ack.Handled)
}

// findAcks tells a relay what consumers have acknowledged.
func (w *world) findAcks(p *process) {
	w.in(acksEvery, happening{kind: doFindAcks, relay: p.id, life: p.life})
	var found machine.Acknowledged
	for i := range w.db.rows {
		r := &w.db.rows[i]
		for j := range w.subs {
			if w.db.acknowledged(r, j) && p.holds(&w.db, r.shard) {
				d := w.db.delivery(r, j)
				d.Key = r.keyName()
				found.Deliveries = append(found.Deliveries, d)
			}
		}
	}
	if len(found.Deliveries) > 0 {
		w.step(p, found)
	}
}

// acknowledged reports whether something that a consumer said can be applied to a delivery.
func (d *database) acknowledged(r *row, i int) bool {
	s := &r.subs[i]
	return s.ack != nil && r.status == relay.MessageOpen && s.unfinished() && (s.ack.Handled || s.ackOf <= s.attempts)
}

// readAck is the statement of machine.ReadAck.
func (d *database) readAck(c machine.ReadAck) machine.AckRead {
	r, j := &d.rows[rowOf(c.Entry.Message)], subOf(c.Entry.Subscription)
	if !d.acknowledged(r, j) {
		return machine.AckRead{Entry: c.Entry, None: true}
	}
	s := &r.subs[j]
	return machine.AckRead{
		Entry: c.Entry, Word: retry.Word{Ack: *s.ack, Attempt: s.ackOf},
		Delivery: &relay.Delivery{Message: r.copy(), Subscriber: d.w.subs[j], Attempt: s.attempts},
		Open:     retry.Open{Status: s.status, Reason: s.reason, Attempts: s.attempts, HandleAttempts: s.handles, Accepted: s.delivered},
	}
}
