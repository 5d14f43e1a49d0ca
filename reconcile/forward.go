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
	// forwardAgain is when it is tried again to tell the others.
	forwardAgain = time.Second
)

// forwarder collects the ids of rows that the stream showed here and that other relays own.
type forwarder struct {
	ready chan struct{}

	mu   sync.Mutex
	ids  []relay.ID
	many bool // more than fit, or nobody knows which: the others sweep
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

// missed has the others sweep.
func (f *forwarder) missed() {
	f.mu.Lock()
	f.many = true
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

// tell passes on what has been collected: by ring, which takes ids, or none for a request
// to sweep. After an error the others are asked to sweep the next time.
func (f *forwarder) tell(ring func(ids []relay.ID) error) (err error) {
	ids, many := f.take()
	if len(ids) > 0 {
		err = ring(ids)
	}
	if many && err == nil {
		err = ring(nil)
	}
	if err != nil {
		f.missed()
	}
	return err
}

// forward rings the other relays for what the stream shows here, until ctx ends.
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
		err := e.others.tell(func(ids []relay.ID) error { return e.config.Store.RingOthers(ctx, ids) })
		e.trouble.note("ring the other relays", ignoreEnd(ctx, err))
		if err != nil && !pause(ctx, forwardAgain, nil) {
			return nil
		}
	}
}
