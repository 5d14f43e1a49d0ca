package simulate

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"relay"
	"relay/reconcile/machine"
)

// kind says what happens at a moment.
type kind uint8

const (
	doOp       kind = iota // a step of the history
	endOp                  // its effect ends
	doCommit               // a transaction commits
	doVisible              // what it wrote can be seen
	doReport               // the stream shows a transaction to a relay
	doCommand              // a statement runs
	doEvent                // a relay hears of something
	doTick                 // a relay's timer goes off
	doSend                 // an attempt begins
	doRenew                // a relay renews its leases
	doSweep                // a relay's schedule says that it is time to sweep
	doStart                // a relay starts
	doRest                 // it is looked whether everything is at rest
	doAck                  // a consumer acknowledges
	doFindAcks             // a relay looks for acknowledgements
	doFlush                // the WAL is flushed as far as a transaction
)

// happening is something that will happen. Those of one moment come in the order in which they
// were made.
type happening struct {
	at      time.Duration
	order   int
	kind    kind
	relay   int
	life    int // of the relay
	a, b    int
	event   machine.Event
	command machine.Command
}

// world is one run of a history.
type world struct {
	h      *history
	now    time.Duration
	queue  []happening
	orders int
	db     database
	stream stream
	relays []*process
	subs   []*relay.Subscriber
	dests  [len(subNames)]destination
	rngs   [rngKinds]random
	steps  int
	broken error
	calm   bool // all is well from now on
	ended  bool
	tell   *[]string // what happens, in words
}

// The things that vary, each by a generator of its own.
const (
	rngReads = iota
	rngWrites
	rngStream
	rngSends
	rngAnswers
	rngRelays
	rngAcks
	rngRoom
	rngKinds
)

// run runs a history and returns what was broken.
func run(h *history, tell *[]string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the machine panics: %v\n%s", p, debug.Stack())
		}
	}()
	w := &world{h: h, tell: tell, subs: slices.Clone(h.subs)}
	for i := range w.rngs {
		w.rngs[i] = random(h.seed + uint64(i)*0x9e3779b97f4a7c15)
	}
	w.db.begin(w)
	for i := range w.dests {
		w.dests[i].begin()
	}
	if h.adversary >= 0 {
		w.dests[h.adversary].mode = h.adversaryMode()
	}
	for i := range h.relays {
		w.addRelay(time.Duration(i) * 10 * time.Millisecond)
	}
	for i := range h.ops {
		w.at(h.ops[i].at, happening{kind: doOp, a: i})
	}
	w.at(healed, happening{kind: doRest})
	for len(w.queue) > 0 && w.broken == nil && !w.ended {
		x := w.pop()
		w.now = x.at
		w.happen(&x)
		if w.steps++; w.steps > 200_000 {
			w.fail("the relays never come to rest: %d steps until %s", w.steps, w.now)
		}
	}
	return w.broken
}

func (h *history) adversaryMode() int { return 1 + int(h.seed%6) }

// fail notes what was broken first.
func (w *world) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf("after %s: %s", w.now.Round(time.Microsecond), fmt.Sprintf(format, args...))
	}
}

// say tells what happens.
func (w *world) say(format string, args ...any) {
	if w.tell != nil {
		*w.tell = append(*w.tell, fmt.Sprintf("%8.3f s  ", w.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

// at plans something.
func (w *world) at(at time.Duration, x happening) {
	x.at, x.order = max(at, w.now), w.orders
	w.orders++
	w.queue = append(w.queue, x)
	for i := len(w.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !w.queue[i].before(&w.queue[parent]) {
			break
		}
		w.queue[parent], w.queue[i] = w.queue[i], w.queue[parent]
		i = parent
	}
}

// in plans something after a while.
func (w *world) in(d time.Duration, x happening) { w.at(w.now+d, x) }

func (x *happening) before(y *happening) bool {
	return x.at < y.at || x.at == y.at && x.order < y.order
}

func (w *world) pop() happening {
	first := w.queue[0]
	last := len(w.queue) - 1
	w.queue[0] = w.queue[last]
	w.queue[last] = happening{}
	w.queue = w.queue[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if w.queue[child].before(&w.queue[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		w.queue[least], w.queue[i] = w.queue[i], w.queue[least]
		i = least
	}
}

func (w *world) happen(x *happening) {
	switch x.kind {
	case doOp:
		w.begin(&w.h.ops[x.a])
	case endOp:
		w.end(&w.h.ops[x.a])
	case doCommit:
		w.commit(x.a)
	case doVisible:
		w.db.show(x.a)
	case doFlush:
		w.flush(w.db.txs[x.a].committed)
	case doRest:
		w.rest()
	case doAck:
		w.acknowledge(x.a, x.b)
	default:
		w.onRelay(x)
	}
}

// rest ends the run when everything has come to rest, and fails if that takes too long.
func (w *world) rest() {
	if !w.calm {
		w.heal()
	}
	switch why := w.restless(); {
	case why == "":
		w.ended = true
		w.checkRest()
	case w.now > healed+w.h.restWithin():
		w.fail("%s, %s after all was well again", why, w.now-healed)
	default:
		w.in(500*time.Millisecond, happening{kind: doRest})
	}
}

// heal lets everything work from now on.
func (w *world) heal() {
	w.calm = true
	w.say("From now on all is well.")
	for i := range w.h.ops {
		if w.h.ops[i].kind != opInsert && w.h.ops[i].at+w.h.ops[i].lasts > w.now {
			w.end(&w.h.ops[i])
		}
	}
	for i := range w.dests {
		w.dests[i].mode, w.dests[i].open, w.dests[i].failures = accepts, false, 0
	}
}
