package sql

import (
	"context"

	"github.com/jackc/pgx/v5"

	"relay"
)

// The delivery without an instance gives way to one for each instance. One that stands there
// unfinished already is left alone; one that had ended, in an earlier life of the message,
// begins anew. If no delivery gives way, the answer to the same statement was lost before.
const spreadDeliveries = `
with w as materialized (
	select w.* from ` + changeRows + `
),
former as (
	delete from relay.delivery d using (select distinct id, subscription from w) x
	where d.message_id = x.id and d.subscription = x.subscription and d.instance = ''
		and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
	returning d.message_id, d.subscription, d.due_at, d.shard, d.seq, d.key, d.search_key
),
fresh as materialized (
	select w.*, f.due_at, f.shard, f.seq, f.key, f.search_key
	from former f join w on w.id = f.message_id and w.subscription = f.subscription
	left join lateral (
		select true as there from relay.delivery y
		where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance
			and y.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') limit 1
	) y on true
	where y.there is null
),
delivery as (
	insert into relay.delivery (message_id, subscription, instance, target, circuit, status, reason,
		next_attempt_at, due_at, shard, seq, key, search_key)
	select id, subscription, instance, target, circuit, status::relay.delivery_status, nullif(reason, ''),
		case when next_us >= 0 then clock_timestamp() + next_us * interval '1 microsecond' end,
		due_at, shard, seq, key, search_key
	from fresh
	on conflict (message_id, subscription, instance) do update set
		target = excluded.target, circuit = excluded.circuit, status = excluded.status, reason = excluded.reason,
		attempts = 0, handle_attempts = 0, next_attempt_at = excluded.next_attempt_at, response_code = null,
		last_error = null, cause = null, delivered_at = null, handled_at = null, updated_at = clock_timestamp(), due_at = excluded.due_at,
		key = excluded.key, search_key = excluded.search_key
),
message as (
	update relay.outbox o set outstanding = o.outstanding + n.more
	from (
		select f.message_id as id, (select count(*) from fresh x where x.id = f.message_id) - count(*) as more
		from former f group by f.message_id
	) n
	where o.id = n.id
)
-- The lease is checked by lockOpen; a statement has to name each of its parameters.
select $1::uuid, $2::smallint[], $3::bigint[]`

// WriteSpread replaces each change's delivery, which has no instance, by those of its
// Spread. It returns the messages whose rows could be had, as WriteOpen does.
func (s *Store) WriteSpread(ctx context.Context, lease Lease, changes []Change) ([]relay.ID, error) {
	return s.writeLocked(ctx, "spread deliveries", lease, changes, func(tx pgx.Tx, locked []Change) error {
		var fresh []Change
		for _, c := range locked {
			fresh = append(fresh, c.Spread...)
		}
		_, err := tx.Exec(ctx, spreadDeliveries, arguments(lease, fresh)...)
		return err
	})
}
