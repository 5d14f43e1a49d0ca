package simulate

import (
	"time"

	"relay/reconcile/machine"
)

// begin has a step of the history happen.
func (w *world) begin(o *op) {
	switch o.kind {
	case opInsert:
		w.insert(o)
	case opCancel, opDelete, opRetry, opLock, opRefuse:
		w.byHand(o)
	case opPause:
		w.setPaused(o.target, true)
	case opUnordered:
		w.setUnordered(o.target, !w.subs[o.target].Unordered)
	case opMode:
		w.dests[o.target].mode = o.mode % modes
		w.say("Destination %s now %s.", subNames[o.target], modeWords[o.mode%modes])
	case opReads:
		w.db.reads = fault(1 + o.mode%3)
		w.say("Reads of the table now %s.", faultWords[w.db.reads])
	case opWrites:
		w.db.writes = fault(1 + o.mode%4)
		w.say("Writes into the table now %s.", faultWords[w.db.writes])
	case opDisconnect:
		w.stream.disconnect(w)
	case opRepeat:
		w.stream.repeat(w, 1+o.mode)
	case opFailing:
		w.db.failing = true
		w.say("Whatever is written of any row fails for its sake from now on.")
	case opBlind:
		w.stream.blind = true
		w.say("The stream shows nothing from now on.")
	case opServerCrash:
		w.crashServer()
	case opSlowStream:
		w.stream.slow = true
		w.say("The stream is late from now on.")
	case opClock:
		w.db.clock += time.Duration(o.mode-3) * 400 * time.Millisecond
		w.say("The database's clock jumps by %s.", time.Duration(o.mode-3)*400*time.Millisecond)
	default:
		w.upset(o)
	}
	if o.kind != opInsert {
		w.in(o.lasts, happening{kind: endOp, a: w.indexOf(o)})
	}
}

func (w *world) indexOf(o *op) int {
	for i := range w.h.ops {
		if &w.h.ops[i] == o {
			return i
		}
	}
	return -1
}

// end has the effect of a step end.
func (w *world) end(o *op) {
	switch o.kind {
	case opLock, opRefuse:
		w.byHandEnds(o)
	case opPause:
		w.setPaused(o.target, false)
	case opMode:
		w.dests[o.target].mode = accepts
		w.say("Destination %s accepts again.", subNames[o.target])
	case opReads:
		w.db.reads = 0
		w.say("Reads of the table work again.")
	case opWrites:
		w.db.writes = 0
		w.say("Writes into the table work again.")
	case opFailing:
		w.db.failing = false
		w.say("What is written is taken again.")
	case opBlind:
		if w.stream.blind {
			w.stream.blind = false
			w.say("It is noticed that the stream was blind.")
			w.stream.disconnect(w)
		}
	case opSlowStream:
		w.stream.slow = false
	}
}

// upset does something to a relay.
func (w *world) upset(o *op) {
	if o.kind == opJoin {
		if len(w.relays) < 3 {
			w.addRelay(w.now)
		}
		return
	}
	if o.target >= len(w.relays) {
		return
	}
	p := w.relays[o.target]
	if !p.alive {
		return
	}
	switch o.kind {
	case opCrash:
		w.say("Relay %d is killed.", p.id)
		w.die(p)
		w.in(time.Millisecond+o.lasts/2, happening{kind: doStart, relay: p.id})
	case opFreeze:
		p.frozen = max(p.frozen, w.now+o.lasts)
		w.say("Relay %d is frozen for %s.", p.id, o.lasts.Round(time.Millisecond))
	case opLeave:
		w.say("Relay %d stops in good order.", p.id)
		p.leaving = true
		w.step(p, machine.Stop{})
		for shard := range p.owns {
			if p.owns[shard] {
				w.step(p, machine.Drain{Shard: int16(shard)})
			}
		}
		w.in(5*time.Second, happening{kind: doStart, relay: p.id, life: p.life})
	}
}

func (w *world) setPaused(sub int, paused bool) {
	if w.subs[sub].Paused == paused {
		return
	}
	s := *w.subs[sub]
	s.Paused = paused
	w.subs[sub] = &s
	w.dests[sub].pausedAt = w.now
	w.db.version++
	w.say("Subscription %s is paused: %t.", s.Name, paused)
}

func (w *world) setUnordered(sub int, unordered bool) {
	s := *w.subs[sub]
	s.Unordered = unordered
	w.subs[sub] = &s
	w.db.version++
	w.dests[sub].reordered = w.now
	w.say("Subscription %s is made unordered: %t.", s.Name, unordered)
}
