package sql

import (
	"context"
	"fmt"
)

// EnsureFlushed returns once everything that a reader could see when it was called is
// durable. Under asynchronous commit a visible row may lie beyond the flushed WAL and
// vanish in a crash; a message must not be sent before. If the WAL is not flushed as far as
// it is inserted, one small synchronous commit of our own makes it so.
func (s *Store) EnsureFlushed(ctx context.Context) error {
	var flushed bool
	const behind = `select pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn()`
	if err := s.pool.QueryRow(ctx, behind).Scan(&flushed); err != nil {
		return fmt.Errorf("read WAL positions: %w", err)
	}
	if flushed {
		return nil
	}
	// Transactional: only a transaction with an id of its own is flushed at commit.
	if _, err := s.pool.Exec(ctx, `select pg_logical_emit_message(true, 'relay.flush', '')`); err != nil {
		return fmt.Errorf("flush WAL: %w", err)
	}
	return nil
}
