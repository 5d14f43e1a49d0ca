package api

import "time"

// Count is a number of things and how exactly it is known.
type Count struct {
	N         int64  `json:"n" doc:"The number."`
	Precision string `json:"precision" enum:"exact,at_least,about" doc:"exact; at_least: counting stopped there; about: an estimate by the database's statistics."`
}

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

// StatusCount is how many deliveries have one status.
type StatusCount struct {
	Status string `json:"status" doc:"Status of a delivery, or of a message."`
	N      int64  `json:"n"`
}

// StageCount is how many messages or deliveries are at one stage.
type StageCount struct {
	Stage string `json:"stage" enum:"send_failed,committed,push_failed,handle_failed,handled,delivered,cancelled" doc:"The stage as senders and receivers see it."`
	Count Count  `json:"count"`
}
