package reconcile

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// readAhead is how many pending messages of one key are read at once at first: without
	// it each message of a hot key would cost a statement of its own. A key that goes fast
	// is read further ahead, up to mostAhead, so that it never waits for the table.
	readAhead = 64
	mostAhead = 512
	// fastHalf is how soon the first half of what was read ahead has to be over for twice
	// as much to be read. Half of it is in memory when the next part comes, which makes six
	// such halves until the last has started: that has to be well within maxKeyWait. Once one
	// had to wait longer, and was parked, all behind it go the slow way through the table.
	fastHalf = maxKeyWait / 12
)

// keyring knows the keys with messages in memory and how far they were read. As long as
// each commit is reported, a key is read on after the highest sequence: what
// commits late with a lower one was reported, and is read by its id. When a ring may have been
// lost, each key is read from its lowest pending message once more.
type keyring struct {
	// losses counts the times at which reports may have been lost; it begins with one.
	losses atomic.Int64
	// hidden says that transactions have been reported which SQL does not show yet: each reading
	// begins anew, so that it meets them before what was inserted after they had become visible.
	hidden atomic.Bool

	mu      sync.Mutex
	keys    map[string]*keyState
	reading int64 // the losses when the reader last asked
}

type keyState struct {
	last  int64          // the highest sequence taken into memory
	taken map[int64]bool // the sequences in memory
	// asOf are the losses that there had been when all below last was read. Zero: some was left.
	asOf  int64
	more  bool // the table has more of them
	ahead int  // how many are read at once
	read  time.Time
}

func newKeyring() *keyring {
	k := &keyring{keys: make(map[string]*keyState)}
	k.reportsLost()
	return k
}

// reportsLost notes that commits may not have been reported.
func (k *keyring) reportsLost() { k.losses.Add(1) }

// after returns the highest sequence taken into memory; zero: none is there.
func (k *keyring) after(key string) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := k.keys[key]; st != nil {
		return st.last
	}
	return 0
}

// from returns the sequence after which a key is read, how many of its messages, and those
// behind that sequence that are not read, since they are in memory. The caller reads at once.
func (k *keyring) from(key string) (after int64, ahead int, taken []int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading = k.losses.Load()
	st := k.keys[key]
	if st == nil {
		return 0, readAhead, nil
	}
	if st.asOf == k.reading && !k.hidden.Load() {
		return st.last, st.ahead, nil
	}
	st.asOf = k.reading
	return 0, st.ahead, slices.Collect(maps.Keys(st.taken))
}

// took notes that a message of a key was taken into memory.
func (k *keyring) took(key string, seq int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		st = &keyState{ahead: readAhead, read: time.Now(), asOf: k.reading, taken: make(map[int64]bool)}
		k.keys[key] = st
	}
	st.taken[seq] = true
	st.last = max(st.last, seq)
}

// full reports whether as much of a key is in memory as may be. What was to be read now is
// read when there is room, from the lowest message on: it may have its place before others.
func (k *keyring) full(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil || len(st.taken) < st.ahead {
		return false
	}
	st.more, st.asOf = true, 0
	return true
}

// readAnew notes that the next reading of a key begins with its lowest message.
func (k *keyring) readAnew(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := k.keys[key]; st != nil {
		st.asOf = 0
	}
}

// more notes that the table has more messages of a key than were read, and that some may have
// been reported already: the next reading begins anew. It reports false if none is in
// memory whose end would have the rest read.
func (k *keyring) more(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		return false
	}
	st.more, st.asOf = true, 0
	return true
}

// pace decides how far ahead the next reading goes, by how soon half of the last was over.
func (st *keyState) pace(now time.Time) {
	took := now.Sub(st.read)
	st.read = now
	switch {
	case took < fastHalf:
		st.ahead = min(2*st.ahead, mostAhead)
	case took > 2*fastHalf:
		st.ahead = max(st.ahead/2, readAhead)
	}
}

// unregistered notes that a message of a key has left memory, and reports whether it is time to
// read more of them. back says that the message is still to be taken up: reading goes back
// to it, so that nothing overtakes it. Otherwise it has come to its end.
func (k *keyring) unregistered(key string, seq int64, back bool) (read bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		return false
	}
	delete(st.taken, seq)
	if back {
		st.more, st.asOf = true, 0
	}
	if read = st.more && len(st.taken) <= st.ahead/2; read {
		st.more = false
		st.pace(time.Now())
	}
	if len(st.taken) == 0 {
		delete(k.keys, key)
	}
	return read
}
