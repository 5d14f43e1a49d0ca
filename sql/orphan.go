package sql

import (
	"context"
	"fmt"

	"relay"
)

// A delivery that another session has locked is passed over: it is found again, and its reader must
// not wait.
const endOrphans = `
with orphan as materialized (
	select d.message_id, d.subscription, d.instance, o.id is null as gone
	from unnest($1::uuid[], $2::text[], $3::text[]) as w(id, subscription, instance)
	cross join lateral (
		select * from relay.delivery y
		where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance
			and y.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') limit 1 for update skip locked
	) d
	left join lateral (
		select x.id, x.status from relay.outbox x where x.id = w.id limit 1
	) o on true
	where o.id is null or o.status not in ('pending', 'open')
), removed as (
	delete from relay.delivery d using orphan n
	where n.gone and (d.message_id, d.subscription, d.instance) = (n.message_id, n.subscription, n.instance)
)
update relay.delivery d set status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp()
from orphan n
where not n.gone and (d.message_id, d.subscription, d.instance) = (n.message_id, n.subscription, n.instance)`

// EndOrphans ends those of the deliveries that are unfinished although their message has
// ended, because a person cancelled it by hand, and removes those whose message is gone.
// Left as they are they would be due for ever. Those that another session has locked stay as they are.
func (s *Store) EndOrphans(ctx context.Context, ids []relay.DeliveryID) error {
	messages, subscriptions, instances := splitDeliveryIDs(ids)
	if _, err := s.changes.Exec(ctx, endOrphans, messages, subscriptions, instances); err != nil {
		return fmt.Errorf("end orphaned deliveries: %w", err)
	}
	return nil
}
