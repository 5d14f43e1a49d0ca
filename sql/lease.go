package sql

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
	"relay/crash"
)

// Instance is one running relay: a sign of life for the others. Name and Version are for people.
type Instance struct {
	ID            relay.ID
	Name, Version string
}

// Renew says that a relay lives, extends its leases to ttl from now, takes free or expired shards up to
// this relay's even share, and returns what it owns afterwards with the number of relays
// alive. All times are the database's clock.
func (s *Store) Renew(ctx context.Context, me Instance, ttl time.Duration) (lease Lease, relays int, err error) {
	lease = Lease{Owner: me.ID, Epochs: make(map[int16]int64)}
	err = s.inTx(ctx, "renew leases", func(tx pgx.Tx) error {
		if relays, err = alive(ctx, tx, me, ttl); err != nil {
			return err
		}
		if err := renewOwned(ctx, tx, &lease, ttl); err != nil {
			return err
		}
		crash.At(crash.LeaseRenewing)
		share := (relay.Shards + relays - 1) / relays
		return takeFree(ctx, tx, &lease, ttl, share-len(lease.Epochs))
	})
	return lease, relays, err
}

// alive marks this relay as seen, forgets the long dead, and counts the living.
func alive(ctx context.Context, tx pgx.Tx, me Instance, ttl time.Duration) (relays int, err error) {
	const statement = `
	with seen as (
		insert into relay.instance (id, name, version) values ($1, $3, $4)
		on conflict (id) do update set seen_at = clock_timestamp()
	), gone as (
		delete from relay.instance where seen_at < clock_timestamp() - $2 * interval '10 microseconds' and id <> $1
	)
	select 1 + count(*) from relay.instance
	where id <> $1 and seen_at > clock_timestamp() - $2 * interval '1 microsecond'`
	err = tx.QueryRow(ctx, statement, [16]byte(me.ID), ttl.Microseconds(), me.Name, me.Version).Scan(&relays)
	return relays, err
}

func renewOwned(ctx context.Context, tx pgx.Tx, lease *Lease, ttl time.Duration) error {
	const statement = `
	update relay.lease l set expires_at = clock_timestamp() + $2 * interval '1 microsecond'
	from (select shard from relay.lease where owner = $1 order by shard for update) mine
	where l.shard = mine.shard returning l.shard, l.epoch`
	return collectLease(ctx, tx, lease, statement, [16]byte(lease.Owner), ttl.Microseconds())
}

func takeFree(ctx context.Context, tx pgx.Tx, lease *Lease, ttl time.Duration, want int) error {
	if want <= 0 {
		return nil
	}
	const statement = `
	update relay.lease l set owner = $1, epoch = l.epoch + 1, expires_at = clock_timestamp() + $2 * interval '1 microsecond'
	from (
		select shard from relay.lease
		where owner is null or expires_at < clock_timestamp()
		order by shard limit $3 for update skip locked
	) free
	where l.shard = free.shard returning l.shard, l.epoch`
	return collectLease(ctx, tx, lease, statement, [16]byte(lease.Owner), ttl.Microseconds(), want)
}

func collectLease(ctx context.Context, tx pgx.Tx, lease *Lease, statement string, arguments ...any) error {
	rows, err := tx.Query(ctx, statement, arguments...)
	if err != nil {
		return err
	}
	var shard int16
	var epoch int64
	_, err = pgx.ForEachRow(rows, []any{&shard, &epoch}, func() error {
		lease.Epochs[shard] = epoch
		return nil
	})
	return err
}

// Release gives up every lease of owner and says that the relay has ended, so that others
// take over at once.
func (s *Store) Release(ctx context.Context, owner relay.ID) error {
	return s.inTx(ctx, "release leases", func(tx pgx.Tx) error {
		const free = `update relay.lease set owner = null, expires_at = '-infinity' where owner = $1`
		if _, err := tx.Exec(ctx, free, [16]byte(owner)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `delete from relay.instance where id = $1`, [16]byte(owner))
		return err
	})
}
