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

// dueReader finds what is due.
type dueReader struct {
	*shared
	wanted *queue[machine.FindDue]
}

// watchDue finds what is due when the machine asks for it, until ctx ends.
func (e *dueReader) watchDue(ctx context.Context) error {
	for wait.Ready(ctx, e.wanted.ready, 0) {
		for _, c := range e.wanted.take(1) {
			due, err := e.find(ctx, c.Limit)
			if ctx.Err() != nil {
				return nil
			}
			e.trouble.Note("find what is due", err)
			due.Failed = err != nil
			e.loop.tell(due)
		}
	}
	return nil
}

// find makes one pass over what is due: it makes delayed messages whose time has come ordinary ones, and finds the
// retries. It tells how long it is until the next.
func (e *dueReader) find(ctx context.Context, limit int) (out machine.Due, err error) {
	shards := e.leases.Now().Shards
	out.Next = -1
	// Asked first: what becomes due between the two questions is found by the second.
	next, some, err := e.config.Store.NextDue(ctx, shards)
	if err != nil {
		return out, err
	}
	if some {
		out.Next = next
	}
	release, keys := true, make(map[string]bool)
	err = walkDue(ctx, shards, limit, e.config.Store.DueMessages, func(found []sql.Due) (err error) {
		if release {
			release, err = e.release(ctx, found)
		}
		for _, due := range found {
			if due.Key != "" && keys[due.Key] {
				continue
			}
			keys[due.Key] = true
			out.Messages = append(out.Messages, machine.Report{ID: due.ID.Message, Key: due.Key, Shard: due.Shard})
		}
		return err
	})
	if err != nil {
		return out, err
	}
	err = walkDue(ctx, shards, limit, e.config.Store.DueDeliveries, func(found []sql.Due) error {
		out.Deliveries = append(out.Deliveries, dueDeliveries(found)...)
		return nil
	})
	return out, err
}

// dueDeliveries are deliveries as the machine knows them.
func dueDeliveries(found []sql.Due) []machine.DueDelivery {
	out := make([]machine.DueDelivery, len(found))
	for i, due := range found {
		out[i] = machine.DueDelivery{ID: due.ID, Key: due.Key, Shard: due.Shard}
	}
	return out
}

// release makes delayed messages ordinary ones, and reports whether it could: those for which PostgreSQL refuses it are
// in quarantine, and the rest of the pass does without. Until then those with a key hold it.
func (e *dueReader) release(ctx context.Context, found []sql.Due) (all bool, err error) {
	ids := make([]relay.ID, len(found))
	for i, due := range found {
		ids[i] = due.ID.Message
	}
	culprits, err := e.quarantine.EachAlone(ctx, quarantine.MakeDue, ids, func(some []relay.ID) error {
		_, err := e.config.Store.ReleaseDue(ctx, some)
		return err
	})
	return len(culprits) == 0, err
}

type findDue func(ctx context.Context, shards []int16, from time.Time, limit int) ([]sql.Due, error)

// walkDue walks along the due times until it has seen everything that is due, or most of it. What is in memory stays
// due in the table until its outcome is written, and what another session holds until it can be changed, so that the
// walk needs a position of its own.
func walkDue(ctx context.Context, shards []int16, most int, find findDue, take func([]sql.Due) error) error {
	var from time.Time
	for seen, limit := 0, dueBatch; seen < most; {
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
		seen += len(found)
		last := found[len(found)-1].At
		if last.Equal(from) {
			limit *= 2 // more rows than a batch share one moment
		}
		from = last
	}
	return nil
}
