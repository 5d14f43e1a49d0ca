package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"relay"
	"relay/crash"
	"relay/reconcile/machine"
	"relay/retry"
	"relay/sql"
)

const (
	// readBatch is the most ids that one statement reads.
	readBatch = 500
	// gather is how long a reader waits for company once something has arrived: at low
	// rates a statement for each message would cost more than the message.
	gather = time.Millisecond
	// gatherBusy is how much longer it waits at a high rate.
	gatherBusy = 3 * time.Millisecond
	// headerOverhead is what one header takes in memory beside its text, in a map of strings.
	headerOverhead = 64
)

// reader is what reading by ids and reading keys have in common.
type reader struct {
	*shared
	memory *memory
	loader *subscriptionLoader
}

// rowReader reads pending messages, and deliveries of open ones, by their ids.
type rowReader struct {
	reader
	careful *carefulReader
	wanted  *queue[machine.ReadRow]
}

// read reads what the machine asks for by ids, until ctx ends.
func (e *rowReader) read(ctx context.Context) {
	for ctx.Err() == nil {
		batch := e.wanted.gather(ctx, readBatch, gather, gatherBusy, func() []machine.ReadRow { return e.wanted.take(readBatch) })
		if len(batch) > 0 {
			e.readBatch(ctx, batch)
		}
	}
}

// readBatch reads one batch: pending messages in one statement, deliveries of open ones in
// another. Each is answered once.
func (e *rowReader) readBatch(ctx context.Context, batch []machine.ReadRow) {
	limits := e.memory.reserve()
	reserved := limits.Budget
	if reserved == 0 {
		e.config.Metrics.left.WithLabelValues(wantBytes).Add(float64(len(batch)))
		e.loop.tell(events(ofAll(batch, machine.RowRead{Verdict: machine.NoRoom}))...)
		return
	}
	var messages, deliveries []machine.ReadRow
	for _, c := range batch {
		if c.Entry.Subscription == "" {
			messages = append(messages, c)
		} else {
			deliveries = append(deliveries, c)
		}
	}
	answers := e.readMessages(ctx, messages, &limits)
	answers = append(answers, e.readDeliveries(ctx, deliveries, &limits)...)
	crash.At(crash.AfterRead)
	e.memory.tell(reserved, events(answers))
}

// ofAll is the same answer to all.
func ofAll(batch []machine.ReadRow, answer machine.RowRead) []machine.RowRead {
	all := make([]machine.RowRead, len(batch))
	for i := range batch {
		all[i] = answer
		all[i].Entry = batch[i].Entry
	}
	return all
}

// readMessages reads pending messages, and lowers the budget by what they hold.
func (e *rowReader) readMessages(ctx context.Context, batch []machine.ReadRow, limits *sql.Limits) (answers []machine.RowRead) {
	if len(batch) == 0 {
		return nil
	}
	failed := machine.RowRead{Failed: true}
	read, rows, refused, err := e.careful.readMessages(ctx, batch, *limits)
	if err == nil {
		err = e.loader.upTo(ctx, newest(rows))
	}
	if err == nil {
		err = e.ensureDurable(ctx, read, rows)
	}
	e.noteRead(ctx, err)
	if err != nil {
		return ofAll(batch, failed)
	}
	answers = slices.Grow(ofAll(refused, failed), len(rows))
	snapshot, present := e.careful.tellGone(ctx, read, rows)
	for i := range rows {
		answer := e.rowRead(read[i].Entry, &rows[i], limits)
		if rows[i].Verdict == sql.Unseen && read[i].Streamed && !present[read[i].Entry.Message] {
			answer.Snapshot = snapshot
		}
		if answer.Verdict == machine.Readable {
			e.route(&answer.Row, &rows[i])
		}
		answers = append(answers, answer)
	}
	return answers
}

// ensureDurable waits until those rows are durable that the stream has not shown.
func (e *rowReader) ensureDurable(ctx context.Context, read []machine.ReadRow, rows []sql.MessageRow) error {
	var unflushed []relay.ID
	for i := range rows {
		if !read[i].Streamed && (rows[i].Verdict == sql.Readable || rows[i].Verdict == sql.TooLarge) {
			unflushed = append(unflushed, read[i].Entry.Message)
		}
	}
	if len(unflushed) == 0 {
		return nil
	}
	return e.config.Store.EnsureFlushed(ctx, unflushed...)
}

// rowRead is the answer for a row, without its deliveries.
func (e *rowReader) rowRead(id relay.DeliveryID, row *sql.MessageRow, limits *sql.Limits) machine.RowRead {
	answer := machine.RowRead{Entry: id, Snapshot: relay.Snapshot{Durable: true}}
	if row.Verdict == sql.Readable && limits.Budget < 0 {
		row.Verdict = sql.NoRoom
	}
	switch row.Verdict {
	case sql.Readable, sql.TooLarge:
		answer.Verdict, answer.Row = machine.Readable, e.row(row)
		limits.Budget -= answer.Row.Size
	case sql.NoRoom:
		e.config.Metrics.left.WithLabelValues(wantBytes).Inc()
		answer.Verdict = machine.NoRoom
	case sql.NotDue:
		answer.Verdict = machine.Later
	case sql.Ended:
		answer.Verdict = machine.Finished
	}
	return answer
}

// row is a message without its deliveries, as the machine knows it.
func (e *reader) row(row *sql.MessageRow) machine.Row {
	out := machine.Row{Message: &row.Message, XID: row.XID, Size: row.Size, Again: row.Again, Unordered: row.Unordered}
	if row.Verdict == sql.TooLarge {
		out.Rejected, out.Size = tooLarge(row, e.config.MaxPayload).Error(), 0
	}
	if !row.Again { // or it has all of its time again
		out.Waited = time.Since(row.Message.Due())
	}
	return out
}

func tooLarge(row *sql.MessageRow, most int64) error {
	if row.Oversized {
		return relay.Rejection("too large: headers, source and destination of more than 128 KiB")
	}
	return relay.Rejection(fmt.Sprintf("too large: payload, headers, source and destination of %d bytes, RELAY_MAX_PAYLOAD allows %d", row.Size, most))
}

// route finds the subscribers of a pending message.
func (e *reader) route(out *machine.Row, row *sql.MessageRow) {
	if out.Rejected != "" {
		return
	}
	deliveries, err := e.config.Router.Route(&row.Message)
	if err != nil {
		out.Rejected = err.Error()
		return
	}
	out.Deliveries = deliveries
	for i, d := range deliveries {
		if d.Subscriber.AckByConsumer && slices.Contains(row.Handled, relay.AckSubscriberOf(d.Subscriber.Name, d.Instance)) {
			out.Handled = append(out.Handled, i)
		}
	}
	if len(deliveries) > 0 {
		out.Size += headerOverhead * int64(len(deliveries[0].Headers))
	}
}

// readDeliveries is readMessages for deliveries of open messages.
func (e *rowReader) readDeliveries(ctx context.Context, batch []machine.ReadRow, limits *sql.Limits) (answers []machine.RowRead) {
	if len(batch) == 0 {
		return nil
	}
	failed := machine.RowRead{Failed: true}
	read, rows, refused, err := e.careful.readDeliveries(ctx, batch, *limits)
	for i := 0; err == nil && i < len(rows); i++ {
		err = e.loader.upTo(ctx, rows[i].Version) // a replay may be for a subscription made a moment ago
	}
	if err == nil {
		err = e.config.Store.EnsureFlushed(ctx)
	}
	e.noteRead(ctx, err)
	if err != nil {
		return ofAll(batch, failed)
	}
	answers = slices.Grow(ofAll(refused, failed), len(rows))
	for i := range rows {
		answer := e.rowRead(read[i].Entry, &rows[i].MessageRow, limits)
		if answer.Verdict == machine.Readable {
			e.resume(&answer.Row, &rows[i])
		}
		answers = append(answers, answer)
	}
	return answers
}

// resume prepares the next attempt of an open message's delivery.
func (e *rowReader) resume(out *machine.Row, row *sql.DeliveryRow) {
	out.Open = &retry.Open{
		Status: row.Status, Reason: row.Reason, Attempts: row.Attempts, HandleAttempts: row.HandleAttempts, Accepted: row.Accepted,
	}
	out.Waited = time.Since(row.DueAt)
	if out.Rejected != "" {
		return
	}
	d, err := e.config.Router.Resume(&row.Message, row.Delivery.Subscription, row.Delivery.Instance, row.Target, row.Attempts)
	if err != nil {
		out.Rejected = err.Error()
		return
	}
	out.Deliveries = []*relay.Delivery{d}
	out.Size += headerOverhead * int64(len(d.Headers))
}

// newest is the version of the subscriptions that the rows were read with.
func newest(rows []sql.MessageRow) (version int64) {
	for i := range rows {
		version = max(version, rows[i].Version)
	}
	return version
}

func (e *shared) noteRead(ctx context.Context, err error) {
	if ctx.Err() == nil {
		e.trouble.Note("read messages", err)
	}
}
