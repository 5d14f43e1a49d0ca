package simulate

import (
	"time"

	"relay"
)

// opKind is a kind of step in a history.
type opKind uint8

const (
	opInsert     opKind = iota // a transaction inserts rows, and commits or not
	opCancel                   // a person cancels a message
	opDelete                   // a row is deleted
	opRetry                    // a person has an ended message sent again
	opLock                     // a session locks a row
	opRefuse                   // the database refuses what is written of a row
	opPause                    // a subscription is paused for a while
	opUnordered                // a subscription has no order for a while
	opMode                     // a destination changes how it answers for a while
	opReads                    // reads are slow or fail for a while
	opWrites                   // writes are slow, fail, or lose their answers for a while
	opDisconnect               // the stream breaks off and loses what it had not shown
	opRepeat                   // the stream shows again what it has shown
	opBlind                    // the stream shows nothing for a while
	opSlowStream               // the stream is late for a while
	opCrash                    // a relay is killed, and another one starts in its place
	opFreeze                   // a relay is frozen for a while
	opLeave                    // a relay stops, and starts again later
	opJoin                     // one more relay starts
	opClock                    // the database's clock jumps
	opKinds
	opFailing     // whatever is written of any row fails for its row's sake; in histories of its own
	opServerCrash // the server crashes, and what was not flushed is gone; in asynchronous histories alone
)

// op is one step of a history: what happens, without what it leads to.
type op struct {
	id      int
	kind    opKind
	at      time.Duration
	lasts   time.Duration
	target  int // of an insert's id, a subscription, a relay
	mode    int
	inserts []insert      // of opInsert
	commit  time.Duration // after the insert
	visible time.Duration // after the commit
	abort   bool
}

// insert is one row.
type insert struct {
	key   int // -1: none
	mask  uint8
	delay time.Duration
	size  int64
}

// history is a world's settings and what happens in it.
type history struct {
	seed       uint64
	relays     int
	keys       int
	subs       []*relay.Subscriber
	entries    int
	bytes      int64
	readAhead  int
	attempts   int
	giveUp     time.Duration
	adversary  int // a destination that never accepts anything, while all else is well; -1: none
	acks       bool
	hot        bool          // everything goes to one key
	spread     time.Duration // by how much the inserts of a hot key are closer together
	async      bool          // applications commit asynchronously
	row        bool          // nothing goes wrong but that some rows cannot be written
	groups     int           // of shards, each with sweeps of its own
	unnumbered bool          // the stream does not know the sequences of some rows
	noRoom     bool          // destinations have no room now and then
	clocks     bool          // the database's clock jumps
	named      bool          // rows themselves name one of the destinations
	ops        []op
}

const (
	shards = 4
	active = 3 * time.Second // while things go wrong
	healed = 8 * time.Second // when all is well again at the latest
	// restWithin is how soon everything is at rest when all is well. What a session has changed
	// by hand is found by a sweep that comes once in a minute.
	restWithin       = 30 * time.Second
	restWithinByHand = 90 * time.Second
)

var (
	keyNames = [...]string{"k0", "k1", "k2", "k3"}
	subNames = [...]string{"s0", "s1", "s2"}
)

// namedSub is the place of the destination that rows name, and namedCircuit its name.
const (
	namedSub     = 1
	namedCircuit = "amqp:s1/"
)

// newHistory makes the history of a seed.
func newHistory(seed uint64) *history {
	r := random(seed * 0x2545f4914f6cdd1d)
	h := &history{
		seed: seed, relays: 1 + r.below(3)/2, keys: 1 + r.below(3), readAhead: 1 + r.below(4),
		entries: 12 + r.below(50), bytes: 200_000, attempts: 2 + r.below(20), adversary: -1,
	}
	if r.one(4) {
		h.bytes = 3000
	}
	if r.one(4) {
		h.giveUp = 2*time.Second + r.upTo(10*time.Second)
	}
	for i := range 1 + r.below(3) {
		s := &relay.Subscriber{
			Name: subNames[i], Unordered: r.one(6), BlockOnDead: r.one(4),
			Target: relay.Target{Kind: relay.TargetExchange, Raw: "amqp:x/" + subNames[i], Exchange: "x"},
		}
		if r.one(5) {
			s.AckByConsumer, s.AckTimeout, h.acks = true, 2*time.Second, true
		}
		h.subs = append(h.subs, s)
	}
	if r.one(6) && len(h.subs) > 1 {
		h.adversary = r.below(len(h.subs))
		h.relays, h.giveUp, h.bytes, h.attempts = 1, 0, 200_000, 50
		h.subs[h.adversary].AckByConsumer = false
	}
	h.groups, h.unnumbered, h.noRoom = 1+int(seed%2), seed%5 == 3, seed%3 == 1
	if seed%7 == 6 {
		h.hotKey(&r)
	}
	if h.named = seed%4 == 1 && len(h.subs) > namedSub; h.named {
		h.subs[namedSub].Name, h.subs[namedSub].Target.Exchange = relay.SubscriptionDirect, subNames[namedSub]
	}
	h.addInserts(&r)
	if seed%17 == 9 && seed%13 != 7 && h.adversary < 0 {
		h.entries = 12
		h.add(op{kind: opFailing, at: r.upTo(active / 4), lasts: active})
	}
	if h.row = seed%13 == 7 && h.adversary < 0 && !h.hot; h.row {
		h.relays, h.giveUp, h.bytes = 1, 0, 200_000
		h.blockRow([]opKind{opRefuse, opLock}[seed%2], healed)
		return h
	}
	if h.hot && r.one(2) {
		h.blockRow(opLock, active) // the key stays in memory, and nothing of it is under way
	}
	if h.adversary < 0 {
		h.addFaults(&r)
	}
	if h.named && h.adversary < 0 && seed%8 == 1 {
		h.add(op{kind: opMode, target: namedSub, mode: refuses, at: active * 3 / 4, lasts: active})
	}
	if seed%11 == 5 && h.adversary < 0 {
		h.async = true
		for range 1 + r.below(3) {
			h.add(op{kind: opServerCrash, at: r.upTo(active)})
		}
	}
	return h
}

// groupOf is the group of shards that one belongs to.
func (h *history) groupOf(shard int16) int { return int(shard) % h.groups }

// leastKey is the least key of a row; -1: none.
func leastKey(hot bool) int {
	if hot {
		return 0
	}
	return -1
}

// hotKey has everything go to one key of one subscription, whose transactions commit late while the
// stream shows them later still, or while reads are slow.
func (h *history) hotKey(r *random) {
	h.keys, h.readAhead, h.hot, h.spread = 1, 1+r.below(2), true, time.Duration(1+7*r.below(2))
	h.subs = h.subs[:1]
	h.subs[0].Unordered, h.adversary = false, -1
	if r.one(3) {
		h.add(op{kind: opReads, at: r.upTo(active / 8), lasts: active}) // slow
		return
	}
	h.add(op{kind: opSlowStream, lasts: active})
	for range r.below(3) {
		h.add(op{kind: opDisconnect, at: r.upTo(active / 2)})
	}
}

func (h *history) addInserts(r *random) {
	n := 2 + r.below(14)
	burst := r.one(3)
	for range n {
		o := op{kind: opInsert, at: r.upTo(active), commit: time.Millisecond, abort: r.one(12)}
		if burst {
			o.at /= 32
		}
		if r.one(4) {
			o.commit += r.upTo(400 * time.Millisecond)
		}
		if h.hot {
			o.at, o.commit = time.Duration(r.next()%uint64(active))/h.spread, o.commit+r.upTo(500*time.Millisecond)
		}
		if r.one(5) {
			o.visible = r.upTo(600 * time.Millisecond)
		}
		for range 1 + r.below(3)/2 {
			row := insert{key: max(r.below(h.keys+1)-1, leastKey(h.hot)), mask: uint8(1 + r.below(1<<len(h.subs)-1)), size: int64(10 + r.below(400))}
			if r.one(30) && h.adversary < 0 {
				row.mask = 0
			}
			if r.one(8) {
				row.delay = r.upTo(3 * time.Second)
			}
			if h.hot && r.one(4) {
				row.delay = r.upTo(time.Second)
			}
			o.inserts = append(o.inserts, row)
		}
		h.add(o)
	}
}

func (h *history) addFaults(r *random) {
	for range r.below(9) {
		o := op{kind: opCancel + opKind(r.below(int(opKinds-opCancel))), at: r.upTo(active), lasts: r.upTo(3 * time.Second), mode: r.below(8)}
		switch o.kind {
		case opCancel, opDelete, opRetry, opLock, opRefuse:
			o.target = r.below(len(h.ops))
		case opPause, opUnordered, opMode:
			o.target = r.below(len(h.subs))
		default:
			o.target = r.below(h.relays)
		}
		h.clocks = h.clocks || o.kind == opClock
		h.add(o)
	}
}

// blockRow has a session lock the rows of the first transaction for a while, or a trigger refuse
// what is written of them, from when SQL shows them.
func (h *history) blockRow(kind opKind, lasts time.Duration) {
	var first *op
	for i := range h.ops {
		if o := &h.ops[i]; o.kind == opInsert && (first == nil || o.at < first.at) {
			first = o
		}
	}
	h.add(op{kind: kind, target: first.id, mode: int(h.seed / 2 % 2), at: first.at + first.commit + first.visible + 100*time.Microsecond, lasts: lasts})
}

func (h *history) add(o op) {
	o.id = len(h.ops)
	h.ops = append(h.ops, o)
}

// restWithin is how soon everything has to be at rest.
func (h *history) restWithin() time.Duration {
	for i := range h.ops {
		switch h.ops[i].kind {
		case opDelete, opCancel, opUnordered:
			return restWithinByHand
		}
	}
	return restWithin
}
