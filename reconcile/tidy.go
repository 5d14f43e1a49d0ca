package reconcile

import (
	"context"
	"time"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

const (
	// tidyEvery is how often old messages are removed and overdue ones given up.
	tidyEvery = 10 * time.Second
	// giveUpAgain is when the next batch of overdue deliveries is looked for: the one before
	// is found again until it has ended.
	giveUpAgain = 200 * time.Millisecond
	// tidyBatch is the most messages that one statement removes.
	tidyBatch = 500
)

// tidy removes what has been kept long enough and gives up what no consumer can wait for, until
// ctx ends.
func (e *cleaner) tidy(ctx context.Context) error {
	for wait.For(ctx, tidyEvery) {
		e.trouble.NoteDuring(ctx, "remove old messages", e.Retain(ctx))
		e.trouble.NoteDuring(ctx, "remove old jobs", e.RetainJobs(ctx))
		e.trouble.NoteDuring(ctx, "remove old entries for people", e.retainForPeople(ctx))
		e.trouble.NoteDuring(ctx, "give up overdue messages", e.giveUpAll(ctx))
		e.trouble.NoteDuring(ctx, "remove old reports", e.config.Store.TidyQuarantine(ctx))
		held := e.loop.held.Load()
		e.config.Metrics.inFlight.Set(float64(held.Entries))
		e.config.Metrics.bytes.Set(float64(held.Bytes))
		e.config.Metrics.fannedOut.Set(float64(held.FannedOut))
	}
	return nil
}

// giveUpAll gives up one batch after the other, for as long as tidyEvery: other things are
// to be done too.
func (e *cleaner) giveUpAll(ctx context.Context) error {
	for until := time.Now().Add(tidyEvery); ; {
		n, err := e.GiveUp(ctx)
		if err != nil || n < tidyBatch || time.Now().After(until) {
			return err
		}
		if !wait.For(ctx, giveUpAgain) || !e.loop.waitWorking(ctx) {
			return nil
		}
	}
}

// Retain removes the messages whose retention is over, in small batches, for as long as
// tidyEvery.
func (e *cleaner) Retain(ctx context.Context) error {
	if e.config.Retention == 0 {
		return nil
	}
	if err := e.stampEnds(ctx); err != nil {
		return err
	}
	var from time.Time
	var left []relay.ID // that ended then and stay
	for until := time.Now().Add(tidyEvery); time.Now().Before(until); {
		found, err := e.config.Store.FindKept(ctx, e.config.Retention, from, left, tidyBatch)
		if err != nil || len(found) == 0 {
			return err
		}
		removed, err := e.removeKept(ctx, found)
		if err != nil || len(found) < tidyBatch {
			return err
		}
		if last := found[len(found)-1].Ended; !last.Equal(from) {
			from, left = last, nil
		}
		for _, k := range found {
			if k.Ended.Equal(from) && !removed[k.ID] {
				left = append(left, k.ID)
			}
		}
	}
	return nil
}

// removeKept removes messages, and puts those into quarantine that cannot be removed. It returns those that are gone.
func (e *cleaner) removeKept(ctx context.Context, found []sql.Kept) (removed map[relay.ID]bool, err error) {
	removed = make(map[relay.ID]bool, len(found))
	ids := make([]relay.ID, len(found))
	for i, k := range found {
		ids[i] = k.ID
	}
	_, err = e.quarantine.EachAlone(ctx, quarantine.RemoveRow, ids, func(some []relay.ID) error {
		gone, err := e.config.Store.RemoveMessages(ctx, some)
		for _, id := range gone {
			removed[id] = true
		}
		e.config.Metrics.removed.Add(float64(len(gone)))
		return err
	})
	return removed, err
}

// stampEnds notes the end of messages that a person ended by hand without a time.
func (e *cleaner) stampEnds(ctx context.Context) error {
	ids, err := e.config.Store.Unstamped(ctx, e.quarantine.Waiting(quarantine.StampFinished), tidyBatch)
	if err != nil {
		return err
	}
	_, err = e.quarantine.EachAlone(ctx, quarantine.StampFinished, ids, func(some []relay.ID) error { return e.config.Store.Stamp(ctx, some) })
	return err
}

// RetainJobs removes the jobs whose retention is over, with their results.
func (e *cleaner) RetainJobs(ctx context.Context) error {
	if e.config.Retention == 0 || !e.lease.Load().sends(sql.JobShard) {
		return nil
	}
	for {
		n, err := e.config.Store.RetainJobs(ctx, e.config.Retention, tidyBatch)
		if err != nil || n < tidyBatch {
			return err
		}
	}
}

const (
	// auditKept is how long entries of the audit are kept at least; a longer retention of messages holds for them, too.
	auditKept = 90 * 24 * time.Hour
	// onceKept is how long a client may repeat a request with the same key.
	onceKept = 24 * time.Hour
)

// retainForPeople removes what is kept for people alone: minutes of the pulse, entries of the audit, keys of
// requests.
func (e *cleaner) retainForPeople(ctx context.Context) error {
	if !e.lease.Load().sends(sql.JobShard) {
		return nil
	}
	store := e.config.Store
	_, err := store.RetainPulse(ctx)
	if err == nil {
		_, err = store.RetainAudit(ctx, max(auditKept, e.config.Retention), tidyBatch)
	}
	if err == nil {
		_, err = store.RetainOnce(ctx, onceKept, tidyBatch)
	}
	return err
}

// GiveUp has deliveries ended that have been due for too long, a batch at the most, and returns how many it found.
func (e *cleaner) GiveUp(ctx context.Context) (found int, err error) {
	if e.config.Policy.GiveUpAfter == 0 {
		return 0, nil
	}
	overdue, err := e.config.Store.Overdue(ctx, e.lease.Load().shards, e.config.Policy.GiveUpAfter, tidyBatch)
	if err != nil || len(overdue) == 0 {
		return 0, err
	}
	e.loop.tell(machine.Overdue{Deliveries: dueDeliveries(overdue)})
	return len(overdue), nil
}
