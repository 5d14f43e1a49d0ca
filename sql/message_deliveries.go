package sql

import (
	"context"

	"github.com/jackc/pgx/v5"

	"relay"
)

// reopened is what a delivery becomes that a person wants sent again, with all of its
// attempts and all of its time. It stands outside the order of its key, unless it died where
// a dead message holds its key: then it goes on holding it.
const reopened = `
	status = 'waiting', reason = null, attempts = 0, handle_attempts = 0, next_attempt_at = clock_timestamp(),
	response_code = null, last_error = null, cause = null, delivered_at = null, handled_at = null, acked_attempt = 0,
	updated_at = clock_timestamp(), due_at = clock_timestamp(),
	key = case when d.status = 'dead' and d.delivered_at is null and exists (
		select from relay.subscription s where s.name = d.subscription and s.on_dead = 'block'
	) then d.key end, search_key = coalesce(d.search_key, d.key)`

// standsOutside says of message o, which had ended and is pending because a person had all of
// it sent again, that it stands outside the order of its key: it was to be delivered before, and
// holds its key nowhere by having died.
const standsOutside = `(
	exists (select from relay.delivery y where y.message_id = o.id)
	and not exists (
		select from relay.delivery y join relay.subscription s on s.name = y.subscription
		where y.message_id = o.id and y.status = 'dead' and y.delivered_at is null and s.on_dead = 'block'
	)
)`

// openAgain opens the messages of the deliveries that were reopened.
const openAgain = `
message as (
	update relay.outbox o set status = 'open', finished_at = null,
		outstanding = case when o.status = 'open' then o.outstanding else 0 end + n.reopened
	from (select message_id, count(*) as reopened from delivery group by message_id) n
	where o.id = n.message_id
)
select distinct message_id from delivery`

// The ways of choosing the deliveries that are reopened.
const (
	// Those that ended as their message did, where something else of it ended well.
	reopenPartly = `o.status::text = d.status::text and $2 = '' and exists (
		select from relay.delivery y where y.message_id = d.message_id and y.status in ('delivered', 'handled'))`
	// Those of one subscriber that did not end well.
	reopenFailed = `d.subscription = $2 and d.status in ('dead', 'cancelled')`
	// Those of one subscriber that have ended.
	reopenEnded = `d.subscription = $2 and d.status in ('dead', 'cancelled', 'delivered', 'handled')`
)

// reopenDeliveries reads its messages one by one: the planner may not begin with all
// deliveries of a subscriber.
func reopenDeliveries(which string) string {
	return `
with chosen as materialized (
	select d.message_id, d.subscription, d.instance
	from unnest($1::uuid[]) as w(id)
	cross join lateral (select x.status from relay.outbox x where x.id = w.id limit 1) o
	cross join lateral (select y.* from relay.delivery y where y.message_id = w.id offset 0) d
	where ` + which + `
), delivery as (
	update relay.delivery d set` + reopened + `
	from chosen c
	where (d.message_id, d.subscription, d.instance) = (c.message_id, c.subscription, c.instance)
	returning d.message_id
), ` + openAgain
}

// reopen makes deliveries due again, and returns their messages, which are open then.
func reopen(ctx context.Context, tx pgx.Tx, ids []relay.ID, subscription, which string) ([]relay.ID, error) {
	rows, err := tx.Query(ctx, reopenDeliveries(which), uuids(ids), subscription)
	return collectIDs("reopen deliveries", rows, err)
}

// retryFor sends messages again to one subscriber.
func retryFor(subscription string, force bool) action {
	which := reopenFailed
	if force {
		which = reopenEnded
	}
	return func(ctx context.Context, tx pgx.Tx, held *heldMessages) error {
		chosen := held.without(relay.MessagePending)
		held.note(EffectNoDelivery, held.without(relay.MessagePending, relay.MessageOpen)...)
		again, err := reopen(ctx, tx, chosen, subscription, which)
		if err != nil {
			return err
		}
		held.note(EffectRetried, again...)
		return held.hurry(ctx, tx, chosen, subscription)
	}
}

const cancelForOne = `
with delivery as (
	update relay.delivery d set status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp()
	from unnest($1::uuid[]) as w(id)
	where d.message_id = w.id and d.subscription = $2
		and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack', 'dead')
	returning d.message_id
), rest as (
	select c.message_id,
		count(*) filter (where y.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')) as outstanding,
		coalesce(bool_or(y.status = 'dead'), false) as dead,
		coalesce(bool_or(y.status in ('delivered', 'handled')), false) as good
	from (select distinct message_id from delivery) c
	left join lateral (
		select x.status from relay.delivery x
		where x.message_id = c.message_id and (x.subscription <> $2 or x.status in ('delivered', 'handled'))
	) y on true
	group by c.message_id
), message as (
	update relay.outbox o set
		outstanding = r.outstanding,
		status = case when r.outstanding > 0 then 'open' when r.dead then 'dead' when r.good then 'done'
			else 'cancelled' end::relay.message_status,
		finished_at = case when r.outstanding = 0 then clock_timestamp() end
	from rest r where o.id = r.message_id
)
select message_id from rest`

// cancelFor cancels what has not ended well of messages for one subscriber; its keys go on
// there. They end as the others say, or are cancelled if there are none.
func cancelFor(subscription string) action {
	return func(ctx context.Context, tx pgx.Tx, held *heldMessages) error {
		if _, err := tx.Exec(ctx, lockByHand); err != nil {
			return err
		}
		chosen := held.without(relay.MessagePending, relay.MessageCancelled)
		held.note(EffectNoDelivery, chosen...)
		held.note(EffectAlreadyCancelled, held.among([]relay.MessageStatus{relay.MessageCancelled})[relay.MessageCancelled]...)
		rows, err := tx.Query(ctx, cancelForOne, uuids(chosen), subscription)
		cancelled, err := collectIDs("cancel deliveries", rows, err)
		if err != nil {
			return err
		}
		held.note(EffectCancelled, cancelled...)
		return wake(ctx, tx, cancelled)
	}
}

// A row of its own is made for a subscription that never had the message.
const replayDeliveries = `
with chosen as materialized (
	select o.* from unnest($1::uuid[]) as w(id)
	cross join lateral (select x.id, x.shard, x.seq, x.key from relay.outbox x where x.id = w.id limit 1) o
), delivery as (
	insert into relay.delivery as d (message_id, subscription, instance, target, circuit, status, next_attempt_at, due_at, shard, seq, search_key)
	select c.id, s.name, '', s.target, s.name, 'waiting', clock_timestamp(), clock_timestamp(), c.shard, c.seq, c.key
	from chosen c cross join (select name, target from relay.subscription where name = $2 limit 1) s
	on conflict (message_id, subscription, instance) do update set target = excluded.target, circuit = excluded.circuit,` + reopened + `
	where d.status in ('delivered', 'handled', 'dead', 'cancelled')
	returning d.message_id
), ` + openAgain

// replayTo sends messages to a subscription, whether it has had them or not.
func replayTo(subscription string) action {
	return func(ctx context.Context, tx pgx.Tx, held *heldMessages) error {
		held.note(EffectUnderWay, held.without(relay.MessageCancelled)...)
		chosen := held.without(relay.MessagePending, relay.MessageCancelled)
		rows, err := tx.Query(ctx, replayDeliveries, uuids(chosen), subscription)
		replayed, err := collectIDs("replay messages", rows, err)
		held.note(EffectReplayed, replayed...)
		return err
	}
}
