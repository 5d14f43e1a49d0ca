package reconcile

import "sync"

// readAhead is how many pending messages of one key are read at once: without it each
// message of a hot key would cost a statement of its own.
const readAhead = 64

// keyring knows the keys with messages in memory and how far they were read.
type keyring struct {
	mu   sync.Mutex
	keys map[string]*keyState
}

type keyState struct {
	last   int64 // the highest sequence taken into memory
	flying int   // messages in memory
	more   bool  // the table has more of them
}

func newKeyring() *keyring { return &keyring{keys: make(map[string]*keyState)} }

// after returns the sequence after which a key is read.
func (k *keyring) after(key string) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := k.keys[key]; st != nil {
		return st.last
	}
	return 0
}

// took notes that a message of a key was taken into memory.
func (k *keyring) took(key string, seq int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := k.keys[key]
	if st == nil {
		st = &keyState{}
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
	if read = st.more && st.flying <= readAhead/2; read {
		st.more = false
	}
	if st.flying == 0 {
		delete(k.keys, key)
	}
	return read
}
