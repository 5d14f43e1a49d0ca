package cdc

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// State is what a Stream can say about itself, for readiness pages and for whoever has to
// poll while there is no stream.
type State struct {
	// Streaming says that commits are heard as they happen.
	Streaming bool
	// Since is when Streaming last changed. Zero: it never did.
	Since time.Time
	// Why says in one line why there is no stream and which command mends it. Empty
	// while there is one.
	Why string
	// Failures counts the attempts in vain since there was a stream.
	Failures int
	// Confirmed is the position told to the server last in this session. Everything
	// before it is registered or left to the table.
	Confirmed pglogrepl.LSN
	// ConfirmedLag is how much WAL lies between the slot's confirmed position and the
	// server's, in bytes: what the relay itself has not heard yet. -1: unknown.
	ConfirmedLag int64
	// RestartLag is how much WAL the slot keeps from being removed, in bytes. Where it is
	// large and ConfirmedLag small, somebody else's open transaction holds it, and Holders
	// names the culprit. -1: unknown.
	RestartLag int64
	// HeardAt is when the youngest heartbeat was sent that came back in this session. A
	// row visible before has been rung, unless the stream is blind. Zero: none came back.
	HeardAt time.Time
}

// String returns the state in one line for a person.
func (st State) String() string {
	if !st.Streaming {
		return "no stream: " + st.Why
	}
	return fmt.Sprintf("streaming, confirmed to %s, confirmed lag %s, restart lag %s",
		st.Confirmed, lagText(st.ConfirmedLag), lagText(st.RestartLag))
}

func lagText(bytes int64) string {
	if bytes < 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// State returns how the stream stands.
func (s *Stream) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Streaming reports whether commits are heard as they happen; else whoever waits for
// rows must poll.
func (s *Stream) Streaming() bool {
	return s.State().Streaming
}

// rebuildEvery bounds how often a mere suspicion costs a slot.
const rebuildEvery = 5 * time.Minute

// Rebuild replaces the slot, because the stream is suspected to be blind: rows were
// committed that it did not show, for the reason given. It reports false, and does
// nothing, when there is no stream or the last such suspicion is younger than 5 minutes.
func (s *Stream) Rebuild(why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil || !s.mayDoubt() {
		return false
	}
	s.cancel(&suspicion{why: why})
	return true
}

// mayDoubt reports whether a suspicion may cost the slot now, and notes that it does.
// The caller holds the lock.
func (s *Stream) mayDoubt() bool {
	if time.Since(s.doubts) < rebuildEvery {
		return false
	}
	s.doubts = time.Now()
	return true
}

// suspicion ends a session and costs the slot.
type suspicion struct{ why string }

// Error says what was observed.
func (e *suspicion) Error() string { return "the stream is rebuilt: " + e.why }

// failed counts an attempt in vain and says why.
func (s *Stream) failed(err error) {
	s.metrics.failures.Inc()
	s.mu.Lock()
	s.state.Failures++
	s.mu.Unlock()
	s.say(explain(err))
}

// say notes why there is no stream. The same reason again is not printed.
func (s *Stream) say(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Why = why
	if why != s.said {
		s.cfg.Log.Warn("no stream", "why", why)
		s.said = why
	}
}

// started notes that the stream is on; cancel ends it.
func (s *Stream) started(cancel context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Log.Info("streaming", "slot", s.cfg.Slot, "publication", s.cfg.Publication,
		"failures", s.state.Failures)
	s.state = State{Streaming: true, Since: time.Now(), ConfirmedLag: -1, RestartLag: -1}
	s.said = ""
	s.marker = marker{}
	s.cancel = cancel
	s.metrics.up.Set(1)
	s.metrics.sessions.Inc()
}

// ended notes that the stream is off. Why comes with the next say.
func (s *Stream) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Streaming, s.state.Since = false, time.Now()
	s.state.Why = "the stream has ended"
	s.cancel = nil
	s.metrics.up.Set(0)
}

// confirmed notes what the server was told, and whether the last heartbeat lies before it.
func (s *Stream) confirmed(position pglogrepl.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Confirmed = position
	if s.marker.out && position >= s.marker.end {
		s.state.HeardAt = s.marker.at
		s.marker.out = false
	}
}

// unreadable has the table swept for rows that the stream did not identify, because the
// publication's columns lacked the id when they were written.
func (s *Stream) unreadable() {
	const why = "rows came without an id; they are swept instead"
	s.sink.Missed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said != why {
		s.cfg.Log.Warn("stream cannot be read", "why", why, "publication", s.cfg.Publication)
		s.said = why
	}
}
