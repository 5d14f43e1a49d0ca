package sql

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// sampleEvery is how old a sample may be that took at most sampleCheap; one that took longer is used for
	// sampleShare times as long as it took, so that each question takes a twentieth of a core at the most.
	sampleEvery = time.Second
	sampleCheap = 50 * time.Millisecond
	sampleShare = 20
)

// heldSample is how many keys a sample of those that wait has at most.
const heldSample = 200

// Sampler shares what is expensive to ask among all callers: what stands in the tables, the groups of failures, and the
// keys that wait. It asks only when it is asked.
type Sampler struct {
	standing                sampled[Standing]
	held                    sampled[KeyPage]
	dead, failing, rejected sampled[FailureGroups]
}

// NewSampler returns a sampler over a store.
func NewSampler(s *Store) *Sampler {
	held := func(ctx context.Context) (KeyPage, error) { return s.HeldKeys(ctx, "", "", heldSample) }
	return &Sampler{
		standing: sampled[Standing]{ask: s.Standing}, held: sampled[KeyPage]{ask: held},
		dead: sampled[FailureGroups]{ask: s.DeadGroups}, failing: sampled[FailureGroups]{ask: s.FailingGroups},
		rejected: sampled[FailureGroups]{ask: s.RejectedGroups},
	}
}

// Standing returns the last count, or a new one if that is too old. At says when it was taken.
func (s *Sampler) Standing(ctx context.Context) (Standing, error) { return s.standing.get(ctx) }

// HeldKeys returns the first 200 keys that wait at any subscription, as HeldKeys of Store does. The caller changes
// nothing in it.
func (s *Sampler) HeldKeys(ctx context.Context) (KeyPage, error) { return s.held.get(ctx) }

// DeadGroups is that of Store, as what follows. The caller changes nothing in it.
func (s *Sampler) DeadGroups(ctx context.Context) (FailureGroups, error) { return s.dead.get(ctx) }

// FailingGroups is that of Store.
func (s *Sampler) FailingGroups(ctx context.Context) (FailureGroups, error) {
	return s.failing.get(ctx)
}

// RejectedGroups is that of Store.
func (s *Sampler) RejectedGroups(ctx context.Context) (FailureGroups, error) {
	return s.rejected.get(ctx)
}

// sampled is the answer to one question. Callers that ask while an answer is awaited share it.
type sampled[T any] struct {
	ask    func(context.Context) (T, error)
	flight singleflight.Group

	mu    sync.Mutex
	last  T
	until time.Time // last is used until then
}

func (s *sampled[T]) get(ctx context.Context) (T, error) {
	if last, fresh := s.fresh(); fresh {
		return last, nil
	}
	result := s.flight.DoChan("", func() (any, error) { return s.take(context.WithoutCancel(ctx)) })
	select {
	case r := <-result:
		last, _ := r.Val.(T)
		return last, r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *sampled[T]) fresh() (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, time.Now().Before(s.until)
}

func (s *sampled[T]) take(ctx context.Context) (T, error) {
	began := time.Now()
	taken, err := s.ask(ctx)
	if err != nil {
		var none T
		return none, err
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.until = taken, now.Add(interval(now.Sub(began)))
	return taken, nil
}

// interval is how long a sample is used that took so long.
func interval(took time.Duration) time.Duration {
	if took <= sampleCheap {
		return sampleEvery
	}
	return sampleShare * took
}
