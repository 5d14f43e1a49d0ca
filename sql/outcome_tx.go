package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
)

// ErrFenced says that a lease under which something was to be written had passed to another relay, or was
// given up, before the transaction could commit. Nothing was written.
var ErrFenced = errors.New("a lease has changed hands meanwhile")

// Apart returns a store that writes outcomes over other connections than s, one at a time if need be: a statement
// of it ends after limit, and holds no lease row while it waits. It is closed with s.
func (s *Store) Apart(limit time.Duration) *Store {
	c := *s
	c.apart, c.limit = true, limit
	return &c
}

// outcomes is the pool over which the store writes outcomes.
func (s *Store) outcomes() *pgxpool.Pool {
	if s.apart {
		return s.isolated
	}
	return s.writing
}

// Only those shards are compared under which something was written.
const fence = `
select count(*) from (
	select from unnest($2::smallint[], $3::bigint[]) as e(shard, epoch)
	cross join lateral (
		select x.shard from relay.lease x where x.shard = e.shard and x.owner = $1 and x.epoch = e.epoch for share
	) l
) own`

// inWriting runs write in a transaction that commits only if the leases of the messages that it returns are still
// this relay's. write gets the shards of the changes and their epochs.
func (s *Store) inWriting(ctx context.Context, operation string, lease Lease, changes []Change, write func(tx pgx.Tx, shards []int16, epochs []int64) ([]relay.ID, error)) error {
	return inTxOf(ctx, s.outcomes(), operation, func(tx pgx.Tx) error {
		if s.limit > 0 {
			if _, err := tx.Exec(ctx, fmt.Sprintf("set local statement_timeout = %d", s.limit.Milliseconds())); err != nil {
				return err
			}
		}
		shards, epochs := lease.of(changes)
		written, err := write(tx, shards, epochs)
		if err != nil || len(written) == 0 {
			return err
		}
		return holdFence(ctx, tx, lease, only(changes, written))
	})
}

// leasePatience is how long a transaction waits for the lease rows, which a renewal locks for as long as it takes.
const leasePatience = `set local lock_timeout = '5s'`

// holdFence locks the leases of the changes until the transaction ends, or returns ErrFenced. A lease that could not be
// locked says nothing about what was to be written.
func holdFence(ctx context.Context, tx pgx.Tx, lease Lease, changes []Change) error {
	shards, epochs := lease.of(changes)
	var own int
	batch := &pgx.Batch{}
	batch.Queue(leasePatience)
	batch.Queue(fence, [16]byte(lease.Owner), shards, epochs).QueryRow(func(row pgx.Row) error { return row.Scan(&own) })
	err := tx.SendBatch(ctx, batch).Close()
	if waitedInVain(err) {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	if err != nil {
		return err
	}
	if own < len(shards) {
		return ErrFenced
	}
	return nil
}

// waitedInVain reports whether a statement ended because it had waited for a lock, or for anything else, for too long.
func waitedInVain(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == stateLocked || pg.Code == stateCanceled)
}

// ProbeWriting reports why outcomes cannot be written at all: it runs the statements that write them for no
// outcome. Nil: what fails, fails because of some row.
func (s *Store) ProbeWriting(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.isolated, func(tx pgx.Tx) error {
		for _, statement := range []string{takeUp, writeOpen} {
			if _, err := tx.Exec(ctx, statement, arguments(Lease{}, nil)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("probe writing: %w", err)
	}
	return nil
}
