package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// The walk along the index begins at a time: entries of removed messages stay in the index
// until a vacuum, and one that is kept waiting by a snapshot would leave them to every batch.
const findKept = `
select id, finished_at from relay.outbox
where status in ('done', 'cancelled')
	and finished_at >= $2 and finished_at < statement_timestamp() - $1 * interval '1 microsecond' and id <> all ($3)
order by finished_at limit $4`

// Kept is a message whose retention is over.
type Kept struct {
	ID    relay.ID
	Ended time.Time
}

// FindKept finds at most limit messages that ended well, or were cancelled, longer than age
// ago and not before a time, which may be zero, the longest ended first. Those to be passed over are named.
func (s *Store) FindKept(ctx context.Context, age time.Duration, from time.Time, not []relay.ID, limit int) ([]Kept, error) {
	rows, err := s.pool.Query(ctx, findKept, age.Microseconds(), from, uuids(not), limit)
	if err != nil {
		return nil, fmt.Errorf("find old messages: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Kept, err error) {
		err = row.Scan((*[16]byte)(&k.ID), &k.Ended)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("find old messages: %w", err)
	}
	return found, nil
}

// Rows are looked for by their ids alone, as in releaseDue.
const removeMessages = `
with held as materialized (
	select x.id, x.status from relay.outbox x where x.id = any ($1::uuid[]) for update skip locked
), old as materialized (
	select id from held where status in ('done', 'cancelled')
), attempts as (
	delete from relay.attempt where message_id = any (array(select id from old))
), deliveries as (
	delete from relay.delivery where message_id = any (array(select id from old))
), messages as (
	delete from relay.outbox where id = any (array(select id from old))
)
select id from old`

// RemoveMessages removes those of the messages that are done or cancelled, with their
// deliveries and attempts, and returns them. One that another session has locked is left.
func (s *Store) RemoveMessages(ctx context.Context, ids []relay.ID) ([]relay.ID, error) {
	rows, err := s.changes.Query(ctx, removeMessages, uuids(ids))
	return collectIDs("remove old messages", rows, err)
}

const (
	findUnstamped = `
	select id from relay.outbox where status in ('done', 'cancelled') and finished_at is null and id <> all ($1) limit $2`

	stampEnd = `
	with held as materialized (
		select x.id, x.status, x.finished_at from relay.outbox x where x.id = any ($1::uuid[]) for update skip locked
	)
	update relay.outbox o set finished_at = clock_timestamp() from held
	where o.id = held.id and held.status in ('done', 'cancelled') and held.finished_at is null`
)

// Unstamped finds at most limit messages that a person ended by hand without a time. Those to be passed over are
// named.
func (s *Store) Unstamped(ctx context.Context, not []relay.ID, limit int) ([]relay.ID, error) {
	rows, err := s.pool.Query(ctx, findUnstamped, uuids(not), limit)
	return collectIDs("find messages that ended without a time", rows, err)
}

// Stamp notes the present as the end of messages that ended without a time, from which their retention then counts.
func (s *Store) Stamp(ctx context.Context, ids []relay.ID) error {
	if _, err := s.changes.Exec(ctx, stampEnd, uuids(ids)); err != nil {
		return fmt.Errorf("note the end of messages: %w", err)
	}
	return nil
}

// A delivery whose message was set back is left alone: it is taken up anew.
const overdueDeliveries = `
select x.message_id, x.subscription, x.instance, x.key, s.shard, x.due_at, x.seq from unnest($1::smallint[]) as s(shard)
cross join lateral (
	select d.message_id, d.subscription, d.instance, ` + keyHeld + ` as key, d.due_at, d.seq
	from relay.delivery d
	where d.status in ('waiting', 'push_failed', 'handle_failed') and d.shard = s.shard
		and d.due_at < statement_timestamp() - $2 * interval '1 microsecond'
		and (d.next_attempt_at is null or d.next_attempt_at <= statement_timestamp())
		and 'open' = (select o.status from relay.outbox o where o.id = d.message_id)
	order by d.due_at limit $3
) x
limit $3`

// Overdue finds unfinished deliveries of the shards that have been due for longer than age
// and are not under way, at most limit of them, those of a shard the longest due first: what
// no consumer can wait for any longer.
func (s *Store) Overdue(ctx context.Context, shards []int16, age time.Duration, limit int) ([]Due, error) {
	rows, err := s.pool.Query(ctx, overdueDeliveries, shards, age.Microseconds(), limit)
	return collectDue("find overdue deliveries", rows, err)
}
