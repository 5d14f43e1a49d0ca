package cdc

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

// canaryPrefix begins the id of each canary: a UUID of version 8 whose other bytes are random. The stream tells
// canaries from messages by this prefix, since the publication carries no column that could.
var canaryPrefix = []byte{0x72, 0x65, 0x6c, 0x61, 0x79, 0x00, 0x80, 0xca, 0x80, 0x00}

func newCanary() relay.ID {
	id := relay.NewID() // ends in random bytes
	copy(id[:], canaryPrefix)
	return id
}

// isCanary reports whether a row is a canary. A message with a key is never a canary, whatever id the application
// gave it, since the order of its key needs its ring. A sweep finds a message without a key that has such an id.
func isCanary(ring relay.Ring) bool {
	return ring.Key == "" && bytes.HasPrefix(ring.ID[:], canaryPrefix)
}

// The canary has ended before it begins, and is gone when its transaction commits, so that no statement of any
// session ever meets it. The stream shows its insert all the same. The limits keep a session that has locked the
// table, and a trigger that sleeps, from holding up the heartbeat; a standby does not matter to a canary.
const (
	limitCanary  = "set local lock_timeout = '1s'; set local statement_timeout = '2s'; set local synchronous_commit = off"
	insertCanary = "insert into relay.outbox (id, topic, status, internal) values ($1, 'relay.canary', 'done', true)"
	deleteCanary = "delete from relay.outbox where id = $1"
)

// errKeptOut says that a canary's INSERT succeeded although no row was there afterwards.
var errKeptOut = errors.New("a trigger or a rule keeps it out, or gives it another id")

// sendCanary commits a canary. Without an error the stream has to show it.
func (w *watcher) sendCanary(ctx context.Context, id relay.ID) error {
	err := pgx.BeginFunc(ctx, w.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitCanary, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertCanary, [16]byte(id)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, deleteCanary, [16]byte(id))
		if err == nil && tag.RowsAffected() != 1 {
			err = errKeptOut
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("insert a canary into relay.outbox: %w", err)
	}
	return nil
}
