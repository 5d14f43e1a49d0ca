package operate

import (
	"cmp"
	"context"
	"time"

	"relay/sql"
)

// Service does what people ask for. Its methods are safe for concurrent use.
type Service struct {
	store   *sql.Store
	sampler *sql.Sampler // of what is expensive to ask, shared by all callers
}

// New returns a service that works on a store, which remains the caller's to close.
func New(store *sql.Store) *Service {
	return &Service{store: store, sampler: sql.NewSampler(store)}
}

// unnamed stands in the audit for a person who gave no name.
const unnamed = "unnamed"

// by is the store with which an actor changes something.
func (s *Service) by(a Actor) *sql.Store {
	return s.store.By(sql.Actor{Name: cmp.Or(a.Name, unnamed), Role: string(a.Role), Address: a.Address, Reason: a.Reason})
}

const (
	// changeBatch is the most messages that one transaction changes.
	changeBatch = 500
	// How often, and at what interval, a row is tried again that another session has locked.
	lockedTries = 10
	lockedWait  = 200 * time.Millisecond
)

// pause waits for a time, or returns the context's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// utc makes a time that may be missing one in UTC.
func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	in := at.UTC()
	return &in
}

// milliseconds is a duration as views have it.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
