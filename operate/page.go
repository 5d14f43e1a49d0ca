package operate

import (
	"time"

	"relay/sql"
)

// Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next is where the list goes on, to be given back as it is. Empty means that it has ended.
	Next string `json:"next,omitempty"`
	// SearchedTo is how far back a search looked. Nil means that it looked to the end, or that the
	// list is no search.
	SearchedTo *time.Time `json:"searched_to,omitempty"`
	// Complete says that there is nothing behind this page.
	Complete bool      `json:"complete"`
	AsOf     time.Time `json:"as_of"`
	// LookedAt is how many rows a search has looked at. Zero means that the list is no search.
	LookedAt int64 `json:"looked_at,omitempty"`
}

// newPage returns a page of items that are never null in JSON.
func newPage[T any](items []T, next string) Page[T] {
	if items == nil {
		items = []T{}
	}
	return Page[T]{Items: items, Next: next, Complete: next == "", AsOf: time.Now().UTC()}
}

// At says which part of a list is wanted.
type At struct {
	Cursor string // Next of the page before; empty: the beginning
	Limit  int    // items, at most; zero: 50
}

// defaultLimit is how many items a page has that is asked for without a limit.
const defaultLimit = 50

// limit judges how many items are wanted.
func (a At) limit(most int) (int, error) {
	switch {
	case a.Limit == 0:
		return defaultLimit, nil
	case a.Limit < 1 || a.Limit > most:
		return 0, invalid("limit", "allowed is 1 to %d", most)
	}
	return a.Limit, nil
}

// Precision says how a number was counted.
type Precision string

// These are the precisions.
const (
	Exact   Precision = "exact"
	AtLeast Precision = "at_least" // counting stopped there
	About   Precision = "about"    // the database's estimate
)

// Count is a number of things, and how well it is known.
type Count struct {
	N         int64     `json:"n" doc:"The number."`
	Precision Precision `json:"precision" enum:"exact,at_least,about" doc:"exact; at_least: counting stopped there; about: an estimate by the database's statistics."`
}

// upTo is a count that stops at a limit.
func upTo(n, limit int) Count {
	if n >= limit {
		return Count{N: int64(n), Precision: AtLeast}
	}
	return Count{N: int64(n), Precision: Exact}
}

// counted is a number of the store.
func counted(c sql.Count) Count {
	if c.Exact {
		return Count{N: c.N, Precision: Exact}
	}
	return Count{N: c.N, Precision: AtLeast}
}

// exactly is a number that is known.
func exactly(n int64) Count { return Count{N: n, Precision: Exact} }
