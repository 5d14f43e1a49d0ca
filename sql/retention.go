package sql

import (
	"context"
	"fmt"
	"time"
)

// The walk along the index begins at a time: entries of removed messages stay in the index
// until a vacuum, and one that is kept waiting by a snapshot would leave them to every batch.
const retain = `
with old as materialized (
	select id, finished_at from relay.outbox
	where status in ('done', 'cancelled')
		and finished_at >= $2 and finished_at < statement_timestamp() - $1 * interval '1 microsecond'
	order by finished_at limit $3 for update skip locked
), attempts as (
	delete from relay.attempt where message_id = any (array(select id from old))
), deliveries as (
	delete from relay.delivery where message_id = any (array(select id from old))
), messages as (
	delete from relay.outbox where id = any (array(select id from old))
)
select count(*), coalesce(max(finished_at), $2) from old`

// Retain removes at most limit messages that ended well, or were cancelled, longer than age
// ago and not before a time, which may be zero, with their deliveries and attempts. It
// returns how many it removed and when the last of them had ended.
func (s *Store) Retain(ctx context.Context, age time.Duration, from time.Time, limit int) (removed int, last time.Time, err error) {
	err = s.pool.QueryRow(ctx, retain, age.Microseconds(), from, limit).Scan(&removed, &last)
	if err != nil {
		return 0, from, fmt.Errorf("remove old messages: %w", err)
	}
	return removed, last, nil
}

const stampEnd = `
update relay.outbox o set finished_at = clock_timestamp()
from (
	select id from relay.outbox
	where status in ('done', 'cancelled') and finished_at is null
	limit $1 for update skip locked
) f
where o.id = f.id`

// Finish notes the present as the end of at most limit messages that somebody ended by hand
// without a time, from which Retain then counts.
func (s *Store) Finish(ctx context.Context, limit int) error {
	if _, err := s.pool.Exec(ctx, stampEnd, limit); err != nil {
		return fmt.Errorf("note the end of messages: %w", err)
	}
	return nil
}

// A delivery whose message was set back is left alone: it is taken up anew.
const overdueDeliveries = `
select x.message_id, x.subscription, x.instance, x.key, x.due_at, x.seq from unnest($1::smallint[]) as s(shard)
cross join lateral (
	select d.message_id, d.subscription, d.instance, coalesce(d.key, '') as key, d.due_at, d.seq
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
// nobody can wait for any longer.
func (s *Store) Overdue(ctx context.Context, shards []int16, age time.Duration, limit int) ([]Due, error) {
	rows, err := s.pool.Query(ctx, overdueDeliveries, shards, age.Microseconds(), limit)
	return collectDue("find overdue deliveries", rows, err)
}
