package reconcile

import (
	"slices"
	"sync"
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
)

// entry is one thing in flight: a message until its outcome is written or, for an open
// message, one of its deliveries.
type entry struct {
	id  sql.DeliveryID // a message has no subscription
	key string
	// streamed says that the stream itself showed the row, which is therefore durable.
	streamed bool
	xid      uint32 // of the transaction that inserted it; zero: the row was visible when it was registered
	// unflushed says that the row may not be durable yet: it is sent only after its WAL is.
	unflushed bool
	looks     int  // how often it was looked for in vain
	reread    bool // it is read again because it took too long the first time
	read      bool
	shard     int16 // once read
	epoch     int64 // of the shard's lease when it was read
	bytes     int64 // that its message holds, once read
	body      *body // not nil: it shares its message with others, which count it together
	since     time.Time
	keyed     bool  // a message that the keyring counts
	anew      bool  // its key is read from the lowest message: one may have its place before what was read already
	seq       int64 // of such a message
	// held says that its outcome waits for another session: a session has locked its row, or
	// the database refuses it.
	held bool
	// deliveries is how many a message has, if they are many; charged how many of them are counted.
	deliveries, charged int
}

// body is one that the deliveries of a message share which is written piece by piece.
type body struct {
	bytes int64
	held  int // by how many entries
}

func (e *entry) isMessage() bool { return e.id.Subscription == "" }

// isKey reports whether the entry stands for a key alone, whose messages are to be read.
func (e *entry) isKey() bool { return e.isMessage() && e.id.Instance != "" }

// todo is what is registered and waits to be read.
type todo struct {
	entries []*entry
	ready   chan struct{}
}

func newTodo() todo { return todo{ready: make(chan struct{}, 1)} }

func (t *todo) push(e *entry) {
	t.entries = append(t.entries, e)
	poke(t.ready)
}

func (t *todo) take(n int) []*entry {
	n = min(n, len(t.entries))
	out := slices.Clone(t.entries[:n])
	if t.entries = t.entries[n:]; len(t.entries) == 0 {
		t.entries = nil
	} else {
		poke(t.ready)
	}
	return out
}

// registry holds what is in flight, bounded in messages and in bytes. What does not fit is
// left to the table.
type registry struct {
	toRead  readQueues
	memory  memory
	byShard shardIndex
	lane    fanoutLane

	max      int
	maxBytes int64

	mu      sync.Mutex
	entries map[sql.DeliveryID]*entry
	bytes   int64
	typical int64  // what the messages read lately held, on average
	onLeft  func() // told, with the mutex held, that something was left to the table
	plain   todo   // without a key: read by ids, in any order
	keyed   todo   // with a key: read by keys, in order
	// Messages with many deliveries have a lane of their own: those without a key that wait for it, the keys that
	// do, and how many deliveries are in it.
	fanout     todo
	fanoutKeys map[string]bool
	fanoutLeft bool // something that would wait for it was left to the table
	fanned     fanned
	// full is told how many things were left to the table for want of room, and which bound was reached.
	full func(want string, n int)
	// onUnregistered is called, without the mutex, when a message that the keyring counts has
	// been unregistered; back says that its row is still to be taken up.
	onUnregistered func(key string, seq int64, back bool)
}

// readQueues are the entries that wait to be read.
type readQueues struct{ *registry }

// memory is the bound of the registry in bytes.
type memory struct{ *registry }

// shardIndex tells which shards have something under way.
type shardIndex struct{ *registry }

// fanoutLane is the lane for messages with many deliveries (fanout.go).
type fanoutLane struct{ *registry }

func newRegistry(maxEntries int, maxBytes int64) *registry {
	r := &registry{
		max: maxEntries, maxBytes: maxBytes,
		entries: make(map[sql.DeliveryID]*entry), plain: newTodo(), keyed: newTodo(), fanout: newTodo(),
		fanoutKeys:     make(map[string]bool),
		onUnregistered: func(string, int64, bool) {}, full: func(string, int) {},
	}
	r.toRead.registry, r.memory.registry, r.byShard.registry, r.lane.registry = r, r, r, r
	return r
}

// tableShare is the part of the registry that is kept for what comes from the table: what sweeps find, what is parked,
// due, or next of its key. Rings fill the rest at the most.
const tableShare = 16

// add registers things to be read, and returns how many were new. A second ring for the
// same thing is dropped; what exceeds the bound is left to the table.
func (r *registry) add(things []entry) (added int) { return r.addUpTo(things, r.max) }

// ring is add for what the doorbell shows.
func (r *registry) ring(things []entry) { r.addUpTo(things, r.max-r.max/tableShare) }

// addUpTo is add with a bound of its own.
func (r *registry) addUpTo(things []entry, most int) (added int) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	left := 0
	for i := range things {
		if known := r.entries[things[i].id]; known != nil {
			known.anew = known.anew || known.isKey() && things[i].anew
			continue
		}
		if len(r.entries) >= most {
			left++
			continue
		}
		e := things[i]
		e.since = now
		r.entries[e.id] = &e
		r.toRead.push(&e)
		added++
	}
	if left > 0 {
		r.full(wantMessages, left)
		r.noteLeft()
	}
	if added > 0 {
		crash.At(crash.AfterRegister)
	}
	return added
}

// noteLeft says that something was left to the table. The caller holds the mutex.
func (r *registry) noteLeft() {
	if r.onLeft != nil {
		r.onLeft()
	}
}

// push puts an entry to what is to be read. The caller holds the mutex.
func (r *readQueues) push(e *entry) {
	r.lane.discharge(e)
	switch {
	case e.key != "":
		r.keyed.push(e)
	case e.deliveries > 0:
		r.fanout.push(e)
	default:
		r.plain.push(e)
	}
}

// fits registers an entry to be read unless it is registered already, which known says, or
// there is no room for it.
func (r *registry) fits(e entry) (room, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries[e.id] != nil {
		return true, true
	}
	if len(r.entries) >= r.max {
		return false, false
	}
	e.since = time.Now()
	r.entries[e.id] = &e
	r.toRead.push(&e)
	return true, false
}

// claim registers an entry that is being read, and returns nil if it is registered already
// or there is no room, not even by going so much beyond the bound.
func (r *registry) claim(e entry, beyond int) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries[e.id] != nil || len(r.entries) >= r.max+beyond {
		return nil
	}
	e.since = time.Now()
	r.entries[e.id] = &e
	return &e
}

// adopt registers a delivery whose message has been read already as an entry of its own,
// beyond the bound if need be: it is in memory anyway. The message's body counts until the last
// of them is gone.
func (r *registry) adopt(id sql.DeliveryID, message *entry) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if message.body == nil {
		message.body = &body{bytes: message.bytes, held: 1}
	}
	message.body.held++
	e := &entry{id: id, key: message.key, streamed: true, read: true, shard: message.shard, epoch: message.epoch, body: message.body, since: time.Now()}
	if message.charged > 0 {
		message.charged--
		e.charged = 1
	}
	r.entries[id] = e
	return e
}

// again puts entries that are still registered back to be read.
func (r *readQueues) again(entries ...*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.push(e)
	}
}

// giveBack returns the bytes of a message that was read and is to be read again later: until
// then nothing of it is under way.
func (r *readQueues) giveBack(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= e.bytes
	e.bytes, e.read = 0, false
}

// reread puts entries that were read, and not handed on, back to be read again.
func (r *readQueues) reread(entries []*entry) {
	var counted []entry
	r.mu.Lock()
	for _, e := range entries {
		r.bytes -= e.bytes
		e.bytes, e.reread = 0, true
		if e.keyed {
			counted = append(counted, *e)
			e.keyed, e.seq = false, 0
		}
		r.push(e)
	}
	r.mu.Unlock()
	for i := range counted {
		r.onUnregistered(counted[i].key, counted[i].seq, true)
	}
}

// rekey hands an entry whose message turned out to have a key to the reader of keys.
func (r *readQueues) rekey(e *entry, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.key, e.anew = key, true
	r.push(e)
}

// has reports whether a message is registered.
func (r *registry) has(id relay.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.entries[sql.DeliveryID{Message: id}] != nil
}

// take returns at most n entries without a key to be read.
func (r *readQueues) take(n int) []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plain.take(min(n, 2*r.memory.fitting()))
}

// waiting is how many entries without a key are to be read.
func (r *readQueues) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.plain.entries)
}

// takeKeyed returns at most n entries with a key to be read.
func (r *readQueues) takeKeyed(n int) []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keyed.take(min(n, 2*r.memory.fitting()))
}

// smallReads is what a read is granted while the bytes are used up, as long as they are not
// exceeded by more than a quarter: small messages do not wait behind large ones.
const smallReads = 256 << 10

// reserve grants up to want bytes of what is free, zero if the reader has to leave all to
// the table.
func (r *memory) reserve(want int64) (granted int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	granted = min(want, r.maxBytes-r.bytes)
	if granted < smallReads && r.bytes < r.maxBytes+r.maxBytes/4 {
		granted = smallReads
	}
	granted = max(0, granted)
	r.bytes += granted
	return granted
}

// leastFitting is how many rows a read or a sweep asks for at the least.
const leastFitting = 16

// fitting is how many rows of the size that was read lately have room: to ask for many that
// find none would be in vain. The caller holds the mutex.
func (r *memory) fitting() int {
	if r.typical == 0 {
		return r.max
	}
	return max(leastFitting, int(min((r.maxBytes-r.bytes)/r.typical, int64(r.max))))
}

// settle replaces a reservation by what the entries really hold.
func (r *memory) settle(granted int64, entries []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= granted
	var sum int64
	for _, e := range entries {
		sum += e.bytes
	}
	r.bytes += sum
	if len(entries) > 0 {
		r.typical = (3*r.typical + sum/int64(len(entries))) / 4
	}
}

// leave unregisters entries whose rows stay as they are in the table, for a sweep to find.
func (r *registry) leave(entries ...*entry) {
	r.mu.Lock()
	r.noteLeft()
	r.mu.Unlock()
	for _, e := range r.unregister(entries) {
		r.onUnregistered(e.key, e.seq, true)
	}
}

// remove unregisters entries whose outcome is written, or that are not needed any more.
func (r *registry) remove(entries ...*entry) {
	for _, e := range r.unregister(entries) {
		r.onUnregistered(e.key, e.seq, false)
	}
}

// unregister takes entries out and returns those that the keyring counts.
func (r *registry) unregister(entries []*entry) (counted []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		if r.drop(e) && e.keyed {
			counted = append(counted, e)
		}
	}
	return counted
}

// drop takes an entry out and gives its bytes back. The caller holds the mutex.
func (r *registry) drop(e *entry) bool {
	if r.entries[e.id] != e {
		return false
	}
	delete(r.entries, e.id)
	r.lane.discharge(e)
	switch {
	case e.body == nil:
		r.bytes -= e.bytes
	case e.body.held == 1:
		r.bytes -= e.body.bytes
	default:
		e.body.held--
	}
	return true
}

// sweepRoom is how many rows a sweep may register, or a look for what is parked: half the registry, rounded up, at
// least the share that is kept for them, and nothing while messages fill more than seven eighths of the bytes:
// deliveries to destinations fill six eighths. Large ones are fewer.
func (r *memory) sweepRoom() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes > r.maxBytes-r.maxBytes/8 {
		return 0
	}
	room := max((r.max+1)/2-len(r.entries), min(r.max/tableShare, r.max-len(r.entries)))
	return max(0, min(room, r.fitting()))
}

// place notes the shard of an entry whose row was read.
func (r *shardIndex) place(e *entry, shard int16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.read, e.shard = true, shard
}

// shards reports which shards have something under way.
func (r *shardIndex) shards() (busy [relay.Shards]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.read {
			busy[e.shard] = true
		}
	}
	return busy
}

// hold notes that the outcomes of entries wait for another session.
func (r *shardIndex) hold(entries ...*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		e.held = true
	}
}

// held reports the shards that have an outcome which waits for another session.
func (r *shardIndex) held() (shards [relay.Shards]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.held {
			shards[e.shard] = true
		}
	}
	return shards
}

// size returns what is in flight.
func (r *memory) size() (entries int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries), r.bytes
}

// messageEntry is the entry of a pending message.
func messageEntry(ring relay.Ring, streamed bool) entry {
	return entry{id: sql.DeliveryID{Message: ring.ID}, key: ring.Key, streamed: streamed, xid: ring.Xid}
}

// keyEntry is the entry of a key whose pending messages are to be read.
func keyEntry(key string) entry {
	return entry{id: sql.DeliveryID{Instance: key}, key: key}
}

// keyEntryAnew is keyEntry for a key that is to be read from its lowest message.
func keyEntryAnew(key string) entry {
	en := keyEntry(key)
	en.anew = true
	return en
}
