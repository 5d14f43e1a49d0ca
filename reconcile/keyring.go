package reconcile

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// readAhead is how many pending messages of one key are read at once at first: without
	// it each message of a hot key would cost a statement of its own. A key that goes fast
	// is read further ahead, up to mostAhead, so that it never waits for the table.
	readAhead = 64
	mostAhead = 512
	// fastHalf is how soon the first half of what was read ahead has to be over for twice
	// as much to be read: what is in memory has to start within maxKeyWait.
	fastHalf = maxKeyWait / 4
)

// keyring knows the keys with messages in memory and how far they were read.
type keyring struct {
	mu   sync.Mutex
	keys map[string]*keyState
}

type keyState struct {
	last int64 // the highest sequence taken into memory, of those that are not delayed
	// delayed are the sequences of delayed messages in memory; nil: there are none.
	delayed map[int64]bool
	flying  int  // messages in memory
	more    bool // the table has more of them
	ahead   int  // how many are read at once
	read    time.Time
}

func newKeyring() *keyring { return &keyring{keys: make(map[string]*keyState)} }

// after returns the sequence after which a key is read.
func (k *keyring) after(key string) int64 {
	seq, _, _ := k.from(key)
	return seq
}

// from returns the sequence after which a key is read, how many of its messages, and the
// delayed ones that are not, since they are in memory.
func (k *keyring) from(key string) (after int64, ahead int, delayed []int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := k.keys[key]; st != nil {
		return st.last, st.ahead, slices.Collect(maps.Keys(st.delayed))
	}
	return 0, readAhead, nil
}

// took notes that a message of a key was taken into memory.
func (k *keyring) took(key string, seq int64, delayed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		st = &keyState{ahead: readAhead, read: time.Now()}
		k.keys[key] = st
	}
	st.flying++
	if !delayed {
		st.last = max(st.last, seq)
		return
	}
	if st.delayed == nil {
		st.delayed = make(map[int64]bool)
	}
	st.delayed[seq] = true
}

// more notes that the table has more messages of a key than were read. It reports false if
// none is in memory whose end would have the rest read.
func (k *keyring) more(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		return false
	}
	st.more = true
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

// landed notes that a message of a key has left memory, and reports whether it is time to
// read more of them. back says that the message is still to be taken up: reading goes back
// to it, so that nothing overtakes it. Otherwise it has come to its end.
func (k *keyring) landed(key string, seq int64, back bool) (read bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		return false
	}
	st.flying--
	delayed := st.delayed[seq]
	delete(st.delayed, seq)
	if back {
		st.more = true
	}
	if back && !delayed {
		st.last = min(st.last, seq-1)
	}
	if read = st.more && st.flying <= st.ahead/2; read {
		st.more = false
		st.pace(time.Now())
	}
	if st.flying == 0 {
		delete(k.keys, key)
	}
	return read
}
