package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"relay/wait"
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
	wait.Signal(q.ready)
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
		wait.Signal(q.ready)
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
	if !wait.Ready(ctx, q.ready, 0) || q.waiting() < most && !wait.For(ctx, company) {
		return nil
	}
	if n := q.waiting(); n >= busy && n < most && !wait.For(ctx, more) {
		return nil
	}
	return take()
}
