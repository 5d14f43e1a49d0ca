package reconcile

import (
	"context"
	"slices"
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
	// unseenFor is how long a row that the stream showed, but SQL does not, is looked for.
	unseenFor = time.Second
)

// read takes what is registered, reads it from the table and hands it on, until ctx ends.
func (e *Engine) read(ctx context.Context) error {
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
func (e *Engine) nextBatch(ctx context.Context) []*entry {
	select {
	case <-ctx.Done():
		return nil
	case e.gathering <- struct{}{}:
		defer func() { <-e.gathering }()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-e.registry.ready:
	}
	if e.writer.waitHealthy(ctx) != nil {
		return nil
	}
	if e.registry.waiting() < readBatch && !pause(ctx, gather, nil) {
		return nil
	}
	return e.registry.take(readBatch)
}

// readBatch reads one batch: pending messages in one statement, deliveries of open ones in
// another.
func (e *Engine) readBatch(ctx context.Context, batch []*entry) {
	budget := e.registry.reserve(max(e.config.InFlightBytes/readers, e.config.MaxPayload))
	if budget == 0 {
		e.registry.leave(batch...)
		return
	}
	var messages, deliveries []*entry
	for _, en := range batch {
		if en.isMessage() {
			messages = append(messages, en)
		} else {
			deliveries = append(deliveries, en)
		}
	}
	limits := sql.Limits{MaxPayload: e.config.MaxPayload, Budget: budget}
	flights := e.readMessages(ctx, messages, &limits)
	flights = append(flights, e.readDeliveries(ctx, deliveries, limits)...)
	held := make([]*entry, len(flights))
	for i, f := range flights {
		held[i] = f.entry
	}
	e.registry.settle(budget, held)
	if slices.ContainsFunc(held, func(en *entry) bool { return en.unflushed }) {
		if err := e.config.Store.EnsureFlushed(ctx); err != nil {
			e.noteRead(ctx, err)
			e.registry.leave(held...)
			return
		}
	}
	if len(flights) > 0 {
		crash.At(crash.AfterRead)
	}
	for _, f := range flights {
		e.launch(f)
	}
}

// readMessages returns the flights of the messages that can be sent, and lowers the budget
// by what they hold.
func (e *Engine) readMessages(ctx context.Context, entries []*entry, limits *sql.Limits) (flights []*flight) {
	if len(entries) == 0 {
		return nil
	}
	ids := make([]relay.ID, len(entries))
	for i, en := range entries {
		ids[i] = en.id.Message
	}
	rows, err := e.config.Store.ReadMessages(ctx, ids, *limits)
	e.noteRead(ctx, err)
	if err != nil {
		e.registry.leave(entries...)
		return nil
	}
	for i := range rows {
		if f := e.judge(entries[i], &rows[i]); f != nil {
			f.route(e.config.Router, rows[i].Again)
			flights = append(flights, f)
			limits.Budget = max(0, limits.Budget-entries[i].bytes)
		}
	}
	return flights
}

func (e *Engine) readDeliveries(ctx context.Context, entries []*entry, limits sql.Limits) (flights []*flight) {
	if len(entries) == 0 {
		return nil
	}
	ids := make([]sql.DeliveryID, len(entries))
	for i, en := range entries {
		ids[i] = en.id
	}
	rows, err := e.config.Store.ReadDeliveries(ctx, ids, limits)
	e.noteRead(ctx, err)
	if err != nil {
		e.registry.leave(entries...)
		return nil
	}
	var ended []sql.DeliveryID
	for i := range rows {
		if f := e.judge(entries[i], &rows[i].MessageRow); f != nil {
			f.resume(e.config.Router, &rows[i])
			flights = append(flights, f)
		}
		if v := rows[i].Verdict; v == sql.Unseen || v == sql.Ended {
			ended = append(ended, ids[i])
		}
	}
	if len(ended) > 0 {
		e.trouble.note("end orphaned deliveries", ignoreEnd(ctx, e.config.Store.EndOrphans(ctx, ended)))
	}
	return flights
}

func (e *Engine) noteRead(ctx context.Context, err error) {
	if ctx.Err() == nil {
		e.trouble.note("read messages", err)
	}
}

// judge decides what becomes of a row that was read: a flight, or nothing.
func (e *Engine) judge(en *entry, row *sql.MessageRow) *flight {
	if en.isMessage() && !en.rung {
		for _, w := range e.witnesses {
			w.read(en.id.Message, row.Verdict == sql.Readable || row.Verdict == sql.TooLarge)
		}
	}
	switch row.Verdict {
	case sql.Readable, sql.TooLarge:
	case sql.NoRoom:
		e.registry.leave(en)
		return nil
	case sql.Unseen:
		e.lookAgain(en)
		return nil
	default:
		e.registry.remove(en)
		return nil
	}
	// First the shard, then the question: whoever gives the shard up asks the other way round.
	e.registry.place(en, row.Message.Shard)
	if !e.MaySend(row.Message.Shard) {
		e.registry.remove(en)
		return nil
	}
	f := &flight{engine: e, entry: en, message: &row.Message}
	if row.Verdict == sql.TooLarge {
		f.reject = tooLarge(row.Size, e.config.MaxPayload)
		return f
	}
	en.bytes = row.Size
	return f
}

// lookAgain puts a message that SQL cannot see yet back after a short while. The stream
// may show a row some milliseconds before SQL can see it; synchronous replication makes
// that longer.
func (e *Engine) lookAgain(en *entry) {
	if !en.rung || time.Since(en.since) > unseenFor {
		e.registry.leave(en)
		return
	}
	delay := min(2*time.Millisecond<<en.looks, 100*time.Millisecond)
	en.looks++
	time.AfterFunc(delay, func() { e.registry.again(en) })
}
