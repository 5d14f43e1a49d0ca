package reconcile

import (
	"context"
	"slices"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

// carefulReader reads rows in halves where one of them cannot be read, and tells what is gone.
type carefulReader struct {
	*shared
	missed *queue[relay.ID] // which the stream has shown
}

// readAlone reads rows, in halves if one of them cannot be read, until the culprits stand alone: those are refused. An
// error says that nothing can be read at present.
func readAlone[R any](ctx context.Context, e *carefulReader, batch []machine.ReadRow, limits *sql.Limits, of func(*R) *sql.MessageRow, read func([]machine.ReadRow) ([]R, error)) (sound []machine.ReadRow, rows []R, refused []machine.ReadRow, err error) {
	err = quarantine.InHalves(ctx, batch, func(some []machine.ReadRow) error {
		found, err := read(some)
		if err != nil {
			return err
		}
		if sound == nil {
			sound, rows = some, found
		} else {
			sound, rows = slices.Concat(sound, some), append(rows, found...)
		}
		for i := range found {
			if row := of(&found[i]); row.Verdict == sql.Readable {
				limits.Budget = max(0, limits.Budget-row.Size)
			}
		}
		if e.quarantine.Has(quarantine.ReadRow) {
			for _, c := range some {
				e.quarantine.Free(unread(c.Entry))
			}
		}
		return nil
	}, func(c machine.ReadRow, why error) {
		refused = append(refused, c)
		e.quarantine.Isolate(unread(c.Entry), why)
		e.quarantine.Tell(sql.Telling{ID: c.Entry, Why: "it cannot be read: " + sql.Refusal(why)})
	})
	return sound, rows, refused, err
}

// unread is a row in quarantine that cannot be read.
func unread(id relay.DeliveryID) quarantine.Subject {
	return quarantine.Subject{Operation: quarantine.ReadRow, ID: id}
}

// readMessages reads the rows of messages as readAlone does.
func (e *carefulReader) readMessages(ctx context.Context, batch []machine.ReadRow, limits sql.Limits) ([]machine.ReadRow, []sql.MessageRow, []machine.ReadRow, error) {
	return readAlone(ctx, e, batch, &limits, func(row *sql.MessageRow) *sql.MessageRow { return row },
		func(some []machine.ReadRow) ([]sql.MessageRow, error) {
			ids := make([]relay.ID, len(some))
			for i, c := range some {
				ids[i] = c.Entry.Message
			}
			return e.config.Store.ReadMessages(ctx, ids, limits)
		})
}

// readDeliveries reads the rows of deliveries as readAlone does.
func (e *carefulReader) readDeliveries(ctx context.Context, batch []machine.ReadRow, limits sql.Limits) ([]machine.ReadRow, []sql.DeliveryRow, []machine.ReadRow, error) {
	return readAlone(ctx, e, batch, &limits, func(row *sql.DeliveryRow) *sql.MessageRow { return &row.MessageRow },
		func(some []machine.ReadRow) ([]sql.DeliveryRow, error) {
			ids := make([]relay.DeliveryID, len(some))
			for i, c := range some {
				ids[i] = c.Entry
			}
			return e.config.Store.ReadDeliveries(ctx, ids, limits)
		})
}

// tellGone finds out about the messages that the stream has shown and that were not there to be read: the snapshot says
// whether the transaction of one is visible, and present those that have become so meanwhile.
func (e *carefulReader) tellGone(ctx context.Context, read []machine.ReadRow, rows []sql.MessageRow) (snapshot relay.Snapshot, present map[relay.ID]bool) {
	var absent []relay.ID
	for i := range rows {
		if rows[i].Verdict == sql.Unseen && read[i].Streamed {
			absent = append(absent, read[i].Entry.Message)
		}
	}
	if len(absent) == 0 {
		return snapshot, nil
	}
	seen, present, err := e.config.Store.Present(ctx, absent)
	e.noteRead(ctx, err)
	if err != nil {
		return snapshot, nil // it shows nothing: they are looked for again
	}
	seen.Durable = true // what the stream has shown is
	return seen, present
}

// watchMissed looks at messages that the stream has shown and that were not there when their transaction was visible,
// until ctx ends: what inserted them has deleted them again, as is usual with change data capture, or another session
// did so at once. They are never delivered. All share one entry of the quarantine, which relay doctor shows.
func (e *carefulReader) watchMissed(ctx context.Context) error {
	for wait.Ready(ctx, e.missed.ready, 0) {
		ids := e.missed.take(readBatch)
		_, present, err := e.config.Store.Present(ctx, ids)
		e.noteRead(ctx, err)
		if err != nil {
			continue
		}
		for _, id := range ids {
			if !present[id] {
				e.quarantine.Deleted(id)
			}
		}
	}
	return nil
}
