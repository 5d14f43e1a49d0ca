package sql

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Retain removes at most limit messages that ended well, or were cancelled, longer than age
// ago, with their deliveries and attempts, and returns how many it removed.
func (s *Store) Retain(ctx context.Context, age time.Duration, limit int) (removed int, err error) {
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
	err = s.inTx(ctx, "remove old messages", func(tx pgx.Tx) error {
		// The range of blocks is found by BRIN; a sequential scan that looks cheap because of
		// the limit would read the whole table when there is nothing old in it.
		if _, err := tx.Exec(ctx, "set local enable_seqscan = off"); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, statement, age.Microseconds(), limit)
		removed = int(tag.RowsAffected())
		return err
	})
	return removed, err
}

// Overdue finds unfinished deliveries of the shards that have been due for longer than age
// and are not under way, at most limit of them: what nobody can wait for any longer.
func (s *Store) Overdue(ctx context.Context, shards []int16, age time.Duration, limit int) (overdue []DeliveryID, err error) {
	const statement = `
	select d.message_id, d.subscription, d.instance
	from relay.outbox o
	cross join lateral (
		select * from relay.delivery y
		where y.message_id = o.id and y.status in ('waiting', 'push_failed', 'handle_failed')
			and y.due_at < clock_timestamp() - $2 * interval '1 microsecond'
	) d
	where o.created_at < clock_timestamp() - $2 * interval '1 microsecond'
		and o.status = 'open' and o.shard = any ($1)
	limit $3`
	err = s.inTx(ctx, "find overdue deliveries", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local enable_seqscan = off"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, statement, shards, age.Microseconds(), limit)
		overdue, err = collectDeliveryIDs("read", rows, err)
		return err
	})
	return overdue, err
}
