package reconcile

import (
	"context"
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
)

const (
	// readBatch is the most ids that one statement reads.
	readBatch = 500
	// gather is how long a reader waits for company once something has arrived: at low
	// rates a statement for each message would cost more than the message.
	gather = time.Millisecond
	// busy is how many that came meanwhile are a sign of a high rate. There a reader waits
	// gatherBusy longer: the more a statement reads, the less each message costs.
	busy       = 4
	gatherBusy = 3 * time.Millisecond
	// unseenFor is how long a row that the stream showed, but SQL does not, is looked for.
	unseenFor = time.Second
	// staleAfter is when what was read, and not handed on, is read again: it may have been
	// cancelled or paused meanwhile. What was handed on has as long to be sent.
	staleAfter = time.Second
)

// read takes what is registered, reads it from the table and hands it on, until ctx ends.
func (e *rowReader) read(ctx context.Context) error {
	for {
		batch := e.nextBatch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if len(batch) > 0 {
			e.readBatch(ctx, batch)
		}
	}
}

// nextBatch waits for something to read, and then for its company. One reader at a time
// does so: two would share what arrives, in batches of half the size.
func (e *rowReader) nextBatch(ctx context.Context) []*entry {
	select {
	case <-ctx.Done():
		return nil
	case e.gathering <- struct{}{}:
		defer func() { <-e.gathering }()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-e.registry.plain.ready:
	}
	if e.writer.health.waitHealthy(ctx) != nil {
		return nil
	}
	if e.registry.toRead.waiting() < readBatch && !pause(ctx, gather, nil) {
		return nil
	}
	if n := e.registry.toRead.waiting(); n >= busy && n < readBatch && !pause(ctx, gatherBusy, nil) {
		return nil
	}
	return e.registry.toRead.take(readBatch)
}

// readBatch reads one batch: pending messages in one statement, deliveries of open ones in
// another.
func (e *rowReader) readBatch(ctx context.Context, batch []*entry) {
	limits := e.reserve()
	budget := limits.Budget
	if budget == 0 {
		e.registry.full(wantBytes, len(batch))
		e.heads.leave(batch...)
		return
	}
	begun := time.Now()
	messages, deliveries := divide(batch)
	tasks := e.readMessages(ctx, messages, &limits)
	tasks = append(tasks, e.readDeliveries(ctx, deliveries, &limits)...)
	e.take(ctx, budget, tasks, begun)
}

// reserve returns the limits of one read, whose budget is reserved: zero if all is to be left to
// the table.
func (e *rowReader) reserve() sql.Limits {
	most := max(e.config.InFlightBytes/readers, e.config.MaxPayload)
	return sql.Limits{MaxPayload: e.config.MaxPayload, Budget: e.registry.memory.reserve(most)}
}

// divide tells pending messages from deliveries of open ones.
func divide(batch []*entry) (messages, deliveries []*entry) {
	for _, en := range batch {
		if en.isMessage() {
			messages = append(messages, en)
		} else {
			deliveries = append(deliveries, en)
		}
	}
	return messages, deliveries
}

// take settles what was read, from begun on, with what was reserved for it, and launches the
// tasks. What took too long is read again, once: where the database answers that slowly,
// nothing would ever be sent.
func (e *rowReader) take(ctx context.Context, budget int64, tasks []*task, begun time.Time) {
	if len(tasks) > 0 {
		crash.At(crash.AfterRead)
	}
	held := make([]*entry, len(tasks))
	for i, f := range tasks {
		held[i] = f.entry
	}
	e.registry.memory.settle(budget, held)
	lines, err := e.prepare(ctx, tasks, held)
	if err != nil {
		e.noteRead(ctx, err)
		e.heads.leave(held...)
		return
	}
	now := time.Now()
	if now.Sub(begun) > staleAfter {
		tasks = e.readAgain(tasks)
	}
	for _, f := range tasks {
		e.starter.launch(f, now)
	}
	e.order.letGo(lines)
}

// readAgain puts tasks back to be read again and returns the others: those that were read
// again already, and are behind none of their key that is put back now.
func (e *rowReader) readAgain(tasks []*task) (rest []*task) {
	var again []*entry
	back := make(map[string]bool) // keys
	for _, f := range tasks {
		key := f.message.Key
		if f.entry.reread && !back[key] {
			rest = append(rest, f)
			continue
		}
		again = append(again, f.entry)
		back[key] = key != ""
	}
	e.registry.toRead.reread(again)
	return rest
}

// prepare waits until what was read is durable, and learns what the table holds of the
// lines that the tasks are the first of. The lines are retained unless it fails.
func (e *rowReader) prepare(ctx context.Context, tasks []*task, held []*entry) (lines []sql.Line, err error) {
	var unflushed []relay.ID
	for _, en := range held {
		if en.unflushed {
			unflushed = append(unflushed, en.id.Message)
		}
	}
	if len(unflushed) > 0 {
		if err := e.config.Store.EnsureFlushed(ctx, unflushed...); err != nil {
			return nil, err
		}
	}
	for _, en := range held {
		en.unflushed = false
	}
	var dispatches []*dispatch
	for _, f := range tasks {
		dispatches = append(dispatches, f.dispatches...)
	}
	return e.retainLines(ctx, dispatches)
}

// retainLines retains the lines of dispatches that have one, and learns what the table holds of those that
// are new in memory. If it fails, none is retained. A caller that finds a line retained relies on what was
// learnt, so that only one caller at a time retains and asks. Whether a dead message holds its key is
// judged by the subscription that the dispatch was routed by: it may have been deleted meanwhile.
func (e *rowReader) retainLines(ctx context.Context, dispatches []*dispatch) (lines []sql.Line, err error) {
	blocking := make(map[sql.Line]bool)
	for _, l := range dispatches {
		if l.ordered() {
			lines = append(lines, l.line)
			blocking[l.line] = l.delivery.Subscriber.BlockOnDead
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	e.retaining.Lock()
	defer e.retaining.Unlock()
	fresh := e.order.retain(lines)
	states, err := e.config.Store.LineStates(ctx, fresh)
	if err != nil {
		e.order.letGo(lines)
		return nil, err
	}
	for i, state := range states {
		if state.First > 0 || state.Dead && blocking[fresh[i]] {
			e.order.learn(fresh[i], state.First)
		}
	}
	return lines, nil
}

// readMessages returns the tasks of the messages that can be sent, and lowers the budget
// by what they hold.
func (e *rowReader) readMessages(ctx context.Context, entries []*entry, limits *sql.Limits) (tasks []*task) {
	if len(entries) == 0 {
		return nil
	}
	all := entries
	entries, rows, err := e.careful.readMessageRows(ctx, all, *limits)
	e.noteRead(ctx, err)
	if err != nil {
		e.heads.leave(all...)
		return nil
	}
	if err := e.loader.upTo(ctx, newest(rows)); err != nil {
		e.noteRead(ctx, err)
		e.heads.leave(entries...)
		return nil
	}
	for i := range rows {
		if key := rows[i].Message.Key; key != "" && rows[i].Verdict != sql.Ended {
			// A ring by NOTIFY tells no key. Messages with one have a reader of their own.
			e.registry.toRead.rekey(entries[i], key)
			continue
		}
		if f := e.judge(entries[i], &rows[i], limits); f != nil {
			f.route(e.config.Router, &rows[i])
			f.charge(limits)
			tasks = append(tasks, f)
		}
	}
	return tasks
}

// readDeliveries is readMessages for deliveries of open messages.
func (e *rowReader) readDeliveries(ctx context.Context, entries []*entry, limits *sql.Limits) (tasks []*task) {
	if len(entries) == 0 {
		return nil
	}
	all := entries
	entries, rows, err := e.careful.readDeliveryRows(ctx, all, *limits)
	for i := 0; err == nil && i < len(rows); i++ {
		err = e.loader.upTo(ctx, rows[i].Version) // a replay may be for a subscription made a moment ago
	}
	e.noteRead(ctx, err)
	if err != nil {
		e.heads.leave(all...)
		return nil
	}
	for i := range rows {
		if f := e.judge(entries[i], &rows[i].MessageRow, limits); f != nil {
			f.resume(e.config.Router, &rows[i])
			f.charge(limits)
			tasks = append(tasks, f)
		}
		if v := rows[i].Verdict; v == sql.Unseen || v == sql.Ended {
			id := entries[i].id
			e.orphans.add(id, sql.Line{Subscription: id.Subscription, Instance: id.Instance, Key: entries[i].key})
		}
	}
	return tasks
}

// newest is the version of the subscriptions that the rows were read with.
func newest(rows []sql.MessageRow) (version int64) {
	for i := range rows {
		version = max(version, rows[i].Version)
	}
	return version
}

func (e *rowReader) noteRead(ctx context.Context, err error) {
	if ctx.Err() == nil {
		e.trouble.note("read messages", err)
	}
}

// judge decides what becomes of a row that was read: a task, or nothing. What was read and
// has no room, since others took more than their text, is left to the table.
func (e *rowReader) judge(en *entry, row *sql.MessageRow, limits *sql.Limits) *task {
	if row.Verdict == sql.Readable && limits.Budget < 0 {
		row.Verdict = sql.NoRoom
	}
	if row.Verdict == sql.Readable && e.fanout.postponed(en, row) {
		return nil
	}
	switch row.Verdict {
	case sql.Readable, sql.TooLarge:
	case sql.NoRoom:
		e.registry.full(wantBytes, 1)
		e.heads.leave(en)
		return nil
	case sql.Unseen:
		e.lookAgain(en)
		return nil
	case sql.NotDue:
		e.registry.remove(en)
		e.dues.tooEarly(en, row.Message.DeliverAt)
		return nil
	default:
		e.registry.remove(en)
		return nil
	}
	if !e.leases.enterShard(en, row.Message.Shard) {
		e.registry.remove(en)
		return nil
	}
	f := &task{engine: e.core, entry: en, message: &row.Message}
	if row.Verdict == sql.TooLarge {
		f.reject = tooLarge(row, e.config.MaxPayload)
		return f
	}
	en.bytes = row.Size
	return f
}

// lookAgain puts a message that SQL cannot see yet back after a short while. The stream
// may show a row some milliseconds before SQL can see it; synchronous replication makes
// that longer, and a standby that is away as long as it is away. After unseenFor the row gives
// up its place, and a sweep follows when its transaction has become visible.
func (e *rowReader) lookAgain(en *entry) {
	late := time.Since(en.since) > unseenFor
	switch {
	case late && en.xid != 0:
		e.hidden.add(en.xid, true)
		e.registry.remove(en)
		return
	case late || !en.streamed:
		e.heads.leave(en)
		return
	}
	delay := min(2*time.Millisecond<<en.looks, 100*time.Millisecond)
	en.looks++
	time.AfterFunc(delay, func() { e.registry.toRead.again(en) })
}
