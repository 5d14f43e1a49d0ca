package reconcile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"relay/sql"
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
	// crowdedShare is the part of the registry that unwritten outcomes of one destination may fill, crowdedMost
	// that of all destinations together.
	crowdedShare = 16
	crowdedMost  = 2
	// stalledCount outcomes of a destination that cannot be written are too many as well if none was written for
	// stalledAfter, or none of any destination for stalledAll.
	stalledCount = 16
	stalledAfter = time.Second
	stalledAll   = 2 * time.Second
	// crowdedWait is how long a message stays in memory that is not sent because the outcomes before it
	// cannot be written.
	crowdedWait = time.Second
)

// apart writes outcomes that must not share a statement with the rest: those of a batch that the database refused,
// in halves until the culprit stands alone; those whose rows another session had locked; and those of destinations with
// culprits. It has connections of its own. A culprit stays registered, so that nothing is sent again, and is
// written later, after growing times.
type apart struct {
	unwritten unwritten
	retries   retrier

	writer *writer
	ready  chan struct{} // something is to be written
	alone  chan struct{} // a culprit is to be written
	// any says that a destination is suspect, all how many outcomes wait.
	any atomic.Bool
	all atomic.Int64
	// wroteAt is when any outcome was written last, in nanoseconds of Unix time.
	wroteAt atomic.Int64

	mu sync.Mutex
	// work is what is to be written of each destination, and turns the destinations in the order of their turns.
	work     map[string]*workOf
	turns    []string
	culprits []*written
	// timers are the outcomes that wait.
	timers map[*written]*time.Timer
	// suspect destinations, until when.
	suspect map[string]time.Time
	// destinations are those with outcomes that could not be written, counted those outcomes.
	destinations map[string]*backlogged
	counted      map[*written]bool
	hurried      time.Time // when those that wait were last tried before their time
}

// backlogged is a destination with outcomes that could not be written.
type backlogged struct {
	unwritten int
	since     time.Time // when one was written last, or could not be written first
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

// unwritten counts outcomes that could not be written, for each destination.
type unwritten struct{ *apart }

// retrier writes outcomes again that could not be written although they stood alone.
type retrier struct{ *apart }

func newApart(w *writer) *apart {
	a := &apart{
		work:   make(map[string]*workOf),
		writer: w, ready: make(chan struct{}, 1), alone: make(chan struct{}, 1), timers: make(map[*written]*time.Timer),
		suspect: make(map[string]time.Time), destinations: make(map[string]*backlogged), counted: make(map[*written]bool),
	}
	a.unwritten.apart, a.retries.apart = a, a
	return a
}

// start runs the writers until ctx ends.
func (a *apart) start(ctx context.Context, group *sync.WaitGroup) {
	for i := range apartWriters {
		// The first one has time for destinations whose outcomes can be written.
		group.Go(func() { a.run(ctx, i == 0) })
	}
	for range aloneWriters {
		group.Go(func() { a.retries.runAlone(ctx) })
	}
}

// suspects reports whether outcomes are to be written apart because a destination of theirs has culprits.
func (a *apart) suspects(changes []sql.Change) bool {
	if !a.any.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range changes {
		until, is := a.suspect[changes[i].Circuit]
		if is && time.Now().Before(until) {
			return true
		}
		if is {
			delete(a.suspect, changes[i].Circuit)
		}
	}
	a.any.Store(len(a.suspect) > 0)
	return false
}

// put queues an outcome to be written with others of its destination.
func (a *apart) put(item *written) {
	a.mu.Lock()
	delete(a.timers, item)
	of := a.of(item.circuit)
	of.queue = append(of.queue, item)
	a.mu.Unlock()
	poke(a.ready)
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

// add queues outcomes that the database has refused together: by destinations or, of a single one, halves of them.
func (a *apart) add(g group, err error) {
	a.unwritten.stalled(err)
	parts := make(map[string][]*written)
	for _, item := range g.items {
		parts[item.circuit] = append(parts[item.circuit], item)
	}
	a.mu.Lock()
	for circuit, items := range parts {
		of := a.of(circuit)
		of.failing = of.failing || len(parts) == 1
		if middle := len(items) / 2; middle > 0 && len(parts) == 1 {
			of.groups = append(of.groups, group{items[:middle], g.write}, group{items[middle:], g.write})
		} else {
			of.groups = append(of.groups, group{items, g.write})
		}
		for _, item := range items {
			a.unwritten.count(item)
		}
	}
	a.mu.Unlock()
	poke(a.ready)
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
		n := batchOf(of.queue, writeRows)
		of.groups = groupsOf(of.queue[:n])
		of.queue = of.queue[n:]
	}
	g, of.groups = of.groups[0], of.groups[1:]
	of.busy = true
	return circuit, g, true
}

// next is the turn of the first destination that has work and whose outcomes can, or cannot, be written; -1: none. The caller
// holds the mutex.
func (a *apart) next(failing bool) int {
	return slices.IndexFunc(a.turns, func(circuit string) bool {
		of := a.work[circuit]
		return !of.busy && of.failing == failing && (len(of.groups) > 0 || len(of.queue) > 0)
	})
}

// taken notes that a group of a destination was written, or could not be.
func (a *apart) taken(circuit string, failed bool) {
	a.mu.Lock()
	of := a.work[circuit] // it is not forgotten while it is busy
	of.busy, of.failing = false, failed
	if !failed {
		a.recovered(circuit)
	}
	a.mu.Unlock()
	poke(a.ready)
}

// recovered notes that outcomes of a destination can be written. Without work it is forgotten. The caller holds the mutex.
func (a *apart) recovered(circuit string) {
	of := a.work[circuit]
	if of == nil {
		return
	}
	of.failing = false
	if !of.busy && len(of.groups) == 0 && len(of.queue) == 0 {
		delete(a.work, circuit)
		a.turns = slices.DeleteFunc(a.turns, func(c string) bool { return c == circuit })
	}
}

func (a *apart) run(ctx context.Context, sound bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.ready:
		}
		if !pause(ctx, writeGather, nil) {
			return
		}
		for {
			circuit, g, some := a.take(sound)
			if !some {
				break
			}
			poke(a.ready) // another writer may find more
			a.taken(circuit, !a.write(ctx, g, groupLimit))
		}
		if sound && ctx.Err() == nil && a.waiting() {
			poke(a.ready) // it is for the others
			if !pause(ctx, writeGatherBusy, nil) {
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
func (a *retrier) runAlone(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.alone:
		}
		if item := a.takeCulprit(); item != nil {
			a.write(ctx, groupsOf([]*written{item})[0], min(aloneLimit<<min(item.tries, 8), aloneMost))
		}
	}
}

func (a *retrier) takeCulprit() *written {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.culprits) == 0 {
		return nil
	}
	item := a.culprits[0]
	if a.culprits = a.culprits[1:]; len(a.culprits) > 0 {
		poke(a.alone)
	}
	return item
}

// write writes some outcomes, and reports whether they could be. If not they are divided further.
func (a *apart) write(ctx context.Context, g group, limit time.Duration) bool {
	items, ids, err := a.writer.try(ctx, a.writer.engine.config.Store.Apart(limit), g)
	switch {
	case err == nil:
		a.writer.settle(ctx, items, ids)
		return true
	case ctx.Err() != nil:
	case len(items) > 1:
		a.add(group{items, g.write}, err)
	default:
		a.unwritten.stalled(err)
		a.retries.refused(items[0], err)
	}
	return false
}

// refused has an outcome that stands alone written with less, if the database refuses what it is; else later.
func (a *retrier) refused(item *written, err error) {
	e := a.writer.engine
	if reduce(item, err) {
		e.isolator.sayIsolated(item.of, sql.Refusal(err))
		a.mu.Lock()
		of := a.of(item.circuit)
		of.groups = append(of.groups, groupsOf([]*written{item})...)
		a.mu.Unlock()
		poke(a.ready)
		return
	}
	wait := e.isolator.isolate(item.of, err)
	if e.stopping.Load() {
		a.writer.forget(item, true) // its row is left to the next owner
		return
	}
	a.mu.Lock()
	item.tries++
	if item.circuit != "" {
		a.suspect[item.circuit] = time.Now().Add(suspectFor)
		a.any.Store(true)
	}
	a.mu.Unlock()
	a.later(item, wait, func() { a.again(item) })
	a.tell(item, sql.Refusal(err))
}

// held has an outcome written later whose row another session holds.
func (a *retrier) held(item *written) {
	if item.locked == 0 {
		item.lockedSince = time.Now()
	}
	wait := min(lockedAgain<<min(item.locked, 8), lockedMost)
	item.locked++
	a.later(item, wait, func() { a.put(item) })
	if time.Since(item.lockedSince) < lockedSeen {
		return
	}
	a.writer.engine.isolator.isolate(item.of, errHeld)
	a.tell(item, sql.Refusal(errHeld))
}

// tell has people see in the row, as far as that can be written, why its outcome is not there.
func (a *retrier) tell(item *written, why string) {
	c := &item.changes[0]
	id := c.Delivery
	if c.Taking {
		id = sql.DeliveryID{Message: c.Delivery.Message}
	}
	text := fmt.Sprintf("the outcome %q is not written yet, and nothing is sent again meanwhile: %s", outcomeLabel(c), why)
	a.writer.engine.isolator.tell(sql.Telling{ID: id, Why: text})
}

// later has an outcome written after a while. It is counted meanwhile.
func (a *retrier) later(item *written, wait time.Duration, again func()) {
	a.writer.engine.registry.byShard.hold(item.entry)
	if a.writer.engine.stopping.Load() {
		wait = min(wait, lockedAgain)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unwritten.count(item)
	a.timers[item] = time.AfterFunc(wait, again)
}

// again queues a culprit.
func (a *retrier) again(item *written) {
	a.mu.Lock()
	delete(a.timers, item)
	a.culprits = append(a.culprits, item)
	a.mu.Unlock()
	poke(a.alone)
}

// hurry has everything tried at once that waits: the relay stops.
func (a *unwritten) hurry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, timer := range a.timers {
		if timer.Stop() {
			timer.Reset(0)
		}
	}
}

// count notes that an outcome could not be written. The caller holds the mutex.
func (a *unwritten) count(item *written) {
	if a.counted[item] {
		return
	}
	a.counted[item] = true
	a.all.Add(1)
	at := a.destinations[item.circuit]
	if at == nil {
		at = &backlogged{since: time.Now()}
		a.destinations[item.circuit] = at
	}
	at.unwritten++
}

// settled notes that an outcome is written, or is not to be written any more.
func (a *unwritten) settled(item *written, written bool) {
	if a.all.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.destinations[item.circuit]
	if at != nil && written {
		at.since = time.Now()
	}
	if !a.counted[item] {
		return
	}
	delete(a.counted, item)
	a.all.Add(-1)
	if at.unwritten--; at.unwritten == 0 {
		delete(a.destinations, item.circuit)
		a.recovered(item.circuit)
	}
	a.writer.engine.quarantine.ended(item.of)
	if written && item.tries > 0 {
		a.hurryOthers(item.circuit)
	}
}

// hurryOthers has the culprits of a destination tried before their time, since one of them could be written: what stood in
// their way may be gone. The caller holds the mutex.
func (a *unwritten) hurryOthers(circuit string) {
	if time.Since(a.hurried) < time.Second {
		return
	}
	a.hurried = time.Now()
	for item, timer := range a.timers {
		if item.circuit == circuit && item.tries > 0 && timer.Stop() {
			timer.Reset(0)
		}
	}
}

// wroteSome notes that some outcomes were written.
func (a *unwritten) wroteSome() { a.wroteAt.Store(time.Now().UnixNano()) }

// nothingWritten reports whether no outcome at all was written for some time.
func (a *unwritten) nothingWritten() bool {
	return time.Since(time.Unix(0, a.wroteAt.Load())) > stalledAll
}

// stalled notes that writing is in trouble as a whole, if many outcomes cannot be written and none is.
func (a *unwritten) stalled(err error) {
	if a.all.Load() >= stalledCount && a.nothingWritten() {
		a.writer.engine.trouble.note("write outcomes", err)
	}
}

// crowded reports whether too many outcomes of a destination cannot be written, so that nothing more may be sent there.
func (a *unwritten) crowded(circuit string) bool {
	all := a.all.Load()
	if all == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at, most := a.destinations[circuit], a.writer.engine.config.InFlight
	switch {
	case at == nil:
		return false
	case at.unwritten >= max(1, most/crowdedShare), all >= int64(max(1, most/crowdedMost)):
		return true
	}
	of := a.work[circuit]
	return of != nil && of.failing && at.unwritten >= stalledCount && (time.Since(at.since) > stalledAfter || a.nothingWritten())
}

// Crowded reports whether nothing may be sent to a destination for the time being, because its outcomes cannot be
// written: each attempt would be one more that a crash repeats.
func (e *Engine) Crowded(circuit string) bool { return e.writer.apart.unwritten.crowded(circuit) }
