package reconcile

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

const (
	// apartWriters is how many statements write apart from the rest at once, and aloneWriters how many of those
	// write an outcome that could not be written before although it stood alone.
	apartWriters = 3
	aloneWriters = 2
	// groupLimit bounds a statement that writes several outcomes apart. One that stands alone has aloneLimit at
	// first, twice as long each time after, and aloneMost at most.
	groupLimit = time.Second
	aloneLimit = time.Second
	aloneMost  = 30 * time.Second
	// suspectFor is how long the outcomes of a destination are written apart after one could not be written.
	suspectFor = time.Minute
)

// apart writes outcomes that must not share a statement with the rest: those of a batch that the database refused,
// in halves until the culprit stands alone; those whose rows another session had locked; and those of destinations with
// culprits. It has connections of its own. A culprit stays in the machine's memory, so that nothing is sent again, and
// comes again after growing times.
type apart struct {
	writer *writer
	ready  chan struct{}    // something is to be written
	alone  *queue[*written] // culprits
	any    atomic.Bool      // a destination is suspect

	mu sync.Mutex
	// work is what is to be written of each destination, and turns the destinations in the order of their turns.
	work  map[string]*workOf
	turns []string
	// suspect destinations, until when.
	suspect map[string]time.Time
	// wroteAt is when any outcome was written last.
	wroteAt time.Time
}

// workOf is what is to be written apart of one destination: it shares no statement with another, and is written by one
// writer at a time.
type workOf struct {
	groups []group
	queue  []*written
	busy   bool
	// failing says that the last group could not be written.
	failing bool
}

func newApart(w *writer) *apart {
	return &apart{
		writer: w, ready: make(chan struct{}, 1), alone: newQueue[*written](),
		work: make(map[string]*workOf), suspect: make(map[string]time.Time), wroteAt: time.Now(),
	}
}

// start runs the writers until ctx ends.
func (a *apart) start(ctx context.Context, group *sync.WaitGroup) {
	for i := range apartWriters {
		// The first one has time for destinations whose outcomes can be written.
		group.Go(func() { a.run(ctx, i == 0) })
	}
	for range aloneWriters {
		group.Go(func() { a.runAlone(ctx) })
	}
}

// suspects reports whether outcomes of a destination are to be written apart because it has culprits.
func (a *apart) suspects(circuit string) bool {
	if !a.any.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	until, is := a.suspect[circuit]
	if is && time.Now().Before(until) {
		return true
	}
	if is {
		delete(a.suspect, circuit)
		a.any.Store(len(a.suspect) > 0)
	}
	return false
}

// put queues an outcome to be written with others of its destination.
func (a *apart) put(item *written) {
	a.mu.Lock()
	of := a.of(item.circuit())
	of.queue = append(of.queue, item)
	a.mu.Unlock()
	wait.Signal(a.ready)
}

// of returns the work of a destination, which has its turn from now on. The caller holds the mutex.
func (a *apart) of(circuit string) *workOf {
	of := a.work[circuit]
	if of == nil {
		of = &workOf{}
		a.work[circuit] = of
		a.turns = append(a.turns, circuit)
	}
	return of
}

// add queues outcomes that the database has refused together: by destinations or, of a single one, halves of them. One
// that stands alone is a culprit.
func (a *apart) add(g group, err error) {
	if len(g.items) == 1 {
		a.refused(g.items[0], err)
		return
	}
	parts := make(map[string][]*written)
	for _, item := range g.items {
		parts[item.circuit()] = append(parts[item.circuit()], item)
	}
	a.writer.divides(g.items)
	a.mu.Lock()
	for circuit, items := range parts {
		of := a.of(circuit)
		of.failing = of.failing || len(parts) == 1
		if middle := len(items) / 2; middle > 0 && len(parts) == 1 {
			of.groups = append(of.groups, group{items[:middle], g.write}, group{items[middle:], g.write})
		} else {
			of.groups = append(of.groups, group{items, g.write})
		}
	}
	stalled := a.stalled()
	a.mu.Unlock()
	if stalled {
		a.writer.trouble.Note("write outcomes", err)
	}
	wait.Signal(a.ready)
}

// stalled reports whether writing is in trouble as a whole: many outcomes cannot be written, and none is. The caller
// holds the mutex.
func (a *apart) stalled() bool {
	n := 0
	for _, of := range a.work {
		n += len(of.queue)
		for _, g := range of.groups {
			n += len(g.items)
		}
	}
	return n >= machine.StalledCount && time.Since(a.wroteAt) > machine.StalledAll
}

// wrote notes that some outcomes were written.
func (a *apart) wrote() {
	a.mu.Lock()
	a.wroteAt = time.Now()
	a.mu.Unlock()
}

// take returns the next outcomes to be written apart, of a destination with which no other writer is busy: one whose
// outcomes can be written comes first, and alone if sound is set.
func (a *apart) take(sound bool) (circuit string, g group, some bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.next(false)
	if at < 0 && !sound {
		at = a.next(true)
	}
	if at < 0 {
		return "", group{}, false
	}
	circuit = a.turns[at]
	a.turns = append(slices.Delete(a.turns, at, at+1), circuit)
	of := a.work[circuit]
	if len(of.groups) == 0 {
		n := min(len(of.queue), writeBatch)
		of.groups = groupsOf(of.queue[:n])
		of.queue = slices.Clone(of.queue[n:])
	}
	g, of.groups = of.groups[0], of.groups[1:]
	of.busy = true
	return circuit, g, true
}

// next is the turn of the first destination that has work and whose outcomes can, or cannot, be written; -1: none. The
// caller holds the mutex.
func (a *apart) next(failing bool) int {
	return slices.IndexFunc(a.turns, func(circuit string) bool {
		of := a.work[circuit]
		return !of.busy && of.failing == failing && (len(of.groups) > 0 || len(of.queue) > 0)
	})
}

// taken notes that a group of a destination was written, or could not be. A destination without work is forgotten.
func (a *apart) taken(circuit string, failed bool) {
	a.mu.Lock()
	of := a.work[circuit] // it is not forgotten while it is busy
	of.busy, of.failing = false, failed
	if len(of.groups) == 0 && len(of.queue) == 0 {
		delete(a.work, circuit)
		a.turns = slices.DeleteFunc(a.turns, func(c string) bool { return c == circuit })
	}
	a.mu.Unlock()
	wait.Signal(a.ready)
}

func (a *apart) run(ctx context.Context, sound bool) {
	for wait.Ready(ctx, a.ready, writeGather) {
		for {
			circuit, g, some := a.take(sound)
			if !some {
				break
			}
			wait.Signal(a.ready) // another writer may find more
			failed := a.write(ctx, g, groupLimit)
			a.taken(circuit, failed)
		}
		if sound && ctx.Err() == nil && a.waiting() {
			wait.Signal(a.ready) // it is for the others
			if !wait.For(ctx, writeGatherBusy) {
				return
			}
		}
	}
}

// waiting reports whether a destination has work that no writer is busy with.
func (a *apart) waiting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next(false) >= 0 || a.next(true) >= 0
}

// runAlone writes culprits.
func (a *apart) runAlone(ctx context.Context) {
	for wait.Ready(ctx, a.alone.ready, 0) {
		for _, item := range a.alone.take(1) {
			a.write(ctx, groupsOf([]*written{item})[0], min(aloneLimit<<min(item.command.Tries, 8), aloneMost))
		}
	}
}

// write writes some outcomes, and reports whether the database refuses them. They are divided further then.
func (a *apart) write(ctx context.Context, g group, limit time.Duration) (failed bool) {
	due, err := a.writer.try(ctx, a.writer.config.Store.Apart(limit), g)
	if due {
		a.add(g, err)
	}
	return due
}

// refused tells the machine of an outcome that cannot be written although it stands alone.
func (a *apart) refused(item *written, err error) {
	if refusal(err) != nil && item.command.Reduces() {
		a.writer.quarantine.Refused(item.of, sql.Refusal(err))
		a.writer.unwritten([]*written{item}, machine.WhyRefused, sql.Refusal(err))
		return
	}
	a.mu.Lock()
	if circuit := item.circuit(); circuit != "" {
		a.suspect[circuit] = time.Now().Add(suspectFor)
		a.any.Store(true)
	}
	a.mu.Unlock()
	a.writer.quarantine.Isolate(item.of, err)
	a.writer.tellWhy(item, sql.Refusal(err))
	why := machine.WhyFailed
	if refusal(err) != nil {
		why = machine.WhyRefused
	}
	a.writer.unwritten([]*written{item}, why, sql.Refusal(err))
}

// errHeld is why an outcome is not written whose row another session holds.
var errHeld = &pgconn.PgError{Code: "55P03"}

// refusal returns the database's error if it is about what was to be written, so that the
// same statement fails for ever: a value that a type cannot hold (SQLSTATE class 22), a
// constraint (23), a view's check (44), a limit as that of an index entry (54), a trigger
// that raises an exception (P0).
func refusal(err error) *pgconn.PgError {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) < 2 {
		return nil
	}
	switch pg.Code[:2] {
	case "22", "23", "44", "54", "P0":
		return pg
	}
	return nil
}
