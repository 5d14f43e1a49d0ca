package machine

import (
	"math"
	"slices"
	"time"

	"relay"
)

// key is everything that the relay knows of one ordering key.
type key struct {
	m       *Machine
	name    string
	shard   int16
	entries []*entry // pending messages, in the order of their sequences
	opens   int      // deliveries of open messages
	queues  []*queue
	unseen  int // entries that SQL has not shown yet
	written int // entries whose outcomes are being written
	// knownUpTo is the sequence up to which every pending message is known, as long as gap is the
	// machine's: as long as all that committed since was reported.
	knownUpTo int64
	// incomplete says that the table may hold a pending message with a higher sequence that is not in memory: nothing
	// that has one, too, starts.
	incomplete   bool
	gap          int
	fullSnapshot relay.Snapshot // of the last read from the beginning

	toRead        bool // it is to be read
	queued        bool // it stands in the machine's list
	more          bool // the table has more than is in memory
	moreUnordered bool // so it has of what waits for a subscription that has no order any more
	lastRead      startedRead
	ahead         int // how many pending messages are read at once
	paced         time.Duration

	advancing bool
	tries     int // reads in vain
	retryAt   time.Duration
	checkAt   time.Duration // when it is looked whether something waits for too long
}

// startedRead is the read of a key that was asked for last.
type startedRead struct {
	ReadKey
	underWay    bool
	at          time.Duration
	epoch       int64
	gap         int
	dueSearches int   // how often due times had been searched
	lost        int64 // the lowest sequence of those that have left memory since; zero: none has
}

// key returns what is known of a key.
func (m *Machine) key(name string, shard int16) *key {
	k := m.keys[name]
	if k == nil {
		k = &key{m: m, name: name, shard: shard, gap: -1, ahead: m.config.ReadAhead, paced: m.now}
		m.keys[name] = k
	}
	return k
}

// readKey has a key read; from its beginning if something is known to be there that the
// stream has not shown.
func (m *Machine) readKey(name string, shard int16, begin bool) {
	if !m.leases.mayRead(shard) {
		return
	}
	k := m.key(name, shard)
	if begin {
		k.gap = -1
	}
	k.readSoon()
}

// report notes a message that the stream has shown. Until SQL shows it too, nothing of the key
// with a higher sequence starts.
func (k *key) report(r *Report) {
	m := k.m
	if e := m.pending[r.ID]; e != nil {
		e.reportedAgain = e.reportedAgain || e.state != unseen
		return
	}
	if !m.budget.fits(false) {
		k.lose(r.Seq)
		m.reports.noteGap()
		m.sweepLater(pendingOnly)
		k.forgetIfEmpty()
		return
	}
	e := &entry{id: relay.DeliveryID{Message: r.ID}, seq: r.Seq, shard: k.shard, key: k, xid: r.XID, state: unseen}
	m.entries.register(e)
	k.insert(e)
	k.unseen++
	k.readSoon()
}

// insert puts a pending message into its place.
func (k *key) insert(e *entry) {
	i := len(k.entries)
	for i > 0 && k.entries[i-1].seq > e.seq {
		i--
	}
	k.entries = slices.Insert(k.entries, i, e)
}

// readSoon has the key read as soon as that is allowed. Whatever a read that is under way brings,
// it is read once more.
func (k *key) readSoon() {
	if k == nil {
		return
	}
	k.toRead = true
	if !k.queued && !k.lastRead.underWay {
		k.queued = true
		k.m.unread = append(k.m.unread, k)
	}
}

// position is the sequence behind which the key is read.
func (k *key) position() int64 {
	if k.gap != k.m.gap || k.m.due.finding {
		return 0
	}
	if e := unseenBefore(k, math.MaxInt64); e != nil {
		return max(0, min(k.knownUpTo, e.seq-1))
	}
	return k.knownUpTo
}

// read asks for the key's messages, unless enough of them are in memory.
func (k *key) read() {
	k.queued = false
	m := k.m
	most := max(0, k.ahead-k.loaded(), min(k.unseen, m.config.MostAhead-k.loaded()), missingAhead(k))
	switch {
	case m.keys[k.name] != k || !k.toRead || k.lastRead.underWay:
		return
	case !m.leases.mayRead(k.shard):
		k.toRead = false
		k.forgetIfEmpty()
		return
	case most == 0:
		k.toRead, k.more = false, true
		return
	}
	c := ReadKey{Key: k.name, Shard: k.shard, After: k.position(), Most: most, ended: k.fullSnapshot}
	if k.toRead, k.more = false, false; c.After == 0 {
		k.gap = m.gap
	}
	for _, e := range k.entries {
		switch {
		case e.state == unseen && e.xid != 0 && len(c.Streamed) < most: // the read shows no others
			if c.Streamed == nil {
				c.Streamed = make(map[relay.ID]bool, min(most, k.unseen))
			}
			c.Streamed[e.id.Message] = true
		case e.state != unseen && e.seq > c.After:
			c.Known = append(c.Known, e.seq)
		}
	}
	for _, q := range k.queues {
		q.wroteMeanwhile = 0
	}
	m.keysReading++
	k.lastRead = startedRead{
		ReadKey: c, underWay: true, at: m.now, epoch: m.leases.of(k.shard).epoch, gap: m.gap, dueSearches: m.due.searches,
	}
	m.do(c)
}

// missingAhead is how many messages are to be read before one that is in memory, which waits for them: those that SQL
// has not shown yet, or one of those that are in the table alone.
func missingAhead(k *key) (n int) {
	if k.unseen == 0 && !k.incomplete {
		return 0
	}
	unseenSoFar := 0
	for _, e := range k.entries {
		switch {
		case e.state == unseen:
			unseenSoFar++
		case k.incomplete && e.seq > k.knownUpTo:
			n = max(1, unseenSoFar)
		default:
			n = unseenSoFar
		}
	}
	return n
}

// lose notes that a pending message is not in memory that is in the table. Zero says that its sequence is not known: it
// may be the lowest.
func (k *key) lose(seq int64) {
	if k == nil {
		return
	}
	seq = max(seq, 1)
	k.knownUpTo, k.incomplete, k.more = min(k.knownUpTo, seq-1), true, true
	if k.lastRead.lost == 0 || seq < k.lastRead.lost {
		k.lastRead.lost = seq
	}
}

// mustWait reports whether a message waits for one of its key with a lower sequence: SQL does not show that yet, or it
// is not in memory.
func (k *key) mustWait(seq int64) bool {
	return k.incomplete && seq > k.knownUpTo || unseenBefore(k, seq) != nil
}

// removeEntry notes that an entry has left memory.
func (k *key) removeEntry(e *entry) {
	if !e.id.Pending() {
		if k.opens--; k.opens == 0 && k.moreUnordered {
			k.moreUnordered = false
			k.readSoon()
		}
	} else if i := slices.Index(k.entries, e); i >= 0 {
		k.entries = slices.Delete(k.entries, i, i+1)
		switch e.state {
		case unseen:
			k.unseen--
		case writing:
			k.written--
		}
	}
	readOn(k)
	k.advance()
}

// loaded is how many pending messages are in memory whose outcomes are not known yet.
func (k *key) loaded() int { return len(k.entries) - k.unseen - k.written }

// readOn has more of a key read when half of what was read ahead is over.
func readOn(k *key) {
	if k.more && k.loaded() <= k.ahead/2 {
		k.pace()
		k.readSoon()
	}
}

// pace decides how far ahead the next read goes, by how soon half of the last was over.
func (k *key) pace() {
	const fast = staleAfter / 12
	took := k.m.now - k.paced
	k.paced = k.m.now
	switch {
	case took < fast:
		k.ahead = min(2*k.ahead, k.m.config.MostAhead)
	case took > 2*fast:
		k.ahead = max(k.ahead/2, k.m.config.ReadAhead)
	}
}

// unseenBefore returns the first message that SQL does not show yet, if its sequence is lower than another; else nil.
func unseenBefore(k *key, seq int64) *entry {
	if k.unseen == 0 {
		return nil
	}
	for _, e := range k.entries {
		if e.seq >= seq {
			return nil
		}
		if e.state == unseen {
			return e
		}
	}
	return nil
}

// advance starts whatever may start, and forgets what nothing is known of any more.
func (k *key) advance() {
	if k == nil || k.advancing {
		return
	}
	k.advancing = true
	waits := false
	for i := 0; i < len(k.queues); i++ {
		waits = k.queues[i].advance() || waits
	}
	k.advancing = false
	if waits && k.checkAt <= k.m.now {
		k.checkAt = k.m.now + staleAfter
		k.m.timers.add(timer{k.checkAt, k})
	}
	k.forgetIfEmpty()
}

// forgetIfEmpty forgets the key, and what is known of its queues, if nothing of it is in memory.
func (k *key) forgetIfEmpty() {
	if k.m.keys[k.name] == k && len(k.entries) == 0 && k.opens == 0 && !k.toRead && !k.lastRead.underWay && !k.advancing {
		delete(k.m.keys, k.name)
	}
}

// onTime acts on a time that has come.
func (k *key) onTime(at time.Duration) {
	if k.m.keys[k.name] != k {
		return
	}
	if at == k.retryAt {
		k.readSoon()
	}
	if at == k.checkAt {
		for _, q := range k.queues {
			q.expire()
		}
		k.advance()
	}
}

// retryLater has the key read again after a while that grows with each try.
func (k *key) retryLater(first, most time.Duration) {
	k.retryAt = k.m.now + min(first<<min(k.tries, 20), most)
	k.tries++
	k.m.timers.add(timer{k.retryAt, k})
}
