package quarantine

import (
	"sync"
	"time"

	"relay"
	"relay/sql"
)

const (
	// first is how long a row stays in quarantine after the first failure. Each further one doubles it.
	first = time.Second
	// toldAgain is how often people are told of the same row again while it stays.
	toldAgain = 10 * time.Second
	// reportMost is how many rows they are told of.
	reportMost = 1000
	// most bounds how many rows are remembered. What exceeds it is tried again as if for the first time.
	most = 20_000
)

// row is a row in quarantine.
type row struct {
	why     string
	tries   int
	since   time.Time
	until   time.Time // when it is tried again
	changed bool      // since people were told last, as far as it matters to them
	told    bool      // people were told of it
	toldAt  time.Time // when that was
}

// rows remembers the rows that cannot be read, changed or removed, and what people know of them.
type rows struct {
	mu   sync.Mutex
	rows map[Subject]*row
	left []sql.Quarantined // rows that people were told of, and are to be told that they have left
	ever bool              // people were told of some row
}

// Hold notes that something failed once more for a row, which is then not tried for a while. It counts and logs
// nothing.
func (r *rows) Hold(of Subject, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	one := r.rows[of]
	if one == nil {
		if len(r.rows) >= most {
			return
		}
		one = &row{since: now}
		r.rows[of] = one
	}
	one.changed = one.changed || one.why != why || now.Sub(one.toldAt) > toldAgain
	one.why = why
	limit := longest[of.Operation]
	if limit == 0 {
		limit = longestOthers
	}
	one.until = now.Add(min(first<<min(one.tries, 16), limit))
	one.tries++
}

// Free lets a row out.
func (r *rows) Free(of Subject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free(of)
}

// free lets a row out. The caller holds the mutex.
func (r *rows) free(s Subject) {
	one := r.rows[s]
	if one == nil {
		return
	}
	if one.told {
		r.left = append(r.left, sql.Quarantined{Operation: string(s.Operation), Subject: s.String()})
	}
	delete(r.rows, s)
}

// Total returns how many rows are in quarantine.
func (r *rows) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rows)
}

// Waits reports whether a row is not to be tried yet.
func (r *rows) Waits(of Subject) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.rows[of]
	return one != nil && time.Now().Before(one.until)
}

// Waiting lists the messages that are not to be tried yet for an operation.
func (r *rows) Waiting(op Operation) (ids []relay.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for s, one := range r.rows {
		if s.Operation == op && now.Before(one.until) {
			ids = append(ids, s.ID.Message)
		}
	}
	return ids
}

// Has reports whether a row is in quarantine for an operation.
func (r *rows) Has(op Operation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.rows {
		if s.Operation == op {
			return true
		}
	}
	return false
}

// forget lets out what has not been tried for long: it is done, or gone.
func (r *rows) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, one := range r.rows {
		if s.Operation != WriteOutcome && now.Sub(one.until) > longestOthers {
			r.free(s)
		}
	}
}

// changes returns what people have not been told yet: rows that came or failed again, and rows that left.
func (r *rows) changes(now time.Time) (in, out []sql.Quarantined) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, one := range r.rows {
		if len(in) == reportMost {
			break
		}
		if one.changed {
			one.changed, one.told, one.toldAt, r.ever = false, true, now, true
			in = append(in, sql.Quarantined{
				Operation: string(s.Operation), Subject: s.String(), Message: s.ID.Message, Error: one.why, Tries: one.tries, Age: now.Sub(one.since),
			})
		}
	}
	out, r.left = r.left, nil
	return in, out
}

// untold takes back what people could not be told.
func (r *rows) untold(out []sql.Quarantined) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.rows {
		one.changed = true
	}
	r.left = append(r.left, out...)
}

// everTold reports whether people were told of some row.
func (r *rows) everTold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ever
}

// counts is how many rows there are for each operation.
func (r *rows) counts() map[Operation]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := make(map[Operation]int)
	for s := range r.rows {
		n[s.Operation]++
	}
	return n
}
