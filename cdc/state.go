package cdc

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
)

// State is what a doorbell can say about itself, for readiness pages and for the sweeps, which
// poll while it cannot be heard.
type State struct {
	// Streaming says that commits are heard as they happen.
	Streaming bool
	// Since is when Streaming last changed. Zero means that it never did.
	Since time.Time
	// Why says in one line why there is no stream and which command mends it. Empty
	// while there is one.
	Why string
	// Flaw is Why in its parts: what is the matter, and the command that mends it. Empty while there
	// is a stream.
	Flaw Flaw
	// Failures counts the attempts in vain since there was a stream.
	Failures int
	// Confirmed is the position told to the server last in this session. Everything before it is
	// registered or left to the table. Zero means that none was told.
	Confirmed pglogrepl.LSN
	// ConfirmedLag is how much WAL lies between the slot's confirmed position and the server's, in
	// bytes: what the relay itself has not heard yet. It grows while there is no stream. -1 means
	// that it is unknown, or that there is no slot.
	ConfirmedLag int64
	// RestartLag is how much WAL the slot keeps from being removed, in bytes. Where it is large
	// and ConfirmedLag small, an open transaction of another session holds it. -1 means that it is
	// unknown, or that there is no slot.
	RestartLag int64
	// Holders are the sessions, prepared transactions and slots that keep the server from removing
	// WAL. The stream looks for them while RestartLag is more than 64 MB. Empty means that
	// RestartLag is smaller or that none was found.
	Holders []Holder
	// HeardAt is when the youngest heartbeat was sent that came back in this session, behind its
	// canary where one could be inserted. A row visible before has been rung. Zero means that none
	// came back.
	HeardAt time.Time
}

// String returns the state in one line for a person.
func (st State) String() string {
	lag := fmt.Sprintf("confirmed lag %d bytes, restart lag %d bytes", st.ConfirmedLag, st.RestartLag)
	var text string
	switch known := st.ConfirmedLag >= 0; {
	case !st.Streaming && known:
		text = "no stream: " + st.Why + " (" + lag + ")"
	case !st.Streaming:
		return "no stream: " + st.Why
	case !known:
		return "streaming"
	default:
		text = fmt.Sprintf("streaming, confirmed to %s, %s", st.Confirmed, lag)
	}
	for _, h := range st.Holders {
		text += "; WAL may be held by " + h.String()
	}
	return text
}

// board is where a doorbell's goroutines write down how it stands.
type board struct {
	log *slog.Logger

	mu    sync.Mutex
	state State
	last  string               // the last reason given
	said  map[string]time.Time // when reasons were printed, since commits were last heard
}

// sayAgain is how long a reason is not printed again that takes turns with another one.
const sayAgain = time.Minute

func newBoard(log *slog.Logger) board {
	return board{log: log, state: State{Why: "not started", Flaw: Flaw{Why: "the relay is starting"}, ConfirmedLag: -1, RestartLag: -1}}
}

func (b *board) read() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// update changes the state under the lock.
func (b *board) update(change func(*State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.state)
}

// failed counts an attempt in vain and says why.
func (b *board) failed(err error) {
	b.update(func(st *State) { st.Failures++ })
	b.say(err)
}

// say notes why there is no stream. The same reason again is not printed.
func (b *board) say(err error) {
	why := explain(err)
	b.update(func(st *State) { st.Why, st.Flaw = why, flawOf(err, why) })
	b.warn(why)
}

// flawOf returns the parts of what is said about an error.
func flawOf(err error, said string) Flaw {
	var known *trouble
	if errors.As(err, &known) {
		return Flaw{Why: known.why, Mend: known.mend}
	}
	return Flaw{Why: said}
}

// warn prints a reason unless it is the one given last, or was printed less than sayAgain ago.
func (b *board) warn(why string) {
	if b.news(why) {
		b.log.Warn("new rows are found by sweeps alone until this is mended", "why", why)
	}
}

// news reports whether a reason is to be printed, and notes that it is.
func (b *board) news(why string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	same, now := b.last == why, time.Now()
	b.last = why
	maps.DeleteFunc(b.said, func(_ string, at time.Time) bool { return now.Sub(at) >= sayAgain })
	if _, lately := b.said[why]; same || lately {
		return false
	}
	if b.said == nil {
		b.said = make(map[string]time.Time)
	}
	b.said[why] = now
	return true
}

// up notes that commits are heard from now on.
func (b *board) up() {
	b.mu.Lock()
	failures := b.state.Failures
	b.state = State{Streaming: true, Since: time.Now(), ConfirmedLag: -1, RestartLag: -1}
	b.last, b.said = "", nil
	b.mu.Unlock()
	b.log.Info("new rows are seen as they are committed", "failures", failures)
}

// down notes that they are not. Why comes with the next say.
func (b *board) down() {
	b.update(func(st *State) {
		st.Streaming, st.Since, st.Why, st.Flaw = false, time.Now(), "it has just ended", Flaw{Why: "the stream has just ended"}
	})
}

// unmeasured notes that the lag is unknown.
func (b *board) unmeasured() {
	b.update(func(st *State) { st.ConfirmedLag, st.RestartLag, st.Holders = -1, -1, nil })
}

// stopped notes that the doorbell has stopped trying.
func (b *board) stopped() {
	b.update(func(st *State) { st.Why = "stopped" })
}
