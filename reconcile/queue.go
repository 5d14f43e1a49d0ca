package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"
)

// busy is how many items that came together are a sign of a high rate.
const busy = 4

// queue holds what waits for a worker, without a bound of its own: the machine bounds what is under way.
type queue[T any] struct {
	ready     chan struct{} // receives when something waits
	gathering chan struct{} // is held by the worker that waits for a batch

	mu    sync.Mutex
	items []T
}

func newQueue[T any]() *queue[T] {
	return &queue[T]{ready: make(chan struct{}, 1), gathering: make(chan struct{}, 1)}
}

func (q *queue[T]) push(items ...T) {
	q.mu.Lock()
	q.items = append(q.items, items...)
	q.mu.Unlock()
	poke(q.ready)
}

// take takes the first items, at most n of them.
func (q *queue[T]) take(n int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.items))
	out := slices.Clone(q.items[:n])
	clear(q.items[:n])
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	} else {
		poke(q.ready)
	}
	return out
}

func (q *queue[T]) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// gather waits for an item, then for its company, and takes a batch: nothing if ctx ends before. It waits for company
// as long as company says unless most items are there, and for more longer at a high rate: the more a statement does,
// the less each item costs. One worker at a time does so: two would share what arrives, in batches of half the size.
func (q *queue[T]) gather(ctx context.Context, most int, company, more time.Duration, take func() []T) []T {
	select {
	case <-ctx.Done():
		return nil
	case q.gathering <- struct{}{}:
		defer func() { <-q.gathering }()
	}
	if !await(ctx, q.ready, 0) || q.waiting() < most && !pause(ctx, company, nil) {
		return nil
	}
	if n := q.waiting(); n >= busy && n < most && !pause(ctx, more, nil) {
		return nil
	}
	return take()
}

// await waits until ready receives, and then for company as long as that says. It reports false if ctx ends before.
func await(ctx context.Context, ready <-chan struct{}, company time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-ready:
	}
	return company == 0 || pause(ctx, company, nil)
}
