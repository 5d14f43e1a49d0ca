package sql

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
)

// ErrVanished says that a row was read that is not there any more: the server has crashed
// since, and the row's commit had not reached its disk.
var ErrVanished = errors.New("rows that were read before have vanished: the database has recovered from a crash in between")

// EnsureFlushed returns once everything that a reader could see when it was called is
// durable. Under asynchronous commit a visible row may lie beyond the flushed WAL and
// vanish in a crash; a message must not be sent before. If the WAL is not flushed as far as
// it is inserted, one small synchronous commit of our own makes it so.
//
// Messages that were read already are named. If one of them is not visible any more, the
// error is ErrVanished: what a crashed server showed is no part of what its successor has
// flushed. Looking and flushing are one session's, which no crash outlives.
func (s *Store) EnsureFlushed(ctx context.Context, read ...relay.ID) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		var flushed, there bool
		const behind = `select pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn(),
			not exists (select from unnest($1::uuid[]) as r(id) where not exists (select from relay.outbox o where o.id = r.id))`
		if err := conn.QueryRow(ctx, behind, uuids(read)).Scan(&flushed, &there); err != nil {
			return fmt.Errorf("read WAL positions: %w", err)
		}
		if !there {
			return ErrVanished
		}
		if flushed {
			return nil
		}
		// Transactional: only a transaction with an id of its own is flushed at commit.
		if _, err := conn.Exec(ctx, `select pg_logical_emit_message(true, 'relay.flush', '')`); err != nil {
			return fmt.Errorf("flush WAL: %w", err)
		}
		return nil
	})
}
