package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"relay"
	"relay/crash"
	"relay/jobs"
	"relay/pulse"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/retry"
	"relay/sql"
	"relay/wait"
)

const (
	// writeBatch is the most messages, or deliveries of open ones, that one statement writes.
	writeBatch = 500
	// writeRows is the most deliveries that one statement writes, unless a single message has more.
	writeRows = 2000
	// fannedRows is how many deliveries of messages with many one statement writes, unless a single message has more: a
	// writer of their own writes those.
	fannedRows = 500
	// writeGather is how long outcomes wait for company, so that those of one moment share
	// a statement and a commit. No caller waits for a single one.
	writeGather = 2 * time.Millisecond
	// writeGatherBusy is how much longer they wait at a high rate. The number of outcomes in the time before
	// tells the rate.
	writeGatherBusy = 8 * time.Millisecond
	// writers is how many statements run at once: one is built while another commits.
	writers = 2
	// lockedSeen is how long a row is held before people are told.
	lockedSeen = time.Second
	// mostLosses is how often the connection may be lost over the same outcomes, although the
	// database can be written to, before they are taken for the reason.
	mostLosses = 3
)

// written is what the machine wants to be written together: outcomes of one message.
type written struct {
	command machine.Write
	changes []sql.Change
	of      quarantine.Subject // its name in the quarantine
}

func (w *written) circuit() string { return w.changes[0].Circuit }

// writer writes outcomes in batches, and tells the machine of each whether it stands in the table.
type writer struct {
	*shared
	loader *subscriptionLoader
	pulse  *pulse.Pulse
	jobs   *jobs.Runner
	queue  *queue[*written]
	// fanned are those of messages with many deliveries.
	fanned *queue[*written]
	// apart writes what must not be written together with the rest.
	apart *apart
}

func newWriter(s *shared, loader *subscriptionLoader, counted *pulse.Pulse, working *jobs.Runner) *writer {
	w := &writer{shared: s, loader: loader, pulse: counted, jobs: working, queue: newQueue[*written](), fanned: newQueue[*written]()}
	w.apart = newApart(w)
	return w
}

// put queues what the machine wants to be written.
func (w *writer) put(c machine.Write) {
	item := &written{command: c, changes: changesOf(&c)}
	item.of = quarantine.Subject{Operation: quarantine.WriteOutcome, ID: item.changes[0].Delivery}
	if c.Taking && !c.Again && c.Tries == 0 && c.Reduced == 0 && c.Message != nil {
		w.pulse.Took(c.Message, c.MessageStatus == relay.MessageRejected, time.Now())
	}
	switch {
	case c.Last == machine.WhyRefused || c.Last == machine.WhyFailed:
		w.apart.alone.push(item)
	case c.Last == machine.WhyLocked, w.apart.suspects(item.circuit()):
		w.apart.put(item)
	case len(item.changes) >= machine.FanoutFrom:
		w.fanned.push(item)
	default:
		w.queue.push(item)
	}
}

// changesOf are the rows of relay.delivery that a command of the machine writes.
func changesOf(w *machine.Write) []sql.Change {
	changes := make([]sql.Change, len(w.Changes))
	for i := range w.Changes {
		changes[i] = changeOf(w, &w.Changes[i])
	}
	for i := range w.Spread {
		changes[0].Spread = append(changes[0].Spread, changeOf(w, &w.Spread[i]))
	}
	return changes
}

func changeOf(w *machine.Write, c *retry.Change) sql.Change {
	return sql.Change{
		Delivery: c.ID, Shard: w.Shard, Target: c.Target, Circuit: c.Destination, Taking: w.Taking, Again: w.Again,
		MessageStatus: w.MessageStatus, Outstanding: w.Outstanding,
		Status: c.Status, Reason: c.Reason, Attempts: c.Attempts, HandleAttempts: c.HandleAttempts, NextAttempt: c.Next,
		ResponseCode: c.ResponseCode, Error: c.Error, Cause: c.Cause, Due: time.Now().Add(-c.Waited), Ackable: c.Acknowledges, AckAttempt: c.AckAttempt,
		Attempt: c.Attempt,
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
	for wait.Ready(ctx, w.fanned.ready, 0) {
		w.write(ctx, takeRows(w.fanned, fannedRows))
	}
}

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.write(ctx, w.queue.gather(ctx, writeBatch, writeGather, writeGatherBusy, func() []*written { return takeRows(w.queue, writeRows) }))
	}
}

// takeRows takes what one statement writes. Together it has at most rows deliveries, unless the first has more.
func takeRows(q *queue[*written], rows int) (batch []*written) {
	for len(batch) < writeBatch {
		one := q.take(1)
		if len(one) == 0 {
			return batch
		}
		batch = append(batch, one[0])
		if rows -= len(one[0].changes); rows <= 0 {
			return batch
		}
	}
	return batch
}

// write writes one batch. What the database refuses, for whatever row of it, is written apart from the rest.
func (w *writer) write(ctx context.Context, batch []*written) {
	for _, g := range groupsOf(batch) {
		if due, err := w.try(ctx, w.config.Store, g); due {
			w.apart.add(g, err)
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

// try writes outcomes, and tells the machine what became of them. If it reports that the failure is due to one of them,
// they are to be divided, and the machine has been told nothing.
func (w *writer) try(ctx context.Context, store *sql.Store, g group) (dueToRows bool, err error) {
	n := 0
	for _, item := range g.items {
		n += len(item.changes)
	}
	changes := make([]sql.Change, 0, n)
	for _, item := range g.items {
		changes = append(changes, item.changes...)
	}
	crash.At(crash.BeforeWrite)
	ids, err := g.write(store, ctx, w.leases.Now().Lease, changes)
	switch {
	case err == nil:
		crash.At(crash.AfterWrite)
		w.trouble.Note("write outcomes", nil)
		w.settle(ctx, g.items, ids)
	case errors.Is(err, sql.ErrFenced):
		w.unwritten(g.items, machine.WhyFenced, "")
	case ctx.Err() == nil && w.isDueToRows(ctx, err, g.items):
		return true, err
	default:
		if ctx.Err() == nil {
			w.trouble.Note("write outcomes", err)
		}
		w.unwritten(g.items, machine.WhyUnknown, "")
	}
	return false, nil
}

// isDueToRows reports whether a statement failed because of what it was to write, rather than because nothing at all
// can be written. A connection that is lost again and again over the same outcomes, although others can be written, is
// lost because of them.
func (w *writer) isDueToRows(ctx context.Context, err error, items []*written) bool {
	lost := sql.LostConnection(err)
	if sql.AboutTheServer(err) && !lost || w.config.Store.ProbeWriting(ctx) != nil {
		return false
	}
	tries := 0
	for _, item := range items {
		tries = max(tries, item.command.Tries)
	}
	return !lost || tries >= mostLosses-1
}

// divides tells the machine that outcomes could not be written together, and are divided to find the culprit.
func (w *writer) divides(items []*written) {
	var e machine.Divided
	for _, item := range items {
		e.Entries = append(e.Entries, item.command.Entry)
	}
	w.loop.tell(e)
}

// unwritten tells the machine that outcomes are not in the table.
func (w *writer) unwritten(items []*written, why machine.Why, text string) {
	events := make([]machine.Event, len(items))
	for i, item := range items {
		events[i] = machine.NotWritten{Entry: item.command.Entry, Why: why, Text: text}
	}
	w.loop.tell(events...)
}

// settle tells the machine what was written, and finds out about the rest.
func (w *writer) settle(ctx context.Context, items []*written, ids []relay.ID) {
	hit := make(map[relay.ID]bool, len(ids))
	for _, id := range ids {
		hit[id] = true
	}
	if len(ids) > 0 {
		w.apart.wrote()
	}
	events := make([]machine.Event, 0, len(items))
	var missed []*written
	for _, item := range items {
		if !hit[item.changes[0].Delivery.Message] {
			missed = append(missed, item)
			continue
		}
		w.count(item)
		events = append(events, machine.Written{Entry: item.command.Entry})
	}
	crash.At(crash.BeforeUnregister)
	w.loop.tell(events...)
	if len(missed) > 0 {
		w.lookAgain(ctx, missed)
	}
}

// count notes what was written. What was rejected for want of a route has perhaps got one in the meantime: the relay
// that took up what was rejected then found it pending.
func (w *writer) count(item *written) {
	c, now := &item.command, time.Now()
	w.pulse.Wrote(item.changes, now)
	if c.Taking && !c.Again {
		w.jobs.Arrived(now)
	}
	if c.Tries > 0 {
		w.quarantine.Free(item.of)
	}
	r := w.config.Router
	if c.MessageStatus == relay.MessageRejected && c.Message != nil && item.changes[0].Error == r.NoRoute() && r.Routes(c.Message.Topic) > 0 {
		w.loader.unrouted.Store(true)
	}
}

// lookAgain sorts out the items whose rows were not written, either all of messages taken
// up or all of open ones. A row that is there and unfinished was held by another session, or its
// message is still being taken up: its outcome is written later, and no new attempt is made.
// One that is gone or ended, that was to be taken up and is open already (by a write whose
// answer was lost), or whose shard is another relay's, is forgotten.
func (w *writer) lookAgain(ctx context.Context, missed []*written) {
	ids := make([]relay.ID, len(missed))
	for i, item := range missed {
		ids[i] = item.changes[0].Delivery.Message
	}
	there, err := w.config.Store.StillThere(ctx, ids, !missed[0].command.Taking)
	w.trouble.NoteDuring(ctx, "look for unwritten messages", err)
	if err != nil {
		there = ids
	}
	unfinished := make(map[relay.ID]bool, len(there))
	for _, id := range there {
		unfinished[id] = true
	}
	for _, item := range missed {
		if !unfinished[item.changes[0].Delivery.Message] {
			w.quarantine.Free(item.of)
			w.unwritten([]*written{item}, machine.WhyGone, "")
			continue
		}
		if item.command.Since >= lockedSeen {
			w.quarantine.Isolate(item.of, errHeld)
			w.tellWhy(item, sql.Refusal(errHeld))
		}
		w.unwritten([]*written{item}, machine.WhyLocked, "")
	}
}

// tellWhy has people see in the row, as far as that can be written, why its outcome is not there.
func (w *writer) tellWhy(item *written, why string) {
	id := item.changes[0].Delivery
	if item.command.Taking {
		id = relay.DeliveryID{Message: id.Message}
	}
	text := fmt.Sprintf("the outcome %q is not written yet, and nothing is sent again meanwhile: %s", pulse.Status(&item.changes[0]), why)
	w.quarantine.Tell(sql.Telling{ID: id, Why: text})
}
