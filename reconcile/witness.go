package reconcile

import (
	"fmt"
	"sync"
	"time"

	"relay"
)

const (
	// strikesOut is how many sweeps running must find what the stream should have shown
	// before the stream is taken for blind.
	strikesOut = 3
	// suspectsMost bounds what one witness remembers.
	suspectsMost = 1000
)

// stream is what the engine asks of the stream that it hears itself.
type stream interface {
	// Heard returns since when the stream is heard, and when the youngest heartbeat was
	// sent that it has brought back. It returns false if this relay hears no stream.
	Heard() (since, heartbeat time.Time, ok bool)
	// Rebuild replaces the slot for a reason, unless that was done a short while ago.
	Rebuild(why string) bool
}

// witness judges whether the stream is blind, by what the sweeps of one group find. A row
// is suspect if a sweep found it and nobody rang for it, although the sweep before, which
// began when the stream was heard already and after the last row was left to the table,
// had not seen it: it was committed while the stream ran. If it is still pending when it is
// read, and a heartbeat that was sent after it was found has come back, and the row's own
// ring has not, the stream should have shown it. A row that is not pending any more was
// rung, sent and written while the sweep's statement came back.
type witness struct {
	mu       sync.Mutex
	begun    time.Time // of the pass under way
	complete time.Time // when the last complete pass had begun
	left     time.Time // when a row was last left to the table
	suspects map[relay.ID]suspect
	strikes  int
}

// suspect is a row that a sweep found before the stream showed it.
type suspect struct {
	found   time.Time
	pending bool // it was when it was read
}

// begin notes that a pass begins.
func (w *witness) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = now
}

// leave notes that rows were left to the table, which later sweeps find innocently.
func (w *witness) leave(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = now
	clear(w.suspects)
}

// found notes a row that was new to the registry when a sweep found it, and was never
// updated before.
func (w *witness) found(id relay.ID, now, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.complete.After(since) || !w.complete.After(w.left) || len(w.suspects) >= suspectsMost {
		return
	}
	if w.suspects == nil {
		w.suspects = make(map[relay.ID]suspect)
	}
	w.suspects[id] = suspect{found: now}
}

// read notes whether a row was still pending when it was read.
func (w *witness) read(id relay.ID, pending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, suspected := w.suspects[id]
	switch {
	case !suspected:
	case pending:
		s.pending = true
		w.suspects[id] = s
	default:
		delete(w.suspects, id)
	}
}

// rang clears rows that the stream has shown.
func (w *witness) rang(rings []relay.Ring) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.suspects) == 0 {
		return
	}
	for _, ring := range rings {
		delete(w.suspects, ring.ID)
	}
}

// end notes that the pass is complete and returns what it takes for proof that the stream
// is blind, or an empty string.
func (w *witness) end(heartbeat time.Time) (why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complete = w.begun
	missed := 0
	for id, s := range w.suspects {
		if s.pending && s.found.Before(heartbeat) {
			delete(w.suspects, id)
			missed++
		}
	}
	switch {
	case missed > 0:
		w.strikes++
	case len(w.suspects) == 0:
		w.strikes = 0
	}
	if w.strikes < strikesOut {
		return ""
	}
	w.strikes = 0
	return fmt.Sprintf("%d sweeps running found committed rows that it had not shown, %d in the last one", strikesOut, missed)
}
