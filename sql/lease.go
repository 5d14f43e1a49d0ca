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

// Renew says that a relay lives, extends its leases to ttl from now, takes shards that are free, or whose
// owner has died as watch judges it, up to this relay's even share, and returns what it owns afterwards with the
// number of relays alive. One that does not stay extends its leases alone, and is not counted any more: the others
// may take what it gives up. The times in the table are the database's clock, and nothing is decided by them.
func (s *Store) Renew(ctx context.Context, me Instance, ttl time.Duration, stays bool, watch *Watch) (lease Lease, fleet Fleet, err error) {
	lease = Lease{Owner: me.ID, Epochs: make(map[int16]int64)}
	err = inTxOf(ctx, s.leases, "renew leases", func(tx pgx.Tx) error {
		if !stays {
			if err := depart(ctx, tx, me.ID); err != nil {
				return err
			}
			return renewOwned(ctx, tx, &lease, ttl)
		}
		others, err := alive(ctx, tx, me)
		if err != nil {
			return err
		}
		if err := renewOwned(ctx, tx, &lease, ttl); err != nil {
			return err
		}
		crash.At(crash.LeaseRenewing)
		marks, err := foreignLeases(ctx, tx, me.ID)
		if err != nil {
			return err
		}
		now := time.Now()
		var gone []lifeSign
		fleet, gone = watch.relays(now, others, ttl)
		fleet.Streaming = fleet.Streaming || me.Streaming
		if err := forget(ctx, tx, gone); err != nil {
			return err
		}
		dead := watch.leases(now, marks, ttl)
		return takeFree(ctx, tx, &lease, ttl, Share(fleet.Relays)-len(lease.Epochs), dead)
	})
	return lease, fleet, err
}

// Share is how many shards each of n relays may own.
func Share(relays int) int { return (relay.Shards + relays - 1) / relays }

// depart says that a relay is not to be counted any more.
func depart(ctx context.Context, tx pgx.Tx, id relay.ID) error {
	_, err := tx.Exec(ctx, `delete from relay.instance where id = $1`, [16]byte(id))
	return err
}

// alive marks this relay as seen and returns the signs of life of the others.
func alive(ctx context.Context, tx pgx.Tx, me Instance) ([]lifeSign, error) {
	const statement = `
	with seen as (
		insert into relay.instance (id, name, version, streaming) values ($1, $2, $3, $4)
		on conflict (id) do update set seen_at = clock_timestamp(), streaming = excluded.streaming
	)
	select id, seen_at::text, streaming, coalesce(extract(epoch from clock_timestamp() - case when isfinite(seen_at) then seen_at end), 1e9)::float8
	from relay.instance where id <> $1`
	rows, err := tx.Query(ctx, statement, [16]byte(me.ID), me.Name, me.Version, me.Streaming)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l lifeSign, err error) {
		var seconds float64
		err = row.Scan((*[16]byte)(&l.relay), &l.seen, &l.streaming, &seconds)
		l.age = time.Duration(min(seconds, 1e9) * float64(time.Second))
		return l, err
	})
}

// forget removes the rows of relays that have died, unless they have given a sign of life since.
func forget(ctx context.Context, tx pgx.Tx, gone []lifeSign) error {
	for _, l := range gone {
		if _, err := tx.Exec(ctx, `delete from relay.instance where id = $1 and seen_at::text = $2`, [16]byte(l.relay), l.seen); err != nil {
			return err
		}
	}
	return nil
}

func renewOwned(ctx context.Context, tx pgx.Tx, lease *Lease, ttl time.Duration) error {
	const statement = `
	update relay.lease l set renewals = l.renewals + 1, ttl = $2 * interval '1 microsecond',
		expires_at = clock_timestamp() + $2 * interval '1 microsecond'
	from (select shard from relay.lease where owner = $1 order by shard for update) mine
	where l.shard = mine.shard returning l.shard, l.epoch`
	return collectLease(ctx, tx, lease, statement, [16]byte(lease.Owner), ttl.Microseconds())
}

// foreignLeases reads the leases of other relays as they stand.
func foreignLeases(ctx context.Context, tx pgx.Tx, me relay.ID) ([]leaseMark, error) {
	const statement = `
	select shard, epoch, renewals, expires_at::text, coalesce(extract(epoch from ttl), 0)::float8
	from relay.lease where owner is not null and owner <> $1`
	rows, err := tx.Query(ctx, statement, [16]byte(me))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m leaseMark, err error) {
		var seconds float64
		err = row.Scan(&m.shard, &m.epoch, &m.renewals, &m.expires, &seconds)
		m.ttl = time.Duration(seconds * float64(time.Second))
		return m, err
	})
}

// takeFree takes at most want shards that are free, or whose leases stand as the dead ones did.
func takeFree(ctx context.Context, tx pgx.Tx, lease *Lease, ttl time.Duration, want int, dead []leaseMark) error {
	if want <= 0 {
		return nil
	}
	const statement = `
	update relay.lease l set owner = $1, epoch = l.epoch + 1, renewals = l.renewals + 1,
		ttl = $2 * interval '1 microsecond', expires_at = clock_timestamp() + $2 * interval '1 microsecond'
	from (
		select x.shard from relay.lease x
		left join unnest($4::smallint[], $5::bigint[], $6::bigint[], $7::text[]) as d(shard, epoch, renewals, expires) on d.shard = x.shard
		where x.owner is null or (x.epoch = d.epoch and x.renewals = d.renewals and x.expires_at::text = d.expires)
		order by x.shard limit $3 for update of x skip locked
	) free
	where l.shard = free.shard returning l.shard, l.epoch`
	shards, epochs := make([]int16, len(dead)), make([]int64, len(dead))
	renewals, expires := make([]int64, len(dead)), make([]string, len(dead))
	for i, m := range dead {
		shards[i], epochs[i], renewals[i], expires[i] = m.shard, m.epoch, m.renewals, m.expires
	}
	return collectLease(ctx, tx, lease, statement, [16]byte(lease.Owner), ttl.Microseconds(), want, shards, epochs, renewals, expires)
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
	if _, err := s.leases.Exec(ctx, statement, [16]byte(owner), shards); err != nil {
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
	return inTxOf(ctx, s.leases, "release leases", func(tx pgx.Tx) error {
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
