package reconcile

import (
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
	last   int64 // the highest sequence taken into memory
	flying int   // messages in memory
	more   bool  // the table has more of them
	ahead  int   // how many are read at once
	read   time.Time
}

func newKeyring() *keyring { return &keyring{keys: make(map[string]*keyState)} }

// after returns the sequence after which a key is read.
func (k *keyring) after(key string) int64 {
	seq, _ := k.from(key)
	return seq
}

// from returns the sequence after which a key is read, and how many of its messages.
func (k *keyring) from(key string) (after int64, ahead int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := k.keys[key]; st != nil {
		return st.last, st.ahead
	}
	return 0, readAhead
}

// took notes that a message of a key was taken into memory.
func (k *keyring) took(key string, seq int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		st = &keyState{ahead: readAhead, read: time.Now()}
		k.keys[key] = st
	}
	st.last = max(st.last, seq)
	st.flying++
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
// read more of them. back is the message's sequence if it is still to be taken up: reading
// goes back to it, so that nothing overtakes it. Zero: it has come to its end.
func (k *keyring) landed(key string, back int64) (read bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		return false
	}
	st.flying--
	if back > 0 {
		st.last, st.more = min(st.last, back-1), true
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
