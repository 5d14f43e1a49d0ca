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
	// hiddenMost is the longest time after which a row is looked for again that SQL does not
	// show yet.
	hiddenMost = time.Second
)

// forwarder collects the ids of rows that the stream showed here and that other relays own.
// They are told of a row when SQL shows it, since they look at it once: they cannot know
// whether it was a relay that told them.
type forwarder struct {
	ready chan struct{}

	mu   sync.Mutex
	ids  []relay.ID
	many bool // more than fit, or nobody knows which: the others sweep
	// hidden are rows that SQL did not show yet, which are among the ids again after a while.
	hidden map[relay.ID]*hiddenRow
}

// hiddenRow is one that the stream has shown and SQL has not.
type hiddenRow struct {
	since time.Time
	looks int
}

func newForwarder() *forwarder {
	return &forwarder{ready: make(chan struct{}, 1), hidden: make(map[relay.ID]*hiddenRow)}
}

func (f *forwarder) add(ids []relay.ID) {
	f.mu.Lock()
	if len(f.ids)+len(ids) > forwardMost {
		f.ids, f.many = nil, true
		clear(f.hidden)
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

// tell passes on what has been collected: by ring, which takes ids and returns those that it
// told of, or takes none for a request to sweep. After an error the others are asked to sweep
// the next time.
func (f *forwarder) tell(ring func(ids []relay.ID) (told []relay.ID, err error)) error {
	ids, many := f.take()
	var told []relay.ID
	var err error
	if len(ids) > 0 {
		told, err = ring(ids)
	}
	if many && err == nil {
		_, err = ring(nil)
	}
	if err != nil {
		f.missed()
		return err
	}
	f.hide(ids, told)
	return nil
}

// hide has those of the ids looked for again that were not told of. The first wait is the
// shortest that one of them is due.
func (f *forwarder) hide(ids, told []relay.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(told) == len(ids) && len(f.hidden) == 0 {
		return
	}
	seen := make(map[relay.ID]bool, len(told))
	for _, id := range told {
		seen[id] = true
		delete(f.hidden, id)
	}
	var again []relay.ID
	wait := hiddenMost
	for _, id := range ids {
		if seen[id] {
			continue
		}
		if delay, look := f.lookAgain(id); look {
			again, wait = append(again, id), min(wait, delay)
		}
	}
	if len(again) > 0 {
		time.AfterFunc(wait, func() { f.add(again) })
	}
}

// lookAgain says after which time an id is to be looked for once more. Rows that were deleted
// are given up after seekFor; where too many are hidden the others sweep. The caller holds the
// mutex.
func (f *forwarder) lookAgain(id relay.ID) (wait time.Duration, look bool) {
	row := f.hidden[id]
	switch {
	case row == nil && len(f.hidden) == forwardMost:
		f.many = true
		poke(f.ready)
		return 0, false
	case row == nil:
		row = &hiddenRow{since: time.Now()}
		f.hidden[id] = row
	case time.Since(row.since) > seekFor:
		delete(f.hidden, id)
		return 0, false
	}
	wait = min(2*time.Millisecond<<min(row.looks, 10), hiddenMost)
	row.looks++
	return wait, true
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
		err := e.others.tell(func(ids []relay.ID) ([]relay.ID, error) { return e.config.Store.RingOthers(ctx, ids) })
		e.trouble.note("ring the other relays", ignoreEnd(ctx, err))
		if err != nil && !pause(ctx, forwardAgain, nil) {
			return nil
		}
	}
}
