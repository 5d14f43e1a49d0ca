package reconcile

import (
	"context"
	"sync"
	"time"

	"relay"
)

const (
	// forwardMost is how many ids wait to be told to other relays; more of them become a
	// request to sweep.
	forwardMost = 10_000
	// forwardGather is how long ids wait for company before the others are told.
	forwardGather = time.Millisecond
)

// forwarder collects the ids of rows that the stream showed here and that other relays own.
type forwarder struct {
	ready chan struct{}

	mu   sync.Mutex
	ids  []relay.ID
	many bool // more than fit: the others sweep
}

func newForwarder() *forwarder { return &forwarder{ready: make(chan struct{}, 1)} }

func (f *forwarder) add(ids []relay.ID) {
	f.mu.Lock()
	if len(f.ids)+len(ids) > forwardMost {
		f.ids, f.many = nil, true
	} else {
		f.ids = append(f.ids, ids...)
	}
	f.mu.Unlock()
	poke(f.ready)
}

func (f *forwarder) take() (ids []relay.ID, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids, many = f.ids, f.many
	f.ids, f.many = nil, false
	return ids, many
}

// forward rings the other relays for what the stream shows here, until ctx ends. A ring
// that could not be passed on costs the time until their next sweep.
func (e *Engine) forward(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.others.ready:
		}
		if !pause(ctx, forwardGather, nil) {
			return nil
		}
		ids, many := e.others.take()
		if len(ids) == 0 && !many {
			continue
		}
		err := e.config.Store.RingOthers(ctx, ids)
		if many && err == nil {
			err = e.config.Store.RingOthers(ctx, nil)
		}
		e.trouble.note("ring the other relays", ignoreEnd(ctx, err))
	}
}
