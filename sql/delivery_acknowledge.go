package sql

import (
	"context"

	"github.com/jackc/pgx/v5"

	"relay"
)

// What was accepted once may be acknowledged, whatever has become of it since.
const acknowledgeDeliveries = `
with delivery as (
	update relay.delivery d set
		status = 'handled', reason = null, next_attempt_at = null, handled_at = clock_timestamp(), updated_at = clock_timestamp(),
		last_error = null, cause = null
	from unnest($1::uuid[]) as w(id)
	where d.message_id = w.id and d.subscription = $2 and d.delivered_at is not null
		and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack', 'dead')
	returning d.message_id, d.instance
), rest as (
	select c.message_id,
		count(*) filter (where y.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')) as outstanding,
		coalesce(bool_or(y.status = 'dead'), false) as dead
	from (select distinct message_id from delivery) c
	left join lateral (
		select x.status from relay.delivery x
		where x.message_id = c.message_id
			and (x.subscription <> $2 or x.instance not in (select k.instance from delivery k where k.message_id = c.message_id))
	) y on true
	group by c.message_id
), message as (
	update relay.outbox o set
		outstanding = r.outstanding,
		status = case when r.outstanding > 0 then 'open' when r.dead then 'dead' else 'done' end::relay.message_status,
		finished_at = case when r.outstanding = 0 then clock_timestamp() end,
		last_error = case when r.outstanding > 0 or r.dead then o.last_error end
	from rest r where o.id = r.message_id
)
select message_id from rest`

// AcknowledgeDeliveries notes that the consumer of a subscription has handled messages that it once accepted, as if
// it had said so itself: they are not sent to it again, and their keys go on. The effects are in the order of the ids;
// no id may stand there twice.
func (s *Store) AcknowledgeDeliveries(ctx context.Context, ids []relay.ID, subscription string) ([]Effect, error) {
	return s.change(ctx, "acknowledge deliveries", ofDelivery("acknowledge", subscription), ids, acknowledgeFor(subscription))
}

func acknowledgeFor(subscription string) action {
	return func(ctx context.Context, tx pgx.Tx, held *heldMessages) error {
		if _, err := tx.Exec(ctx, lockByHand); err != nil {
			return err
		}
		chosen := held.without(relay.MessagePending)
		held.note(EffectNoDelivery, chosen...)
		rows, err := tx.Query(ctx, acknowledgeDeliveries, uuids(chosen), subscription)
		acknowledged, err := collectIDs("acknowledge deliveries", rows, err)
		if err != nil {
			return err
		}
		held.note(EffectAcknowledged, acknowledged...)
		return wake(ctx, tx, acknowledged)
	}
}
