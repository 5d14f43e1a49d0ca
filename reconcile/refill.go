package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// refillEvery is how often parked circuits are asked for room, besides being told.
	refillEvery = 100 * time.Millisecond
	// idleEvery is how often that which happens ten times a second looks whether there is
	// anything to do. Each look wakes a thread or two.
	idleEvery = 500 * time.Millisecond
	// lookEvery is how often the table is asked which circuits have something parked, and
	// lookAfterError how soon when it did not answer.
	lookEvery      = 10 * time.Second
	lookAfterError = 500 * time.Millisecond
)

// backlog knows the circuits for which deliveries are parked in the table.
type backlog struct {
	ready chan struct{} // receives when the first circuit is added, or the table is to be asked

	mu     sync.Mutex
	after  map[string]int64 // circuit: sequence up to which its parked rows were read
	added  map[string]bool  // circuits added again since their position was asked for
	looked time.Time
}

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), after: make(map[string]int64), added: make(map[string]bool)}
}

func (b *backlog) add(circuits ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.after) == 0 && len(circuits) > 0 {
		poke(b.ready)
	}
	for _, circuit := range circuits {
		if _, known := b.after[circuit]; !known {
			b.after[circuit] = 0
		}
		b.added[circuit] = true
	}
}

func (b *backlog) circuits() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.after))
	for name := range b.after {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// lookAgain makes the next round ask the table, since this relay owns other shards now.
func (b *backlog) lookAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looked = time.Time{}
	poke(b.ready)
}

// failed makes the table be asked again soon, but not at once.
func (b *backlog) failed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looked = now.Add(lookAfterError - lookEvery)
}

// untilLook returns how long it is until the table is to be asked again.
func (b *backlog) untilLook(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.looked.Add(lookEvery).Sub(now)
}

func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.after) == 0
}

// stale reports whether the table should be asked again, and notes that it is.
func (b *backlog) stale(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.looked) < lookEvery {
		return false
	}
	b.looked = now
	return true
}

// position returns after which sequence a circuit's parked rows are to be read.
func (b *backlog) position(circuit string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.added, circuit)
	return b.after[circuit]
}

// advance notes how far a circuit's parked rows were read. A walk that began at the
// beginning and found nothing ends the circuit's backlog, unless something was parked
// meanwhile; one that came to the end begins anew.
func (b *backlog) advance(circuit string, from, to int64, end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case end && from == 0 && to == 0 && !b.added[circuit]:
		delete(b.after, circuit)
	case end:
		b.after[circuit] = 0
	default:
		b.after[circuit] = to
	}
}

// refill brings parked deliveries back as soon as their destination can take them, until
// ctx ends.
func (e *Engine) refill(ctx context.Context) error {
	for {
		if !e.awaitRefill(ctx) {
			return nil
		}
		if err := e.writer.waitHealthy(ctx); err != nil {
			return nil
		}
		err := e.RefillAll(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.note("read parked deliveries", err)
	}
}

// awaitRefill waits until it is worth asking for room, and returns false if ctx ends.
func (e *Engine) awaitRefill(ctx context.Context) bool {
	wake := e.config.Dispatcher.Wake()
	if e.backlog.empty() {
		timer := time.NewTimer(e.backlog.untilLook(time.Now()))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-wake:
			return true
		case <-e.backlog.ready:
		}
	}
	return pause(ctx, refillEvery, wake)
}

// RefillAll makes one round over the circuits with parked deliveries and registers as many
// of each as its destination has room for.
func (e *Engine) RefillAll(ctx context.Context) error {
	if e.backlog.stale(time.Now()) {
		circuits, err := e.config.Store.ParkedCircuits(ctx)
		if err != nil {
			e.backlog.failed(time.Now())
			return err
		}
		e.backlog.add(circuits...)
	}
	for _, circuit := range e.backlog.circuits() {
		if err := e.refillCircuit(ctx, circuit); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) refillCircuit(ctx context.Context, circuit string) error {
	if e.config.Router.Paused(circuit) {
		return nil
	}
	room := min(e.config.Dispatcher.Room(circuit), e.registry.sweepRoom())
	if room == 0 {
		return nil
	}
	from := e.backlog.position(circuit)
	found, err := e.config.Store.ParkedDeliveries(ctx, circuit, e.lease.Load().shards, from, room)
	if err != nil {
		return err
	}
	var to int64
	entries := make([]entry, len(found))
	for i, parked := range found {
		entries[i] = entry{id: parked.ID, key: parked.Key}
		to = parked.Seq
	}
	e.backlog.advance(circuit, from, to, len(found) < room)
	if len(found) == 0 {
		return nil
	}
	if err := e.config.Store.EnsureFlushed(ctx); err != nil {
		return err
	}
	e.registry.add(entries)
	return nil
}
