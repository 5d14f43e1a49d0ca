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

// Overdue finds unfinished deliveries of the shards that have been due for longer than age
// and are not under way, at most limit of them: what nobody can wait for any longer.
func (s *Store) Overdue(ctx context.Context, shards []int16, age time.Duration, limit int) ([]Due, error) {
	const statement = `
	select d.message_id, d.subscription, d.instance, coalesce(d.key, ''), d.due_at, d.seq
	from relay.outbox o
	cross join lateral (
		select * from relay.delivery y
		where y.message_id = o.id and y.status in ('waiting', 'push_failed', 'handle_failed')
			and (y.next_attempt_at is null or y.next_attempt_at <= clock_timestamp())
			and y.due_at < clock_timestamp() - $2 * interval '1 microsecond'
	) d
	where o.created_at < statement_timestamp() - $2 * interval '1 microsecond'
		and o.status = 'open' and o.shard = any ($1)
	limit $3`
	rows, err := s.pool.Query(ctx, statement, shards, age.Microseconds(), limit)
	return collectDue("find overdue deliveries", rows, err)
}
