package reconcile

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"relay/sql"
)

const (
	// refillEvery is how often parked circuits are asked for room, besides being told.
	refillEvery = 100 * time.Millisecond
	// idleEvery is how often that which happens ten times a second looks whether there is
	// anything to do. Each look wakes a thread or two.
	idleEvery = 500 * time.Millisecond
	// lookEvery is how often the table is asked which circuits have something parked,
	// lookOnEvery how often while rows name more destinations than are looked at together,
	// and lookAfterError how soon when it did not answer.
	lookEvery      = 10 * time.Second
	lookOnEvery    = time.Second
	lookAfterError = 500 * time.Millisecond
	// directCircuits bounds the circuits of rows' own destinations that are looked at
	// together, and directReads how many of them are read in one round: rows may name any
	// number, and what waits for an operator's destination must not wait for that.
	directCircuits = 1024
	directReads    = 64
)

// backlog knows the circuits for which deliveries are parked in the table: all of those that
// an operator configured, and a part of those that rows name.
type backlog struct {
	ready chan struct{} // receives when the first circuit is added, or the table is to be asked

	mu     sync.Mutex
	after  map[sql.Parked]int64 // sequence up to which a circuit's parked rows were read
	added  map[sql.Parked]bool  // circuits added again since their position was asked for
	direct int                  // how many of them rows name
	looked time.Time
	part   string // rows' circuits up to this name were looked at; empty: all, or none yet
	turn   string // up to this one of rows' circuits the last round came; empty: to the end
}

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), after: make(map[sql.Parked]int64), added: make(map[sql.Parked]bool)}
}

func (b *backlog) add(circuits ...sql.Parked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.after) == 0 && len(circuits) > 0 {
		poke(b.ready)
	}
	for _, circuit := range circuits {
		_, known := b.after[circuit]
		if !known && circuit.Direct {
			if b.direct >= directCircuits {
				continue // the table knows it
			}
			b.direct++
		}
		if !known {
			b.after[circuit] = 0
		}
		b.added[circuit] = true
	}
}

// remove forgets a circuit. The caller holds the mutex.
func (b *backlog) remove(circuit sql.Parked) {
	if _, known := b.after[circuit]; known && circuit.Direct {
		b.direct--
	}
	delete(b.after, circuit)
	delete(b.added, circuit)
}

// found takes the circuits of rows' own destinations that the table has after the part that
// was looked at. As long as it has more than fit, the next part takes the place of the last.
func (b *backlog) found(circuits []sql.Parked, now time.Time) {
	b.mu.Lock()
	full := len(circuits) == directCircuits
	if full || b.part != "" {
		for circuit := range b.after {
			if circuit.Direct {
				b.remove(circuit)
			}
		}
		b.turn = ""
	}
	b.part = ""
	if full {
		b.part = circuits[len(circuits)-1].Circuit
		b.looked = now.Add(lookOnEvery - lookEvery)
	}
	b.mu.Unlock()
	b.add(circuits...)
}

// circuits lists those that an operator configured, then those that rows name, beginning
// where the last round ended.
func (b *backlog) circuits() []sql.Parked {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]sql.Parked, 0, len(b.after))
	for circuit := range b.after {
		all = append(all, circuit)
	}
	rank := func(c sql.Parked) int {
		switch {
		case !c.Direct:
			return 0
		case c.Circuit > b.turn:
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(x, y sql.Parked) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), strings.Compare(x.Circuit, y.Circuit))
	})
	return all
}

// came notes up to which of rows' circuits a round came, and whether it came to the end. As
// long as it did not, no other part takes their place.
func (b *backlog) came(circuit string, end bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn = circuit
	if !end && b.part != "" {
		b.looked = now.Add(lookOnEvery - lookEvery)
	}
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

// stale reports whether the table should be asked again, and from which of rows' circuits
// on. It notes that the table is asked.
func (b *backlog) stale(now time.Time) (part string, stale bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.looked) < lookEvery {
		return "", false
	}
	b.looked = now
	return b.part, true
}

// position returns after which sequence a circuit's parked rows are to be read.
func (b *backlog) position(circuit sql.Parked) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.added, circuit)
	return b.after[circuit]
}

// advance notes how far a circuit's parked rows were read. A walk that began at the
// beginning and found nothing ends the circuit's backlog, unless something was parked
// meanwhile; one that came to the end begins anew.
func (b *backlog) advance(circuit sql.Parked, from, to int64, end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case end && from == 0 && to == 0 && !b.added[circuit]:
		b.remove(circuit)
	case end:
		b.after[circuit] = 0
	default:
		b.after[circuit] = to
	}
}

// refill brings parked deliveries back as soon as their destination can take them, until
// ctx ends.
func (e *parkedReader) refill(ctx context.Context) error {
	for {
		if !e.awaitRefill(ctx) {
			return nil
		}
		if err := e.writer.health.waitHealthy(ctx); err != nil {
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
func (e *parkedReader) awaitRefill(ctx context.Context) bool {
	wake := e.config.Circuits.Wake()
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
func (e *parkedReader) RefillAll(ctx context.Context) error {
	if err := e.lookForParked(ctx); err != nil {
		e.backlog.failed(time.Now())
		return err
	}
	turn, reads, end := "", 0, true
	for _, circuit := range e.backlog.circuits() {
		if circuit.Direct && reads == directReads {
			end = false
			break
		}
		read, err := e.refillCircuit(ctx, circuit)
		if err != nil {
			return err
		}
		if circuit.Direct {
			turn = circuit.Circuit
			if read {
				reads++
			}
		}
	}
	e.backlog.came(turn, end, time.Now())
	return nil
}

// lookForParked asks the table from time to time which circuits have something parked.
func (e *parkedReader) lookForParked(ctx context.Context) error {
	part, stale := e.backlog.stale(time.Now())
	if !stale {
		return nil
	}
	circuits, err := e.config.Store.ParkedCircuits(ctx)
	if err != nil {
		return err
	}
	e.backlog.add(circuits...)
	if circuits, err = e.config.Store.ParkedDirectCircuits(ctx, part, directCircuits); err != nil {
		return err
	}
	e.backlog.found(circuits, time.Now())
	return nil
}

// refillCircuit registers deliveries that wait for a circuit, and reports whether the table
// was read.
func (e *parkedReader) refillCircuit(ctx context.Context, circuit sql.Parked) (read bool, err error) {
	if !circuit.Direct && e.config.Rules.Paused(circuit.Circuit) {
		return false, nil
	}
	room := min(e.config.Circuits.Room(circuit.Circuit, circuit.Direct), e.registry.memory.sweepRoom())
	if room == 0 {
		return false, nil
	}
	from := e.backlog.position(circuit)
	found, err := e.config.Store.ParkedDeliveries(ctx, circuit, e.lease.Load().shards, from, room)
	if err != nil {
		return true, err
	}
	var to int64
	entries := make([]entry, len(found))
	for i, parked := range found {
		entries[i] = entry{id: parked.ID, key: parked.Key}
		to = parked.Seq
	}
	e.backlog.advance(circuit, from, to, len(found) < room)
	if len(found) == 0 {
		return true, nil
	}
	if err := e.config.Store.EnsureFlushed(ctx); err != nil {
		return true, err
	}
	e.registry.add(entries)
	return true, nil
}
