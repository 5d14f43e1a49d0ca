package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"relay"
)

// Position is a place in the order in which keys are swept: the shards ascending, within each
// the keys. The zero value is the beginning.
type Position struct {
	Shard int16
	Key   string
}

// Walk is how far the sweep of a shard's messages without a key has come: behind a sequence.
// Zero: it begins.
type Walk struct {
	Shard int16
	After int64
}

// Pending is a pending message that a sweep found.
type Pending struct {
	relay.Ring
	Shard int16
	Seq   int64
}

// Each shard is one walk along its part of the index, which stops at its limit.
const sweepPending = `
select x.id, x.shard, x.seq
from unnest($1::smallint[], $2::bigint[]) as s(shard, after)
cross join lateral (
	select o.id, o.shard, o.seq from relay.outbox o
	where o.status = 'pending' and o.key is null and (o.deliver_at is null or o.due) and o.shard = s.shard and o.seq > s.after
	order by o.seq limit $3
) x
order by x.seq`

// SweepPending finds pending messages that have no key and are not delayed: of each walk the
// next, at most each of them. They come in the order of their sequences, all shards together.
func (s *Store) SweepPending(ctx context.Context, walks []Walk, each int) ([]Pending, error) {
	shards, after := make([]int16, len(walks)), make([]int64, len(walks))
	for i, w := range walks {
		shards[i], after[i] = w.Shard, w.After
	}
	rows, err := s.pool.Query(ctx, sweepPending, shards, after, each)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Pending, err error) {
		err = row.Scan((*[16]byte)(&p.ID), &p.Shard, &p.Seq)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	return found, nil
}

// Due is a message or delivery to be registered: a message has no subscription in its ID.
type Due struct {
	ID relay.DeliveryID
	// Key is empty, too, if the delivery was accepted once: then it holds its key no more.
	Key string
	// Shard is the message's.
	Shard int16
	At    time.Time // when it was or is due; zero where there is no time, or '-infinity'
	Seq   int64
}

// Times are compared with the statement's beginning: the clock itself changes while a
// statement runs, so that an index could not be entered by it.
const dueMessages = `
select x.id, '', '', x.key, s.shard, case when isfinite(x.deliver_at) then x.deliver_at end, x.seq from unnest($1::smallint[]) as s(shard)
cross join lateral (
	select o.id, coalesce(o.key, '') as key, o.deliver_at, o.seq from relay.outbox o
	where o.status = 'pending' and o.deliver_at is not null and not o.due and o.shard = s.shard
		and o.deliver_at >= $2 and o.deliver_at <= statement_timestamp()
	order by o.deliver_at limit $3
) x
order by x.deliver_at limit $3`

// DueMessages finds delayed messages that became due at or after a time, which may be zero,
// the longest due first, at most limit of them. Once ReleaseDue has had them, they are not found any more.
func (s *Store) DueMessages(ctx context.Context, shards []int16, from time.Time, limit int) ([]Due, error) {
	rows, err := s.pool.Query(ctx, dueMessages, shards, since(from), limit)
	return collectDue("find due messages", rows, err)
}

// A row that another session holds is left, to be found again. Rows are looked for by their ids alone: with the other
// conditions beside, the planner may take the index of all that is not due, and walk through it for each id.
const releaseDue = `
with held as materialized (
	select x.id, x.status, x.due, x.deliver_at from relay.outbox x where x.id = any ($1::uuid[]) for update skip locked
)
update relay.outbox o set due = true from held
where o.id = held.id and held.status = 'pending' and not held.due and held.deliver_at <= statement_timestamp()
returning o.id`

// ReleaseDue makes delayed messages that are due ordinary pending ones, which sweeps and readers of keys find in their
// places. It returns those that have become so now.
func (s *Store) ReleaseDue(ctx context.Context, ids []relay.ID) ([]relay.ID, error) {
	rows, err := s.changes.Query(ctx, releaseDue, uuids(ids))
	return collectIDs("make messages due", rows, err)
}

// since is a time from which a walk begins. The zero time stands for all there is, also what
// was written by hand as due since '-infinity'.
func since(from time.Time) pgtype.Timestamptz {
	if from.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: from, Valid: true}
}

// keyHeld is the key in whose order a delivery has its place. Empty: it has none.
const keyHeld = `case when d.delivered_at is null then coalesce(d.key, '') else '' end`

const dueDeliveries = `
select x.message_id, x.subscription, x.instance, x.key, s.shard, case when isfinite(x.next_attempt_at) then x.next_attempt_at end, x.seq from unnest($1::smallint[]) as s(shard)
cross join lateral (
	select d.message_id, d.subscription, d.instance, ` + keyHeld + ` as key, d.next_attempt_at, d.seq
	from relay.delivery d
	where d.next_attempt_at is not null and d.shard = s.shard
		and d.next_attempt_at >= $2 and d.next_attempt_at <= statement_timestamp()
	order by d.next_attempt_at limit $3
) x
order by x.next_attempt_at limit $3`

// DueDeliveries finds deliveries whose next attempt became due at or after a time, which
// may be zero, the longest due first, at most limit of them.
func (s *Store) DueDeliveries(ctx context.Context, shards []int16, from time.Time, limit int) ([]Due, error) {
	rows, err := s.pool.Query(ctx, dueDeliveries, shards, since(from), limit)
	return collectDue("find due deliveries", rows, err)
}

const nextDue = `
select (extract(epoch from min(least(x.at - clock_timestamp(), interval '1 day'))) * 1000000)::bigint
from unnest($1::smallint[]) as s(shard)
cross join lateral (
	(select o.deliver_at as at from relay.outbox o
	where o.status = 'pending' and o.deliver_at is not null and not o.due and o.shard = s.shard
		and o.deliver_at > statement_timestamp() order by o.deliver_at limit 1)
	union all
	(select d.next_attempt_at from relay.delivery d
	where d.next_attempt_at is not null and d.shard = s.shard
		and d.next_attempt_at > statement_timestamp() order by d.next_attempt_at limit 1)
) x
where x.at < 'infinity'`

// NextDue returns how long it is until the next delayed message or retry of the shards is
// due, by the database's clock, but at most a day. It returns false if there is none. What is due already when it asks
// is not counted: DueMessages and DueDeliveries find it. Zero: it has become due since.
func (s *Store) NextDue(ctx context.Context, shards []int16) (time.Duration, bool, error) {
	var us *int64
	if err := s.pool.QueryRow(ctx, nextDue, shards).Scan(&us); err != nil {
		return 0, false, fmt.Errorf("find the next due time: %w", err)
	}
	if us == nil {
		return 0, false, nil
	}
	return max(0, time.Duration(*us)*time.Microsecond), true, nil
}

func collectDue(operation string, rows pgx.Rows, err error) ([]Due, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Due, err error) {
		var at pgtype.Timestamptz // the very value: the next walk begins there
		err = row.Scan((*[16]byte)(&d.ID.Message), &d.ID.Subscription, &d.ID.Instance, &d.Key, &d.Shard, &at, &d.Seq)
		if at.InfinityModifier == pgtype.Finite {
			d.At = at.Time
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return found, nil
}
