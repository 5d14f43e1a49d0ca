package reconcile

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
)

// hiddenEvery is how often the relay looks whether transactions have become visible.
const hiddenEvery = 100 * time.Millisecond

// hidden knows the transactions whose rows the stream has shown and SQL does not show yet: those whose commit
// waits for a standby, or is in its last moment. There are at most as many as the server has sessions and prepared
// transactions, however many rows they have inserted. As long as there is one, keys are read from their lowest message.
type hidden struct {
	ready   chan struct{}
	keyring *keyring

	mu   sync.Mutex
	xids map[uint32]bool // true: rows of it are registered no more, and a sweep has to find them
}

func newHidden(k *keyring) *hidden {
	return &hidden{ready: make(chan struct{}, 1), keyring: k, xids: make(map[uint32]bool)}
}

// add notes a transaction. Left says that one of its rows was unregistered.
func (h *hidden) add(xid uint32, left bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.xids[xid] = h.xids[xid] || left
	h.keyring.hidden.Store(true)
	poke(h.ready)
}

// shown forgets the transactions that a snapshot shows, and reports whether a sweep has to find rows of them, and
// whether others remain. What it forgets may come before what was read of a key.
func (h *hidden) shown(snapshot sql.Snapshot) (sweep, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for xid, left := range h.xids {
		if snapshot.Shows(xid) {
			delete(h.xids, xid)
			sweep = sweep || left
			h.keyring.reportsLost()
		}
	}
	more = len(h.xids) > 0
	h.keyring.hidden.Store(more)
	return sweep, more
}

// awaitHidden looks whether hidden transactions have become visible, until ctx ends.
func (e *carefulReader) awaitHidden(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.hidden.ready:
		}
		for more := true; more; {
			if !pause(ctx, hiddenEvery, nil) {
				return nil
			}
			snapshot, _, err := e.config.Store.Present(ctx, nil)
			e.trouble.note("look whether transactions are visible", ignoreEnd(ctx, err))
			if err != nil {
				continue
			}
			var sweep bool
			if sweep, more = e.hidden.shown(snapshot); sweep {
				e.sweeper.sweepAll()
			}
		}
	}
}

// tellGone tells the rows that are gone from those that SQL does not show yet. A row that the stream did not show
// to this relay had been visible when it was registered. One that the stream showed is gone if a snapshot that
// shows its transaction does not hold it.
func (e *carefulReader) tellGone(ctx context.Context, entries []*entry, rows []sql.MessageRow) {
	var absent []int
	for i := range rows {
		switch {
		case rows[i].Verdict != sql.Unseen:
		case entries[i].xid == 0:
			rows[i].Verdict = sql.Gone
		default:
			absent = append(absent, i)
		}
	}
	if len(absent) == 0 {
		return
	}
	snapshot, present, err := e.config.Store.Present(ctx, idsAt(entries, absent))
	e.rows.noteRead(ctx, err)
	var deleted []relay.ID
	for _, i := range absent {
		switch en := entries[i]; {
		case err != nil || !snapshot.Shows(en.xid):
			e.hidden.add(en.xid, false)
		case !present[en.id.Message]:
			rows[i].Verdict = sql.Gone
			deleted = append(deleted, en.id.Message)
		}
	}
	e.deletedBefore(deleted)
}

// idsAt returns the messages of the entries at some places.
func idsAt(entries []*entry, places []int) []relay.ID {
	ids := make([]relay.ID, len(places))
	for n, i := range places {
		ids[n] = entries[i].id.Message
	}
	return ids
}
