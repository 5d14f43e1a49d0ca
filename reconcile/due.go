package reconcile

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
)

const (
	// dueBatch is the most due rows that one statement finds.
	dueBatch = 500
	// dueEvery is how often the due times are looked at when nothing is known to be due.
	dueEvery = time.Second
	// dueGap keeps two looks apart, so that what is due together is found together.
	dueGap = 5 * time.Millisecond
)

// alarm holds the earliest time at which something is known to be due.
type alarm struct {
	mu   sync.Mutex
	at   time.Time // zero: nothing known
	wake chan struct{}
}

func newAlarm() *alarm { return &alarm{wake: make(chan struct{}, 1)} }

// hint says that something is due at t.
func (a *alarm) hint(t time.Time) {
	a.mu.Lock()
	sooner := a.at.IsZero() || t.Before(a.at)
	if sooner {
		a.at = t
	}
	a.mu.Unlock()
	if sooner {
		poke(a.wake)
	}
}

// now says that something may be due.
func (a *alarm) now() { a.hint(time.Now()) }

// wait returns how long it is until the alarm goes off, or until latest if that is sooner.
func (a *alarm) wait(latest time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at.IsZero() && a.at.Before(latest) {
		latest = a.at
	}
	return time.Until(latest)
}

// clear forgets a time that has come.
func (a *alarm) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at.After(time.Now()) {
		a.at = time.Time{}
	}
}

// watchDue registers delayed messages and retries when their time comes, until ctx ends.
func (e *dueReader) watchDue(ctx context.Context) error {
	for {
		latest := time.Now().Add(dueEvery)
		for wait := dueGap; wait > 0; wait = e.due.wait(latest) {
			if !pause(ctx, wait, e.due.wake) {
				return nil
			}
		}
		e.due.clear()
		err := e.RegisterDue(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.note("find what is due", err)
	}
}

// tooEarly has a message found when its time comes that is not due by the database's clock.
// It was by this machine's, which is ahead of it: nothing else knows of the time. The look
// asks the database how long it takes. A delivery has its time from there in any case.
func (e *dueReader) tooEarly(en *entry, at time.Time) {
	if en.isMessage() && !at.IsZero() {
		e.due.hint(at)
	}
}

// RegisterDue makes one pass over what is due: it makes delayed messages whose time has come ordinary ones, registers
// them, and registers retries, and sets the alarm for the next.
func (e *dueReader) RegisterDue(ctx context.Context) error {
	if err := e.writer.health.waitHealthy(ctx); err != nil {
		return nil
	}
	shards := e.lease.Load().shards
	// Asked first: what becomes due between the two questions is found by the second.
	next, some, err := e.config.Store.NextDue(ctx, shards)
	if err != nil {
		return err
	}
	if some {
		e.due.hint(time.Now().Add(next))
	}
	release := true
	err = e.walkDue(ctx, shards, e.config.Store.DueMessages, func(found []sql.Due) (err error) {
		if release {
			release, err = e.releaseDue(ctx, found)
		}
		if err == nil {
			err = e.config.Store.EnsureFlushed(ctx)
		}
		if err == nil {
			e.registry.add(dueMessages(found))
		}
		return err
	})
	if err != nil {
		return err
	}
	return e.walkDue(ctx, shards, e.config.Store.DueDeliveries, func(found []sql.Due) error {
		if err := e.config.Store.EnsureFlushed(ctx); err != nil {
			return err
		}
		entries := make([]entry, len(found))
		for i, due := range found {
			entries[i] = entry{id: due.ID, key: due.Key}
		}
		e.registry.add(entries)
		return nil
	})
}

// releaseDue makes delayed messages ordinary ones, and reports whether it could: those for which PostgreSQL refuses it are
// in quarantine, and the rest of the pass does without. Until then those with a key hold it.
func (e *dueReader) releaseDue(ctx context.Context, found []sql.Due) (all bool, err error) {
	all = true
	ids := make([]relay.ID, 0, len(found))
	for _, due := range found {
		if id := due.ID.Message; !e.quarantine.waits(ofMessage(makeDue, id)) {
			ids = append(ids, id)
		}
	}
	err = inHalves(ctx, ids, func(some []relay.ID) error {
		_, err := e.config.Store.ReleaseDue(ctx, some)
		if err == nil {
			e.quarantine.endedMessages(makeDue, some)
		}
		return err
	}, func(id relay.ID, why error) {
		all = false
		e.isolator.isolate(ofMessage(makeDue, id), why)
		e.isolator.tell(sql.Telling{ID: sql.DeliveryID{Message: id}, Why: "it is due, and that cannot be noted: " + sql.Refusal(why)})
	})
	return all, err
}

// dueMessages are the entries of messages that have become due: those with a key are read by it, from its lowest
// message, since their places may be before what was read of it already.
func dueMessages(found []sql.Due) (entries []entry) {
	keys := make(map[string]bool)
	for _, due := range found {
		switch {
		case due.Key == "":
			entries = append(entries, entry{id: due.ID})
		case !keys[due.Key]:
			keys[due.Key] = true
			entries = append(entries, keyEntryAnew(due.Key))
		}
	}
	return entries
}

type findDue func(ctx context.Context, shards []int16, from time.Time, limit int) ([]sql.Due, error)

// walkDue walks along the due times until it has seen everything that is due. What is
// in flight stays due in the table until its outcome is written, and what another session holds until it can be changed, so that the walk
// needs a position of its own.
func (e *dueReader) walkDue(ctx context.Context, shards []int16, find findDue, take func([]sql.Due) error) error {
	var from time.Time
	for limit := dueBatch; ; {
		found, err := find(ctx, shards, from, limit)
		if err != nil || len(found) == 0 {
			return err
		}
		if err := take(found); err != nil {
			return err
		}
		if len(found) < limit {
			return nil
		}
		last := found[len(found)-1].At
		if last.Equal(from) {
			limit *= 2 // more rows than a batch share one moment
		}
		from = last
		if e.registry.memory.sweepRoom() == 0 {
			return nil // the rest is found by the next pass
		}
	}
}
