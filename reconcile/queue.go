package reconcile

import (
	"slices"
	"sync"
)

// queue holds what waits for a worker, without a bound of its own: the machine bounds what is under way.
type queue[T any] struct {
	ready chan struct{} // receives when something waits

	mu    sync.Mutex
	items []T
}

func newQueue[T any]() *queue[T] { return &queue[T]{ready: make(chan struct{}, 1)} }

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
