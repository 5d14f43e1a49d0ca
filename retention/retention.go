// Package retention removes what has been kept long enough: messages that have ended, jobs, and what is kept for people
// alone. A message that cannot be removed waits in the quarantine, and the others go.
package retention

import (
	"context"
	"time"

	"relay"
	"relay/quarantine"
	"relay/sql"
	"relay/trouble"
	"relay/wait"
)

const (
	// every is how often old messages are removed.
	every = 10 * time.Second
	// batch is the most messages that one statement removes.
	batch = 500
	// auditKept is how long entries of the audit are kept at least; a longer retention of messages holds for them, too.
	auditKept = 90 * 24 * time.Hour
	// onceKept is how long a client may repeat a request with the same key.
	onceKept = 24 * time.Hour
)

// Config is what a remover needs. All but Retention is required.
type Config struct {
	Store *sql.Store
	// Retention is how long ended messages and jobs are kept. Zero: for ever.
	Retention time.Duration
	// ForAll reports whether this relay removes what one of those that share a database removes for all: everything but
	// messages.
	ForAll     func() bool
	Quarantine *quarantine.Quarantine
	Trouble    *trouble.Log
	Metrics    *Metrics
}

// Remover removes what is old. It is made by New, and run once by Run.
type Remover struct{ config Config }

// New returns a remover that does nothing before Run.
func New(config Config) *Remover { return &Remover{config} }

// Run removes what has been kept long enough, until ctx ends. It returns no error: what fails is tried again.
func (r *Remover) Run(ctx context.Context) error {
	for wait.For(ctx, every) {
		r.remove(ctx)
	}
	return nil
}

// remove removes what has been kept long enough now.
func (r *Remover) remove(ctx context.Context) {
	note := r.config.Trouble.NoteDuring
	note(ctx, "remove old messages", r.messages(ctx))
	note(ctx, "remove old jobs", r.jobs(ctx))
	note(ctx, "remove old entries for people", r.forPeople(ctx))
	note(ctx, "remove old reports", r.config.Store.TidyQuarantine(ctx))
}

// messages removes the messages whose retention is over, in small batches, for as long as every: other things are to be
// done too.
func (r *Remover) messages(ctx context.Context) error {
	if r.config.Retention == 0 {
		return nil
	}
	if err := r.stampEnds(ctx); err != nil {
		return err
	}
	var from time.Time
	var left []relay.ID // that ended then and stay
	for until := time.Now().Add(every); time.Now().Before(until); {
		found, err := r.config.Store.FindKept(ctx, r.config.Retention, from, left, batch)
		if err != nil || len(found) == 0 {
			return err
		}
		removed, err := r.removeMessages(ctx, found)
		if err != nil || len(found) < batch {
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

// removeMessages removes messages, and puts those into quarantine that cannot be removed. It returns those that are
// gone.
func (r *Remover) removeMessages(ctx context.Context, found []sql.Kept) (removed map[relay.ID]bool, err error) {
	removed = make(map[relay.ID]bool, len(found))
	ids := make([]relay.ID, len(found))
	for i, k := range found {
		ids[i] = k.ID
	}
	_, err = r.config.Quarantine.EachAlone(ctx, quarantine.RemoveRow, ids, func(some []relay.ID) error {
		gone, err := r.config.Store.RemoveMessages(ctx, some)
		for _, id := range gone {
			removed[id] = true
		}
		r.config.Metrics.removed.Add(float64(len(gone)))
		return err
	})
	return removed, err
}

// stampEnds notes the end of messages that a person ended by hand without a time.
func (r *Remover) stampEnds(ctx context.Context) error {
	ids, err := r.config.Store.Unstamped(ctx, r.config.Quarantine.Waiting(quarantine.StampFinished), batch)
	if err != nil {
		return err
	}
	_, err = r.config.Quarantine.EachAlone(ctx, quarantine.StampFinished, ids, func(some []relay.ID) error {
		return r.config.Store.Stamp(ctx, some)
	})
	return err
}

// jobs removes the jobs whose retention is over, with their results.
func (r *Remover) jobs(ctx context.Context) error {
	if r.config.Retention == 0 || !r.config.ForAll() {
		return nil
	}
	for {
		n, err := r.config.Store.RetainJobs(ctx, r.config.Retention, batch)
		if err != nil || n < batch {
			return err
		}
	}
}

// forPeople removes what is kept for people alone: minutes of the pulse, entries of the audit, keys of requests.
func (r *Remover) forPeople(ctx context.Context) error {
	if !r.config.ForAll() {
		return nil
	}
	_, err := r.config.Store.RetainPulse(ctx)
	if err == nil {
		_, err = r.config.Store.RetainAudit(ctx, max(auditKept, r.config.Retention), batch)
	}
	if err == nil {
		_, err = r.config.Store.RetainOnce(ctx, onceKept, batch)
	}
	return err
}
