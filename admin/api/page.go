package api

import (
	"time"

	"relay/operate"
)

// What package operate returns as the API shows it.
type (
	Count       = operate.Count
	StatusCount = operate.StatusCount
)

// Page is a part of a list.
type Page[T any] struct {
	Items      []T        `json:"items" doc:"This part of the list, in its order."`
	Next       string     `json:"next,omitempty" doc:"Where the list goes on: the value for after. Absent: it ends here."`
	SearchedTo *time.Time `json:"searched_to,omitempty" doc:"The search looked at everything from the newest back to here. Absent where the order is not that of time."`
	Complete   bool       `json:"complete" doc:"Everything that could match was looked at. If false and next is given, the search goes on there."`
	AsOf       time.Time  `json:"as_of" doc:"The time of the answer, by the relay's clock."`
	LookedAt   int64      `json:"looked_at,omitempty" doc:"How many rows the search looked at, where it looks at rows that do not match."`
	TookMS     float64    `json:"took_ms" doc:"How long the search took, in milliseconds."`
	NarrowBy   []string   `json:"narrow_by,omitempty" doc:"Where the search reached its limit: the filters that would make it faster, the best first."`
}

// PageQuery says which part of a list is wanted.
type PageQuery struct {
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Items in the answer, at most."`
	After string `query:"after" maxLength:"2048" doc:"Go on after this place: next of the answer before."`
}

// Polled are the headers of a request that is repeated to see changes.
type Polled struct {
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"The ETag of the answer that the client has. If it is still valid the answer is 304 without a body."`
}

// Answer is the usual output of an operation.
type Answer[T any] struct {
	Body T
}

// pageOf makes a page of one of package operate.
func pageOf[A, B any](p operate.Page[A], began time.Time, one func(A) B) *Answer[Page[B]] {
	page := Page[B]{
		Items: []B{}, Next: p.Next, SearchedTo: p.SearchedTo, Complete: p.Complete, AsOf: p.AsOf, LookedAt: p.LookedAt, TookMS: took(began),
	}
	for _, item := range p.Items {
		page.Items = append(page.Items, one(item))
	}
	return &Answer[Page[B]]{page}
}

// whole makes a page of a list that has no further parts.
func whole[T any](items []T, began time.Time) *Answer[Page[T]] {
	return &Answer[Page[T]]{Page[T]{Items: items, Complete: true, AsOf: time.Now().UTC(), TookMS: took(began)}}
}

// took is the time since a begin in milliseconds.
func took(began time.Time) float64 { return float64(time.Since(began).Microseconds()) / 1000 }

func same[T any](v T) T { return v }

// at says which part of a list is wanted.
func (q PageQuery) at() operate.At { return operate.At{Cursor: q.After, Limit: q.Limit} }
