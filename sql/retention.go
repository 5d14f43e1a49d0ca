package sql

import (
	"context"
	"fmt"
	"time"
)

// Retain removes at most limit messages that ended well, or were cancelled, longer than age
// ago, with their deliveries and attempts, and returns how many it removed.
func (s *Store) Retain(ctx context.Context, age time.Duration, limit int) (int, error) {
	const statement = `
	with old as materialized (
		select id from relay.outbox
		where created_at < clock_timestamp() - $1 * interval '1 microsecond'
			and finished_at < clock_timestamp() - $1 * interval '1 microsecond'
			and status in ('done', 'cancelled')
		limit $2 for update skip locked
	), attempts as (
		delete from relay.attempt where message_id = any (array(select id from old))
	), deliveries as (
		delete from relay.delivery where message_id = any (array(select id from old))
	)
	delete from relay.outbox where id = any (array(select id from old))`
	tag, err := s.pool.Exec(ctx, statement, age.Microseconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("remove old messages: %w", err)
	}
	return int(tag.RowsAffected()), nil
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
	where o.created_at < clock_timestamp() - $2 * interval '1 microsecond'
		and o.status = 'open' and o.shard = any ($1)
	limit $3`
	rows, err := s.pool.Query(ctx, statement, shards, age.Microseconds(), limit)
	return collectDue("find overdue deliveries", rows, err)
}
