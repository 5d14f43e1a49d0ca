package operate

import (
	"context"
	"time"

	"relay"
	"relay/sql"
)

// FailureKind says what becomes of failures by themselves.
type FailureKind string

// The kinds of failures.
const (
	FailuresDead     FailureKind = "dead"     // they wait for a person
	FailuresFailing  FailureKind = "failing"  // they are tried again
	FailuresRejected FailureKind = "rejected" // messages that cannot be sent
)

// FailureGroup is what failed at one subscriber for one cause.
type FailureGroup struct {
	Subscription string            `json:"subscription,omitempty"` // none: it was rejected
	Cause        relay.Cause       `json:"cause,omitempty"`        // none: an earlier version wrote it
	Side         relay.FailureSide `json:"side,omitempty"`         // push, handle or send
	Count        Count             `json:"count"`
	OldestID     string            `json:"oldest_id"`
	NewestID     string            `json:"newest_id"`
	FirstAt      time.Time         `json:"first_at"`
	LastAt       time.Time         `json:"last_at"`
	LastError    string            `json:"last_error,omitempty"` // of the newest
}

// Failures groups failures of one kind by subscriber and cause, the largest group first.
func (s *Service) Failures(ctx context.Context, kind FailureKind) (Page[FailureGroup], error) {
	groups, known := map[FailureKind]func(context.Context) (sql.FailureGroups, error){
		FailuresDead: s.store.DeadGroups, FailuresFailing: s.store.FailingGroups, FailuresRejected: s.store.RejectedGroups,
	}[kind]
	if !known {
		return Page[FailureGroup]{}, invalid("kind", "%s is none of dead, failing and rejected", quote(string(kind)))
	}
	all, err := groups(ctx)
	if err != nil {
		return Page[FailureGroup]{}, err
	}
	precision := Exact
	if !all.Exact {
		precision = AtLeast
	}
	var items []FailureGroup
	for _, g := range all.Groups {
		items = append(items, FailureGroup{
			Subscription: g.Subscription, Cause: g.Cause, Side: g.Cause.Side(), Count: Count{N: int64(g.Count), Precision: precision},
			OldestID: g.Oldest.String(), NewestID: g.Newest.String(), FirstAt: g.First.UTC(), LastAt: g.Last.UTC(), LastError: g.Error,
		})
	}
	page := newPage(items, "")
	page.Complete = all.Exact
	return page, nil
}

// FailureSample is one of the youngest failures of a group.
type FailureSample struct {
	MessageID    string    `json:"message_id"`
	Instance     string    `json:"instance,omitempty"` // as relay.ShownTarget has it
	ResponseCode int       `json:"response_code,omitempty"`
	LastError    string    `json:"last_error,omitempty"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// SampleLimit is the most failures that a sample may have.
const SampleLimit = 1000

// FailureSamples lists the youngest of what is dead at a subscriber for a cause.
func (s *Service) FailureSamples(ctx context.Context, subscription string, cause relay.Cause, limit int) ([]FailureSample, error) {
	most, err := At{Limit: limit}.limit(SampleLimit)
	if err != nil {
		return nil, err
	}
	if err := storable("subscription", subscription); err != nil {
		return nil, err
	}
	samples, err := s.store.DeadSamples(ctx, subscription, cause, most)
	if err != nil {
		return nil, err
	}
	shown := []FailureSample{}
	for _, f := range samples {
		shown = append(shown, FailureSample{
			MessageID: f.Message.String(), Instance: relay.ShownTarget(f.Instance), ResponseCode: f.Code, LastError: f.Error, UpdatedAt: f.At.UTC(),
		})
	}
	return shown, nil
}
