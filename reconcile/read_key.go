package reconcile

import (
	"context"

	"relay"
	"relay/crash"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

const (
	// keysBatch is the most keys that one statement reads.
	keysBatch = 200
	// waitingAhead is how many deliveries of each key, subscriber and instance are read at once that wait, waitingAlone
	// how many if few keys are read.
	waitingAhead = 16
	waitingAlone = 128
)

// keyReader reads what the table holds of keys.
type keyReader struct {
	reader
	wanted *queue[machine.ReadKey]
}

// read reads what the table holds of keys, until ctx ends.
func (e *keyReader) read(ctx context.Context) {
	for wait.Ready(ctx, e.wanted.ready, 0) {
		if e.wanted.waiting() < keysBatch && !wait.For(ctx, gather) {
			return
		}
		if batch := e.wanted.take(keysBatch); len(batch) > 0 {
			e.readBatch(ctx, batch)
		}
	}
}

// readBatch reads keys, in halves if something of one cannot be read. Each is answered once.
func (e *keyReader) readBatch(ctx context.Context, batch []machine.ReadKey) {
	limits := e.memory.reserve()
	reserved := limits.Budget
	var answers []machine.KeyRead
	failed := func(c machine.ReadKey) { answers = append(answers, machine.KeyRead{Key: c.Key, Failed: true}) }
	if reserved == 0 {
		e.config.Metrics.left.WithLabelValues(wantBytes).Add(float64(len(batch)))
	}
	read := make(map[string]bool, len(batch))
	err := quarantine.InHalves(ctx, batch, func(some []machine.ReadKey) error {
		if reserved == 0 {
			return nil
		}
		found, err := e.readSome(ctx, some, &limits)
		if err != nil {
			return err
		}
		for _, c := range some {
			read[c.Key] = true
			if e.quarantine.Has(quarantine.ReadRow) {
				e.quarantine.Free(quarantine.Subject{Operation: quarantine.ReadRow, Key: c.Key})
			}
		}
		answers = append(answers, found...)
		return nil
	}, func(c machine.ReadKey, why error) {
		e.quarantine.Isolate(quarantine.Subject{Operation: quarantine.ReadRow, Key: c.Key}, why)
	})
	e.noteRead(ctx, err)
	for _, c := range batch {
		if !read[c.Key] {
			failed(c)
		}
	}
	crash.At(crash.AfterRead)
	e.memory.tell(reserved, events(answers))
}

// readSome reads keys with one statement, and lowers the budget by what their messages hold.
func (e *keyReader) readSome(ctx context.Context, batch []machine.ReadKey, limits *sql.Limits) ([]machine.KeyRead, error) {
	if len(batch) == 0 {
		_, _, err := e.config.Store.ReadKeys(ctx, nil, *limits, nil, 1)
		return nil, err
	}
	keys := make([]sql.Key, len(batch))
	for i, c := range batch {
		keys[i] = sql.Key{Shard: c.Shard, Key: c.Key, After: c.After, Most: c.Most, Taken: c.Known}
	}
	each := max(waitingAhead, min(waitingAlone, readBatch/len(batch)))
	snapshot, states, err := e.config.Store.ReadKeys(ctx, keys, *limits, *e.loader.blocking.Load(), each+1)
	for i := 0; err == nil && i < len(states); i++ {
		err = e.loader.upTo(ctx, newest(states[i].Rows))
	}
	if err == nil {
		err = e.ensureDurable(ctx, batch, states)
	}
	if err != nil {
		return nil, err
	}
	snapshot.Durable = true // as far as the machine may take it
	answers := make([]machine.KeyRead, len(batch))
	for i := range batch {
		answers[i] = e.keyRead(&batch[i], &states[i], each, limits)
		answers[i].Snapshot = snapshot
	}
	return answers, nil
}

// ensureDurable waits until those rows are durable that the stream has not shown and that the machine may take.
func (e *keyReader) ensureDurable(ctx context.Context, batch []machine.ReadKey, states []sql.KeyState) error {
	var unflushed []relay.ID
	for i := range states {
		c := &batch[i]
		for j := range states[i].Rows {
			row := &states[i].Rows[j]
			if c.Awaits(row.Message.ID, row.XID) {
				break
			}
			if !c.Streamed[row.Message.ID] {
				unflushed = append(unflushed, row.Message.ID)
			}
		}
	}
	if len(unflushed) == 0 {
		return nil
	}
	return e.config.Store.EnsureFlushed(ctx, unflushed...)
}

// keyRead is the answer for one key.
func (e *keyReader) keyRead(c *machine.ReadKey, state *sql.KeyState, each int, limits *sql.Limits) machine.KeyRead {
	out := machine.KeyRead{Key: c.Key, Late: state.Late, More: len(state.Rows) == c.Most}
	for i := range state.Rows {
		row := &state.Rows[i]
		if row.Verdict == sql.NoRoom || limits.Budget < 0 {
			e.config.Metrics.left.WithLabelValues(wantBytes).Inc()
			out.More = true
			out.Failed = i == 0 // it is read again when there is room
			break
		}
		one := e.row(row)
		e.route(&one, row)
		limits.Budget -= one.Size
		out.Rows = append(out.Rows, one)
	}
	lines := make(map[relay.DeliveryID]int)
	for _, w := range state.Waiting {
		waiting := machine.Waiting{
			ID: w.ID, Seq: w.Seq, Destination: destinationOf(sql.Parked{Circuit: w.Circuit, Direct: w.ID.Subscription == relay.SubscriptionDirect}), State: w.State,
		}
		if w.State != relay.WaitsDead {
			line := relay.DeliveryID{Subscription: w.ID.Subscription, Instance: w.ID.Instance}
			if lines[line]++; lines[line] > each {
				waiting.State = relay.WaitsMore
			}
		}
		out.Waiting = append(out.Waiting, waiting)
	}
	return out
}
