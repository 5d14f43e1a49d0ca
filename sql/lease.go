package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
	"relay/crash"
)

// Instance is one running relay: a sign of life for the others. Name and Version are for people.
type Instance struct {
	ID            relay.ID
	Name, Version string
	Streaming     bool // it hears the stream and rings the others
}

// Fleet is what the relays of a database are at present.
type Fleet struct {
	Relays    int  // alive, this one included
	Streaming bool // one of them hears the stream
}

// Renew says that a relay lives, extends its leases to ttl from now, takes free or expired shards up to
// this relay's even share, and returns what it owns afterwards with the number of relays alive. One that
// does not stay extends its leases alone, and is not counted any more: the others may take what it gives
// up. All times are the database's clock.
func (s *Store) Renew(ctx context.Context, me Instance, ttl time.Duration, stays bool) (lease Lease, fleet Fleet, err error) {
	lease = Lease{Owner: me.ID, Epochs: make(map[int16]int64)}
	err = s.inTx(ctx, "renew leases", func(tx pgx.Tx) error {
		if !stays {
			if err := depart(ctx, tx, me.ID); err != nil {
				return err
			}
			return renewOwned(ctx, tx, &lease, ttl)
		}
		if fleet, err = alive(ctx, tx, me, ttl); err != nil {
			return err
		}
		if err := renewOwned(ctx, tx, &lease, ttl); err != nil {
			return err
		}
		crash.At(crash.LeaseRenewing)
		return takeFree(ctx, tx, &lease, ttl, Share(fleet.Relays)-len(lease.Epochs))
	})
	return lease, fleet, err
}

// Share is how many shards each of so many relays may own.
func Share(relays int) int { return (relay.Shards + relays - 1) / relays }

// depart says that a relay is not to be counted any more.
func depart(ctx context.Context, tx pgx.Tx, id relay.ID) error {
	_, err := tx.Exec(ctx, `delete from relay.instance where id = $1`, [16]byte(id))
	return err
}

// alive marks this relay as seen, forgets the long dead, and counts the living.
func alive(ctx context.Context, tx pgx.Tx, me Instance, ttl time.Duration) (fleet Fleet, err error) {
	const statement = `
	with seen as (
		insert into relay.instance (id, name, version, streaming) values ($1, $3, $4, $5)
		on conflict (id) do update set seen_at = clock_timestamp(), streaming = excluded.streaming
	), gone as (
		delete from relay.instance where seen_at < clock_timestamp() - $2 * interval '10 microseconds' and id <> $1
	)
	select 1 + count(*), $5 or coalesce(bool_or(streaming), false) from relay.instance
	where id <> $1 and seen_at > clock_timestamp() - $2 * interval '1 microsecond'`
	err = tx.QueryRow(ctx, statement, [16]byte(me.ID), ttl.Microseconds(), me.Name, me.Version, me.Streaming).Scan(&fleet.Relays, &fleet.Streaming)
	return fleet, err
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

// GiveUp releases some of the owner's shards, from which it has nothing under way any more,
// so that others take them over at once.
func (s *Store) GiveUp(ctx context.Context, owner relay.ID, shards []int16) error {
	const statement = `
	update relay.lease l set owner = null, expires_at = '-infinity'
	from (select shard from relay.lease where owner = $1 and shard = any ($2) order by shard for update) mine
	where l.shard = mine.shard`
	if _, err := s.pool.Exec(ctx, statement, [16]byte(owner), shards); err != nil {
		return fmt.Errorf("give up shards: %w", err)
	}
	return nil
}

// noticesOf writes ids as payloads of NOTIFY.
func noticesOf(ids []relay.ID) []string {
	const perNotice = 200 // a payload stays below 8000 bytes
	payloads := []string{}
	for chunk := range slices.Chunk(ids, perNotice) {
		texts := make([]string, len(chunk))
		for i, id := range chunk {
			texts[i] = id.String()
		}
		payloads = append(payloads, strings.Join(texts, ","))
	}
	return payloads
}

// Release gives up every lease of owner and says that the relay has ended, so that others
// take over at once. Like Renew it locks the sign of life first: a renewal that was broken off
// may still be under way in the server.
func (s *Store) Release(ctx context.Context, owner relay.ID) error {
	return s.inTx(ctx, "release leases", func(tx pgx.Tx) error {
		if err := depart(ctx, tx, owner); err != nil {
			return err
		}
		const free = `
		update relay.lease l set owner = null, expires_at = '-infinity'
		from (select shard from relay.lease where owner = $1 order by shard for update) mine
		where l.shard = mine.shard`
		_, err := tx.Exec(ctx, free, [16]byte(owner))
		return err
	})
}
