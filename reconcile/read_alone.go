package reconcile

import (
	"context"
	"time"

	"relay"
	"relay/sql"
)

// readAlone reads the rows of entries, in halves if one of them cannot be read, until the culprits stand alone. It
// returns the entries that were read, with their rows. An error says that nothing can be read at present.
func readAlone[I, R any](ctx context.Context, e *core, entries []*entry, id func(*entry) I, read func([]I) ([]R, error)) (sound []*entry, rows []R, err error) {
	err = inHalves(ctx, entries, func(some []*entry) error {
		ids := make([]I, len(some))
		for i, en := range some {
			ids[i] = id(en)
		}
		found, err := read(ids)
		if err == nil {
			sound, rows = append(sound, some...), append(rows, found...)
			e.careful.readable(some)
		}
		return err
	}, e.careful.unreadable)
	return sound, rows, err
}

// readMessageRows reads the rows of messages as readAlone does, and tells which of them are gone.
func (e *carefulReader) readMessageRows(ctx context.Context, entries []*entry, limits sql.Limits) ([]*entry, []sql.MessageRow, error) {
	sound, rows, err := readAlone(ctx, e.core, entries, func(en *entry) relay.ID { return en.id.Message }, func(ids []relay.ID) ([]sql.MessageRow, error) {
		rows, err := e.config.Store.ReadMessages(ctx, ids, limits)
		for i := range rows {
			limits.Budget = spent(limits.Budget, &rows[i])
		}
		return rows, err
	})
	e.tellGone(ctx, sound, rows)
	return sound, rows, err
}

// readDeliveryRows reads the rows of deliveries as readAlone does.
func (e *carefulReader) readDeliveryRows(ctx context.Context, entries []*entry, limits sql.Limits) ([]*entry, []sql.DeliveryRow, error) {
	return readAlone(ctx, e.core, entries, func(en *entry) sql.DeliveryID { return en.id }, func(ids []sql.DeliveryID) ([]sql.DeliveryRow, error) {
		rows, err := e.config.Store.ReadDeliveries(ctx, ids, limits)
		for i := range rows {
			limits.Budget = spent(limits.Budget, &rows[i].MessageRow)
		}
		return rows, err
	})
}

// spent is what is left of a budget after a row was read.
func spent(budget int64, row *sql.MessageRow) int64 {
	if row.Verdict != sql.Readable {
		return budget
	}
	return max(0, budget-row.Size)
}

// unread is an entry in quarantine that cannot be read.
func unread(en *entry) subject { return subject{operation: readRow, id: en.id} }

// unreadable has an entry read again after a growing time. It stays registered, unless there are many of them.
func (e *carefulReader) unreadable(en *entry, err error) {
	wait := e.isolator.isolate(unread(en), err)
	e.isolator.tell(sql.Telling{ID: en.id, Why: "it cannot be read: " + sql.Refusal(err)})
	if e.quarantine.size(readRow) > max(1, e.config.InFlight/crowdedShare) {
		e.heads.leave(en)
		return
	}
	time.AfterFunc(wait, func() { e.registry.toRead.again(en) })
}

// readable lets entries out of the quarantine that could be read.
func (e *carefulReader) readable(entries []*entry) {
	if e.quarantine.size(readRow) == 0 {
		return
	}
	for _, en := range entries {
		e.quarantine.ended(unread(en))
	}
}

// readKeyRows reads the messages of keys, in halves if one of them cannot be read. The messages of a culprit that are
// wanted are read again after a growing time.
func (e *carefulReader) readKeyRows(ctx context.Context, keys []sql.Key, wanted map[relay.ID]*entry, limits sql.Limits) (sound []sql.Key, found [][]sql.MessageRow, err error) {
	err = inHalves(ctx, keys, func(some []sql.Key) error {
		rows, err := e.config.Store.ReadKeys(ctx, some, limits)
		if err != nil {
			return err
		}
		sound, found = append(sound, some...), append(found, rows...)
		for i := range rows {
			for j := range rows[i] {
				limits.Budget = spent(limits.Budget, &rows[i][j])
			}
		}
		if e.quarantine.size(readRow) > 0 {
			for _, key := range some {
				e.quarantine.ended(subject{operation: readRow, key: key.Key})
			}
		}
		return nil
	}, func(key sql.Key, why error) {
		wait := e.isolator.isolate(subject{operation: readRow, key: key.Key}, why)
		e.keyring.readAnew(key.Key)
		for id, en := range wanted {
			if en.key == key.Key {
				delete(wanted, id)
				e.registry.remove(en) // the key stands for them
			}
		}
		time.AfterFunc(wait, func() { e.registry.add([]entry{keyEntry(key.Key)}) })
	})
	return sound, found, err
}
