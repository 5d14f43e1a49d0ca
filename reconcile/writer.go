package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
)

const (
	// writeBatch is the most tasks that one statement writes.
	writeBatch = 500
	// writeRows is the most deliveries that one statement writes, unless a single message has more.
	writeRows = 2000
	// writeGather is how long outcomes wait for company, so that those of one moment share
	// a statement and a commit. No caller waits for a single one.
	writeGather = 2 * time.Millisecond
	// writeGatherBusy is how much longer they wait at a high rate. The number of outcomes in the time before
	// tells the rate.
	writeGatherBusy = 8 * time.Millisecond
	// writers is how many statements run at once: one is built while another commits.
	writers = 2
	// lockedAgain is when an outcome is written again whose row another session held. Each time
	// after doubles it, up to lockedMost.
	lockedAgain = 100 * time.Millisecond
	lockedMost  = time.Second
	// lockedSeen is how long a row is held before people are told.
	lockedSeen = time.Second
	// mostLosses is how often the connection may be lost over the same outcomes, although the
	// database can be written to, before they are taken for the reason.
	mostLosses = 3
)

// written is one task's outcomes.
type written struct {
	entry   *entry
	changes []sql.Change
	after   func()       // called when the outcomes are written, or will not be
	of      subject      // its name in the quarantine
	circuit string       // the destination that it is about. Empty: it is about none
	reduced int          // how often something was taken from it that the database refused
	whole   []sql.Change // the changes with their deliveries, while it is tried without
	tries   int          // how often it could not be written although it stood alone
	// locked is how often its row was held by another session, lockedSince since when.
	locked      int
	lockedSince time.Time
}

// writer collects outcomes and writes them in batches. An entry stays registered until its
// outcome stands in the table.
type writer struct {
	waiting outcomeQueue
	health  writerHealth

	engine  *core
	ready   chan struct{}
	idle    chan struct{} // receives when the last outcome was written
	failing atomic.Bool   // blocked is not 0; changed with mu held
	// gathering is held by the writer that waits for a batch.
	gathering chan struct{}
	// fannedReady receives when outcomes of a message with many deliveries are queued.
	fannedReady chan struct{}

	mu      sync.Mutex
	queue   []*written
	fanned  []*written    // those with many deliveries, which a writer of their own writes
	pending int           // put and not settled yet, whether queued, being written, or waiting for a lock
	blocked int           // groups that are being tried although nothing at all can be written
	healthy chan struct{} // closed while blocked is 0
	// apart writes what must not be written together with the rest.
	apart *apart
}

// outcomeQueue holds outcomes that wait to be written.
type outcomeQueue struct{ *writer }

// writerHealth tells whether outcomes can be written at all.
type writerHealth struct{ *writer }

func newWriter(e *core) *writer {
	healthy := make(chan struct{})
	close(healthy)
	w := &writer{engine: e, ready: make(chan struct{}, 1), idle: make(chan struct{}, 1), gathering: make(chan struct{}, 1), healthy: healthy}
	w.fannedReady = make(chan struct{}, 1)
	w.waiting.writer, w.health.writer = w, w
	w.apart = newApart(w)
	return w
}

// put queues one task's outcomes.
func (w *outcomeQueue) put(en *entry, changes []sql.Change, after func()) {
	item := &written{entry: en, changes: changes, after: after, of: subject{operation: writeOutcome, id: changes[0].Delivery}, circuit: changes[0].Circuit}
	suspect := w.apart.suspects(changes)
	w.mu.Lock()
	w.pending++
	fanned := len(changes) >= fanoutFrom
	switch {
	case suspect:
	case fanned:
		w.fanned = append(w.fanned, item)
	default:
		w.queue = append(w.queue, item)
	}
	w.mu.Unlock()
	switch {
	case suspect:
		w.apart.put(item)
	case fanned:
		poke(w.fannedReady)
	default:
		poke(w.ready)
	}
}

func (w *outcomeQueue) take() []*written {
	w.mu.Lock()
	defer w.mu.Unlock()
	return takeBatch(&w.queue, writeRows, w.ready)
}

// takeFanned is take for outcomes of messages with many deliveries.
func (w *outcomeQueue) takeFanned() []*written {
	w.mu.Lock()
	defer w.mu.Unlock()
	return takeBatch(&w.fanned, fanoutBatch, w.fannedReady)
}

// takeBatch takes from a queue what one statement writes, and pokes ready if it leaves something.
func takeBatch(queue *[]*written, rows int, ready chan struct{}) []*written {
	n := batchOf(*queue, rows)
	batch := slices.Clone((*queue)[:n])
	if *queue = (*queue)[n:]; len(*queue) == 0 {
		*queue = nil
	} else {
		poke(ready)
	}
	return batch
}

// batchOf is how many of the first outcomes one statement writes. Together they have at most n rows, unless the first
// has more.
func batchOf(queue []*written, n int) int {
	for i, item := range queue {
		if n -= len(item.changes); i == writeBatch || i > 0 && n < 0 {
			return i
		}
	}
	return len(queue)
}

// settled notes that n tasks need no writing any more.
func (w *outcomeQueue) settled(n int) {
	w.mu.Lock()
	w.pending -= n
	empty := w.pending == 0
	w.mu.Unlock()
	if empty {
		poke(w.idle)
	}
}

// start runs the writers until ctx ends.
func (w *writer) start(ctx context.Context, group *sync.WaitGroup) {
	for range writers {
		group.Go(func() { w.run(ctx) })
	}
	group.Go(func() { w.runFanned(ctx) })
	w.apart.start(ctx, group)
}

// runFanned writes the outcomes of messages with many deliveries.
func (w *writer) runFanned(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.fannedReady:
		}
		if batch := w.waiting.takeFanned(); len(batch) > 0 {
			w.write(ctx, batch)
		}
	}
}

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if batch := w.nextBatch(ctx); len(batch) > 0 {
			w.write(ctx, batch)
		}
	}
}

// nextBatch waits for outcomes, and then for their company. One writer at a time does so:
// two would share what arrives, in batches of half the size.
func (w *writer) nextBatch(ctx context.Context) []*written {
	select {
	case <-ctx.Done():
		return nil
	case w.gathering <- struct{}{}:
		defer func() { <-w.gathering }()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-w.ready:
	}
	if w.waiting.queued() < writeBatch && !pause(ctx, writeGather, nil) {
		return nil
	}
	if n := w.waiting.queued(); n >= busy && n < writeBatch && !pause(ctx, writeGatherBusy, nil) {
		return nil
	}
	return w.waiting.take()
}

func (w *outcomeQueue) queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// finish waits until every outcome is written, or until ctx ends.
func (w *writer) finish(ctx context.Context) error {
	for {
		w.mu.Lock()
		pending := w.pending
		w.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-w.idle:
		case <-ctx.Done():
			return fmt.Errorf("the outcomes of %d messages could not be written in time; they may be sent again", pending)
		}
	}
}

// waitHealthy waits while outcomes cannot be written: nothing is sent whose outcome would
// be lost.
func (w *writerHealth) waitHealthy(ctx context.Context) error {
	w.mu.Lock()
	healthy := w.healthy
	w.mu.Unlock()
	select {
	case <-healthy:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// works reports whether outcomes can be written. It is asked several times for each message.
func (w *writerHealth) works() bool { return !w.failing.Load() }

// block notes that a group cannot be written because nothing can. The group calls unblock once, however its trial ends:
// a state that only the next success ended would stay for good if there is none left to write.
func (w *writerHealth) block() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blocked++; w.blocked == 1 {
		w.healthy = make(chan struct{})
		w.failing.Store(true)
	}
}

// unblock takes a call of block back.
func (w *writerHealth) unblock() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blocked--; w.blocked == 0 {
		w.failing.Store(false)
		close(w.healthy)
		w.engine.trouble.note("write outcomes", nil)
	}
}

// write writes one batch. What the database refuses, for whatever row of it, is written apart from the rest.
func (w *writer) write(ctx context.Context, batch []*written) {
	for _, g := range groupsOf(batch) {
		items, ids, err := w.try(ctx, w.engine.config.Store, g)
		switch {
		case err == nil:
			w.settle(ctx, items, ids)
		case ctx.Err() == nil:
			w.apart.add(group{items, g.write}, err)
		}
	}
}

// writeFunc is a method of a store that writes changes of one kind.
type writeFunc func(*sql.Store, context.Context, sql.Lease, []sql.Change) ([]relay.ID, error)

// group is outcomes that one statement can write.
type group struct {
	items []*written
	write writeFunc
}

// groupsOf divides outcomes: messages taken up are written in one statement, deliveries of open ones in
// another, and those that are spread over their instances in a third.
func groupsOf(batch []*written) (groups []group) {
	taken, open, spread := group{write: (*sql.Store).WriteTaken}, group{write: (*sql.Store).WriteOpen}, group{write: (*sql.Store).WriteSpread}
	for _, item := range batch {
		of := &open
		switch c := &item.changes[0]; {
		case c.Taking:
			of = &taken
		case c.Spread != nil:
			of = &spread
		}
		of.items = append(of.items, item)
	}
	for _, g := range []group{taken, open, spread} {
		if len(g.items) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// try writes outcomes, again and again as long as nothing at all can be written. It returns those that are not stale
// with the messages that were written, or an error that is due to one of them, or to the end of ctx.
func (w *writer) try(ctx context.Context, store *sql.Store, g group) (items []*written, ids []relay.ID, err error) {
	items = g.items
	losses, blocked := 0, false
	defer func() {
		if blocked {
			w.health.unblock()
		}
	}()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		own := w.engine.lease.Load()
		if items = w.dropStale(own, items); len(items) == 0 {
			return nil, nil, nil
		}
		crash.At(crash.BeforeWrite)
		ids, err := g.write(store, ctx, own.lease, changesOf(items))
		if err == nil {
			crash.At(crash.AfterWrite)
			w.engine.trouble.note("write outcomes", nil)
			return items, ids, nil
		}
		if ctx.Err() != nil {
			return items, nil, err
		}
		if !errors.Is(err, sql.ErrFenced) {
			if w.health.dueToRows(ctx, err, &losses) {
				return items, nil, err
			}
			if !blocked {
				blocked = true
				w.health.block()
			}
			w.engine.trouble.note("write outcomes", err)
		}
		if !pause(ctx, wait, nil) {
			return items, nil, ctx.Err()
		}
	}
}

// dueToRows reports whether a statement failed because of what it was to write, rather than because nothing at all can be
// written. It counts the connections that were lost although outcomes can be written.
func (w *writerHealth) dueToRows(ctx context.Context, err error, losses *int) bool {
	lost := sql.LostConnection(err)
	if sql.AboutTheServer(err) && !lost || w.engine.config.Store.ProbeWriting(ctx) != nil {
		return false
	}
	if lost {
		*losses++
	}
	return !lost || *losses == mostLosses
}

func changesOf(items []*written) []sql.Change {
	changes := make([]sql.Change, 0, len(items))
	for _, item := range items {
		changes = append(changes, item.changes...)
	}
	return changes
}

// settle unregisters what was written and decides what to do with the rest.
func (w *writer) settle(ctx context.Context, items []*written, ids []relay.ID) {
	hit := make(map[relay.ID]bool, len(ids))
	for _, id := range ids {
		hit[id] = true
	}
	if len(ids) > 0 {
		w.apart.unwritten.wroteSome()
	}
	done := make([]*entry, 0, len(items))
	var missed []*written
	for _, item := range items {
		if !hit[item.changes[0].Delivery.Message] {
			missed = append(missed, item)
			continue
		}
		done = append(done, item.entry)
		w.announce(item.changes)
		w.apart.unwritten.settled(item, true)
	}
	crash.At(crash.BeforeUnregister)
	w.engine.registry.remove(done...)
	for _, item := range items {
		if hit[item.changes[0].Delivery.Message] {
			item.after()
		}
	}
	w.waiting.settled(len(done))
	if len(missed) > 0 {
		w.lookAgain(ctx, missed)
	}
}

// announce tells those that wait for it what the written changes mean.
func (w *writer) announce(changes []sql.Change) {
	w.engine.pulse.wrote(changes, time.Now())
	for i := range changes {
		c := &changes[i]
		w.engine.config.Metrics.wrote(c, i == 0)
		switch {
		case c.NextAttempt >= 0:
			w.engine.due.hint(time.Now().Add(c.NextAttempt))
		case c.Reason == relay.ReasonKeyBlocked:
		case c.Status == relay.DeliveryWaiting, c.Reason != relay.ReasonNone:
			w.engine.backlog.add(sql.Parked{Circuit: c.Circuit, Direct: c.Delivery.Subscription == relay.SubscriptionDirect})
		}
	}
}

// outcomeLabel is the status that an outcome is counted under.
func outcomeLabel(c *sql.Change) string {
	if c.MessageStatus == relay.MessageRejected {
		return string(relay.MessageRejected)
	}
	return string(c.Status)
}

// lookAgain sorts out the tasks whose rows were not written, either all of messages taken
// up or all of open ones. A row that is there and unfinished was held by another session, or its
// message is still being taken up: its outcome is written later, and no new attempt is made.
// One that is gone or ended, that was to be taken up and is open already (by a write whose
// answer was lost), or whose shard is another relay's, is forgotten.
func (w *writer) lookAgain(ctx context.Context, missed []*written) {
	ids := make([]relay.ID, len(missed))
	for i, item := range missed {
		ids[i] = item.changes[0].Delivery.Message
	}
	there, err := w.engine.config.Store.StillThere(ctx, ids, !missed[0].changes[0].Taking)
	w.engine.trouble.note("look for unwritten messages", err)
	if err != nil {
		there = ids
	}
	unfinished := make(map[relay.ID]bool, len(there))
	for _, id := range there {
		unfinished[id] = true
	}
	own := w.engine.lease.Load()
	for _, item := range missed {
		there := unfinished[item.changes[0].Delivery.Message]
		if there && own.leased(item.entry.shard) {
			w.apart.retries.held(item)
			continue
		}
		w.forget(item, there)
	}
}

// forget unregisters a task whose outcome is not to be written. Its row is left to a sweep if it is still there.
func (w *writer) forget(item *written, there bool) {
	w.apart.unwritten.settled(item, false)
	if there {
		w.engine.registry.leave(item.entry)
	} else {
		w.engine.registry.remove(item.entry)
	}
	item.after()
	w.waiting.settled(1)
}
