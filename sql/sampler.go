package sql

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// sampleEvery is how old a sample may be that took at most sampleCheap; one that took longer is used for
	// sampleShare times as long as it took, so that counting takes a twentieth of a core at the most.
	sampleEvery = time.Second
	sampleCheap = 50 * time.Millisecond
	sampleShare = 20
)

// Sampler shares one count of what stands in the tables among all callers. It counts only when it is asked.
type Sampler struct {
	store  *Store
	flight singleflight.Group

	mu    sync.Mutex
	last  Standing
	until time.Time // last is used until then
}

// NewSampler returns a sampler over a store.
func NewSampler(s *Store) *Sampler { return &Sampler{store: s} }

// Standing returns the last count, or a new one if that is too old. At says when it was taken. Callers that ask while
// one is being taken share it.
func (s *Sampler) Standing(ctx context.Context) (Standing, error) {
	if last, fresh := s.fresh(); fresh {
		return last, nil
	}
	result := s.flight.DoChan("", func() (any, error) { return s.take(context.WithoutCancel(ctx)) })
	select {
	case r := <-result:
		last, _ := r.Val.(Standing)
		return last, r.Err
	case <-ctx.Done():
		return Standing{}, ctx.Err()
	}
}

func (s *Sampler) fresh() (Standing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, time.Now().Before(s.until)
}

func (s *Sampler) take(ctx context.Context) (Standing, error) {
	taken, err := s.store.Standing(ctx)
	if err != nil {
		return Standing{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.until = taken, time.Now().Add(interval(taken.Took))
	return taken, nil
}

// interval is how long a sample is used that took so long.
func interval(took time.Duration) time.Duration {
	if took <= sampleCheap {
		return sampleEvery
	}
	return sampleShare * took
}
