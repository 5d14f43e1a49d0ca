package simulate

import (
	"encoding/binary"
	"time"

	"relay"
	"relay/reconcile/machine"
)

const never = time.Duration(1<<62 - 1)

// database is the model of the tables: rows that become visible when their transaction does,
// deliveries, leases, acknowledgements.
type database struct {
	w       *world
	txs     []tx
	rows    []row
	byKey   [len(keyNames)][]int // rows, in the order of their sequences
	leases  [shards]lease
	lives   []sign // of relays
	version int    // of the subscriptions
	clock   time.Duration
	reads   fault
	writes  fault
	failing bool // whatever is written of any row fails for its sake
}

// fault says how statements go wrong.
type fault int

const (
	slow fault = 1 + iota
	fails
	sometimesFails
	losesAnswers // it commits, and the answer is lost
)

var faultWords = [...]string{"work", "are slow", "fail", "sometimes fail", "lose their answers"}

// tx is a transaction of an application.
type tx struct {
	xid       uint64
	rows      []int
	op        int
	committed time.Duration
	visible   time.Duration
	ended     bool // it is not in progress any more
	unflushed bool // a crash of the server would undo it
	lost      bool // one has
}

// row is a message with its deliveries.
type row struct {
	id        relay.ID
	seq       int64
	key       int
	shard     int16
	tx        int // that inserted it
	version   int // that wrote it last, of those that leave it pending
	mask      uint8
	size      int64
	inserted  time.Duration
	visible   time.Duration
	deleted   time.Duration
	cancelled time.Duration
	delayed   bool
	dueAt     time.Duration // by the database's clock
	placed    time.Duration // when it took its place in the order of its key
	outside   bool          // a person had it sent again
	again     bool
	status    relay.MessageStatus
	hindered  bool // its outcomes could not be written for a while
	locked    bool
	refused   bool
	failing   bool // whatever is written of it fails
	reason    string
	subs      [len(subNames)]sub
	message   relay.Message
}

// sub is one delivery, and what is known of its attempts.
type sub struct {
	exists    bool
	status    relay.DeliveryStatus
	reason    relay.Reason
	attempts  int
	handles   int
	next      time.Duration // by the database's clock; negative: none
	delivered bool
	due       time.Duration
	acked     int // the attempt whose failure was told
	ack       *relay.Ack
	ackOf     int
	// What the checks know.
	accepted   bool // an attempt was accepted
	acceptedAt time.Duration
	closed     bool // it ended otherwise, so that its key may go on
	told       proof
	underWay   []underWay
	before     bool // an attempt was made by a read from before a person set the message back
	started    int
}

// proof is what a relay knows of an accepted attempt.
type proof struct {
	known   bool // the answer has come
	relay   int
	life    int
	epoch   int64
	written bool
}

// underWay is an attempt under way.
type underWay struct {
	relay, life int
	epoch       int64
}

type lease struct {
	owner int // -1: none
	life  int
	epoch int64
	beat  time.Duration
}

// sign is a relay's sign of life.
type sign struct {
	beat time.Duration
	here bool
}

func (d *database) begin(w *world) {
	d.w, d.clock = w, time.Hour
	d.rows = make([]row, 0, 64)
	d.txs = make([]tx, 0, 32)
	for i := range d.leases {
		d.leases[i].owner = -1
	}
}

// idOf is the id of a row; rowOf finds the row again.
func idOf(i int) (id relay.ID) {
	binary.BigEndian.PutUint32(id[:], uint32(i+1))
	return id
}

func rowOf(id relay.ID) int { return int(binary.BigEndian.Uint32(id[:])) - 1 }

// xidOf is the id of a transaction: they pass the end of 32 bits, and leave out the first three
// of the next ones as PostgreSQL does.
func xidOf(tx int) uint64 {
	if xid := 1<<32 - 8 + uint64(tx); xid < 1<<32 {
		return xid
	}
	return 1<<32 - 8 + uint64(tx) + 3
}

// subOf finds a subscription, or the destination that rows name in its place, by its name.
func subOf(name string) int {
	if name == relay.SubscriptionDirect || name == namedCircuit {
		return namedSub
	}
	return int(name[1] - '0')
}

// circuit is the name of a subscription's destination.
func (d *database) circuit(i int) string {
	if d.w.h.named && i == namedSub {
		return namedCircuit
	}
	return subNames[i]
}

func shardOf(key, index int) int16 {
	if key >= 0 {
		return int16(key % shards)
	}
	return int16(index % shards)
}

// now is the time by the database's clock.
func (d *database) now() time.Duration { return d.w.now + d.clock }

// insert has a transaction insert its rows; it commits later, or not.
func (w *world) insert(o *op) {
	d := &w.db
	t := tx{xid: xidOf(len(d.txs)), op: o.id, committed: never, visible: never}
	for _, in := range o.inserts {
		i := len(d.rows)
		r := row{
			id: idOf(i), seq: int64(i + 1), key: in.key, shard: shardOf(in.key, i), tx: len(d.txs), version: len(d.txs), mask: in.mask, size: in.size,
			inserted: w.now, visible: never, deleted: never, cancelled: never, placed: never, status: relay.MessagePending,
		}
		if in.delay > 0 {
			r.delayed, r.dueAt = true, d.now()+in.delay
		}
		r.message = relay.Message{ID: r.id, Seq: r.seq, Shard: r.shard, Key: r.keyName()}
		d.rows = append(d.rows, r)
		t.rows = append(t.rows, i)
		if in.key >= 0 {
			d.byKey[in.key] = append(d.byKey[in.key], i)
		}
		if w.tell != nil {
			w.say("Transaction %d inserts message %d%s, for %s%s.", len(d.txs)+1, i+1, r.keyWords(), maskWords(in.mask), delayWords(in.delay))
		}
	}
	d.txs = append(d.txs, t)
	w.in(o.commit, happening{kind: doCommit, a: len(d.txs) - 1, b: int(o.visible)})
}

func (r *row) keyName() string {
	if r.key < 0 {
		return ""
	}
	return keyNames[r.key]
}

// commit ends a transaction: the stream shows it, and SQL a while later.
func (w *world) commit(i int) {
	t := &w.db.txs[i]
	o := w.op(t.op)
	if o.abort {
		t.ended = true
		w.say("Transaction %d is rolled back.", i+1)
		return
	}
	t.committed = w.now
	w.say("Transaction %d commits.", i+1)
	if w.h.async {
		t.unflushed = true
		w.in(w.rngs[rngStream].upTo(200*time.Millisecond), happening{kind: doFlush, a: i})
	} else {
		w.stream.committed(w, i)
	}
	if o.visible == 0 {
		w.db.show(i)
		return
	}
	w.say("A standby stalls: SQL shows transaction %d only %s later.", i+1, o.visible.Round(time.Microsecond))
	w.in(o.visible, happening{kind: doVisible, a: i})
}

func (w *world) op(id int) *op {
	for i := range w.h.ops {
		if w.h.ops[i].id == id {
			return &w.h.ops[i]
		}
	}
	return nil
}

// flush makes durable whatever has committed up to a transaction; the stream shows it then.
func (w *world) flush(upTo time.Duration) {
	for i := range w.db.txs {
		if t := &w.db.txs[i]; t.unflushed && t.committed <= upTo {
			t.unflushed = false
			w.stream.committed(w, i)
		}
	}
}

// crashServer undoes what was not flushed.
func (w *world) crashServer() {
	w.say("The server crashes.")
	for i := range w.db.txs {
		t := &w.db.txs[i]
		if !t.unflushed {
			continue
		}
		t.unflushed, t.lost = false, true
		for _, j := range t.rows {
			r := &w.db.rows[j]
			for k := range r.subs {
				if r.subs[k].started > 0 {
					w.fail("message %d was sent to %s, and then lost in a crash of the server", r.seq, subNames[k])
				}
			}
			r.visible, r.placed = never, never
		}
		w.say("Transaction %d is lost.", i+1)
	}
}

// show makes visible what a transaction wrote.
func (d *database) show(i int) {
	t := &d.txs[i]
	t.visible, t.ended = d.w.now, true
	if t.lost {
		return
	}
	for _, r := range t.rows {
		d.rows[r].visible = d.w.now
		if !d.rows[r].delayed {
			d.rows[r].placed = d.w.now
		}
	}
}

// update notes that a transaction of its own, which ends at once, writes a pending row.
func (d *database) update(r *row) {
	d.w.flush(d.w.now)
	r.version = len(d.txs)
	d.txs = append(d.txs, tx{xid: xidOf(len(d.txs)), op: -1, committed: d.w.now, visible: d.w.now, ended: true})
}

// sees reports whether SQL shows a row now.
func (r *row) sees(now time.Duration) bool { return r.visible <= now && r.deleted > now }

// snapshot is pg_current_snapshot().
func (d *database) snapshot() relay.Snapshot {
	s := relay.Snapshot{Xmax: xidOf(len(d.txs)), Durable: true}
	s.Xmin = s.Xmax
	for i := range d.txs {
		s.Durable = s.Durable && !d.txs[i].unflushed
		if !d.txs[i].ended {
			if s.Xmin == s.Xmax {
				s.Xmin = d.txs[i].xid
			}
			s.InProgress = append(s.InProgress, d.txs[i].xid)
		}
	}
	return s
}

// unfinished reports whether a delivery goes on by itself.
func (s *sub) unfinished() bool { return s.exists && !s.status.Ended() }

// inOrder reports whether a delivery that waits has its place in the order of its key.
func (d *database) inOrder(r *row, i int) bool {
	return r.key >= 0 && !r.outside && !r.subs[i].delivered && !d.w.subs[i].Unordered
}

// routed returns the deliveries of a pending message.
func (d *database) routed(r *row, m *relay.Message) []*relay.Delivery {
	out := make([]*relay.Delivery, 0, len(d.w.subs))
	for i, s := range d.w.subs {
		if r.mask&(1<<i) != 0 {
			out = append(out, &relay.Delivery{Message: m, Subscriber: s, Attempt: 1})
		}
	}
	return out
}

// read returns a pending row as a read finds it.
func (d *database) read(r *row) machine.Row {
	waited := d.w.now - r.inserted
	if r.again {
		waited = 0
	}
	if r.dueAt > 0 {
		waited = d.now() - r.dueAt
	}
	m := r.copy()
	row := machine.Row{Message: m, XID: uint32(d.txs[r.version].xid), Size: r.size, Deliveries: d.routed(r, m), Waited: max(0, waited), Unordered: r.outside, Again: r.again}
	if len(row.Deliveries) == 0 {
		row.Rejected = "no route"
	}
	return row
}

// copy is what a read returns: the rows may move in memory. It was created when the row was
// written last, which tells the copies of one row apart.
func (r *row) copy() *relay.Message {
	m := r.message
	m.CreatedAt = time.Unix(int64(r.version), 0)
	return &m
}
