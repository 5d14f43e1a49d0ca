package reconcile

import (
	"sync"
	"sync/atomic"
	"time"

	"relay"
)

const (
	// unseenMost bounds how many rows are remembered that the stream has shown and SQL does
	// not show yet.
	unseenMost = 1000
	// seekFor is how long sweeps go on for such a row. One that was deleted never comes.
	seekFor = 5 * time.Minute
)

// unseen remembers the rows that the doorbell has shown, and that SQL did not show within
// unseenFor: a commit may wait for a standby for minutes. As long as it remembers any, sweeps
// run every pollEvery.
type unseen struct {
	some atomic.Bool // spares a look where there is none

	mu   sync.Mutex
	rows map[relay.ID]time.Time // when it was left to the table
	more time.Time              // when one was that is not in rows, since there were too many
}

// add remembers a row.
func (u *unseen) add(id relay.ID, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rows == nil {
		u.rows = make(map[relay.ID]time.Time)
	}
	_, known := u.rows[id]
	switch {
	case known: // it was rung again
	case len(u.rows) < unseenMost:
		u.rows[id] = now
	default:
		u.more = now
	}
	u.some.Store(true)
}

// seen forgets a row that was read.
func (u *unseen) seen(id relay.ID) {
	if !u.some.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.rows, id)
}

// has reports whether a sweep that finds a row finds what the doorbell has shown. Of one that
// does not fit it is not sure.
func (u *unseen) has(id relay.ID) bool {
	if !u.some.Load() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	_, known := u.rows[id]
	return known || !u.more.IsZero()
}

// wanted reports whether there is a row to sweep for, and forgets those that nobody has seen
// for too long.
func (u *unseen) wanted(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, since := range u.rows {
		if now.Sub(since) > seekFor {
			delete(u.rows, id)
		}
	}
	if now.Sub(u.more) > seekFor {
		u.more = time.Time{}
	}
	some := len(u.rows) > 0 || !u.more.IsZero()
	u.some.Store(some)
	return some
}
