package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Effects on the head of a key, besides those on messages.
const (
	EffectSkipped Effect = "skipped"    // it is cancelled, and its key goes on
	EffectGoesOn  Effect = "not dead"   // it has not ended, and is tried again by itself
	EffectSetBack Effect = "is pending" // a person had all of the message sent again
)

// HeadChange is what a person's change did to the head of a key at one instance.
type HeadChange struct {
	Instance string // as stored: it may hold a password
	Message  relay.ID
	Effect   Effect
}

// The transaction that ends a head by hand decides which message is the next one. Two at once would each take the
// other's for the head, and nothing would be woken.
const lockByHand = "select pg_advisory_xact_lock(hashtext('relay heads by hand'))"

// What waits for nothing but its key is due as soon as it is the first of its line: the relay
// that owns it finds it as it finds retries, also one that takes the shard over meanwhile. A
// message of the key that a crash has left pending comes first, and wakes the line itself.
const wakeLines = `
update relay.delivery d set next_attempt_at = clock_timestamp()
from (
	select distinct y.subscription, y.instance, y.key from unnest($1::uuid[]) as w(id)
	cross join lateral (
		select x.subscription, x.instance, x.key from relay.delivery x where x.message_id = w.id and x.key is not null offset 0
	) y
) l
cross join lateral (
	select y.message_id, y.seq, y.shard from relay.delivery y
	where y.key is not null and y.subscription = l.subscription and y.instance = l.instance and y.key = l.key
		and y.status in ('waiting', 'push_failed', 'handle_failed') and y.delivered_at is null
	order by y.seq limit 1
) h
where d.message_id = h.message_id and d.subscription = l.subscription and d.instance = l.instance
	and d.status in ('waiting', 'push_failed', 'handle_failed') and d.reason = 'key_blocked' and d.next_attempt_at is null
	and not exists (
		select from relay.subscription s
		cross join lateral (
			select from relay.delivery y
			where y.key is not null and y.subscription = l.subscription and y.instance = l.instance and y.key = l.key
				and y.status = 'dead' and y.delivered_at is null and y.seq < h.seq limit 1
		) x
		where s.name = l.subscription and s.on_dead = 'block'
	)
	and not exists (
		select from relay.outbox o
		where o.status = 'pending' and o.key is not null and (o.deliver_at is null or o.due)
			and o.shard = h.shard and o.key = l.key and o.seq < h.seq
	)`

// wake lets the keys of messages go on whose deliveries the transaction has ended.
func wake(ctx context.Context, tx pgx.Tx, messages []relay.ID) error {
	_, err := tx.Exec(ctx, wakeLines, uuids(messages))
	return err
}

const headsOfKey = `
with recursive i as (
	select n.name, n.blocks, least(
		(select d.instance from relay.delivery d
		where d.key is not null and d.subscription = n.name and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null
		order by d.instance limit 1),
		(select d.instance from relay.delivery d
		where n.blocks and d.key is not null and d.subscription = n.name and d.status = 'dead' and d.delivered_at is null
		order by d.instance limit 1)) as instance
	from (` + subscribers + `) n
	union all
	select i.name, i.blocks, least(
		(select d.instance from relay.delivery d
		where d.key is not null and d.subscription = i.name and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null and d.instance > i.instance
		order by d.instance limit 1),
		(select d.instance from relay.delivery d
		where i.blocks and d.key is not null and d.subscription = i.name and d.status = 'dead' and d.delivered_at is null and d.instance > i.instance
		order by d.instance limit 1))
	from i where i.instance is not null
)
select h.message_id, h.subscription, h.instance, h.status::text
from (select i.name as subscription, i.blocks, i.instance, $2::text as key from i where i.instance is not null) l
cross join lateral (` + headOfLine + `) h`

const (
	skipHeads = `
	with delivery as (
		update relay.delivery d set
			status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp(),
			last_error = 'skipped by a person' || coalesce('; it was dead: ' || d.last_error, '')
		from unnest($1::uuid[], $2::text[], $3::text[]) as w(id, subscription, instance)
		where d.message_id = w.id and d.subscription = w.subscription and d.instance = w.instance and d.status = 'dead'
		returning d.message_id, d.subscription, d.instance
	), message as (
		update relay.outbox o set
			status = case when r.dead then 'dead' when r.good then 'done' else 'cancelled' end::relay.message_status,
			finished_at = clock_timestamp(), last_error = case when r.dead or not r.good then o.last_error end
		from (select distinct message_id as id from delivery) e
		cross join lateral (
			select coalesce(bool_or(y.status = 'dead'), false) as dead, coalesce(bool_or(y.status in ('delivered', 'handled')), false) as good
			from relay.delivery y
			where y.message_id = e.id and (y.subscription, y.instance) not in (select k.subscription, k.instance from delivery k where k.message_id = e.id)
		) r
		where o.id = e.id and o.status = 'dead'
	)
	select message_id from delivery`

	// One that had died has all of its attempts and all of its time again.
	retryHeads = `
	with head as materialized (
		select d.* from unnest($1::uuid[], $2::text[], $3::text[]) as w(id, subscription, instance)
		cross join lateral (
			select y.message_id, y.subscription, y.instance, y.status from relay.delivery y
			where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance
				and y.status in ('waiting', 'push_failed', 'handle_failed', 'dead') limit 1
		) d
	), delivery as (
		update relay.delivery d set
			status = case when h.status = 'dead' then 'waiting' else d.status end,
			attempts = case when h.status = 'dead' then 0 else d.attempts end,
			handle_attempts = case when h.status = 'dead' then 0 else d.handle_attempts end,
			acked_attempt = case when h.status = 'dead' then 0 else d.acked_attempt end,
			due_at = case when h.status = 'dead' then clock_timestamp() else d.due_at end,
			reason = case when h.status = 'dead' then null else d.reason end,
			next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
		from head h
		where d.message_id = h.message_id and d.subscription = h.subscription and d.instance = h.instance
		returning d.message_id
	), message as (
		update relay.outbox o set status = 'open', outstanding = o.outstanding + e.n, finished_at = null
		from (select message_id as id, count(*) as n from head where status = 'dead' group by message_id) e
		where o.id = e.id
	)
	select message_id from delivery`
)

// SkipHeads cancels the dead deliveries that hold a key at a subscription, so that the key
// goes on; their messages are dead no longer, unless another delivery is. There is one
// change for each instance of the subscription at which the key waits; none: it waits nowhere.
func (s *Store) SkipHeads(ctx context.Context, subscription, key string) ([]HeadChange, error) {
	return s.changeHeads(ctx, "skip", subscription, key, func(status relay.DeliveryStatus) Effect {
		if status == relay.DeliveryDead {
			return EffectSkipped
		}
		return EffectGoesOn
	}, skipHeads)
}

// RetryHeads sends the deliveries that hold a key at a subscription again at once, and no
// other deliveries of their messages. It reports as SkipHeads does.
func (s *Store) RetryHeads(ctx context.Context, subscription, key string) ([]HeadChange, error) {
	return s.changeHeads(ctx, "retry", subscription, key, func(relay.DeliveryStatus) Effect { return EffectRetried }, retryHeads)
}

// changeHeads finds the heads of a key, locks their messages, and runs the statement for
// those whose effect is a success.
func (s *Store) changeHeads(ctx context.Context, operation, subscription, key string, judge func(relay.DeliveryStatus) Effect, statement string) (changes []HeadChange, err error) {
	err = s.inTx(ctx, operation+" key", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockByHand); err != nil {
			return err
		}
		heads, statuses, err := findHeads(ctx, tx, subscription, key)
		if err != nil || len(heads) == 0 {
			return denial(err)
		}
		held, err := lockAll(ctx, tx, messagesOf(heads))
		if err != nil {
			return denial(err)
		}
		var chosen []relay.DeliveryID
		for i, id := range heads {
			c := HeadChange{Instance: id.Instance, Message: id.Message, Effect: judge(statuses[i])}
			switch status, locked := held.status[id.Message]; {
			case !locked:
				c.Effect = EffectLocked
			case status == relay.MessagePending:
				c.Effect = EffectSetBack
			case c.Effect != EffectGoesOn:
				chosen = append(chosen, id)
			}
			changes = append(changes, c)
		}
		messages, subscriptions, instances := splitDeliveryIDs(chosen)
		rows, err := tx.Query(ctx, statement, messages, subscriptions, instances)
		ended, err := collectIDs("change heads", rows, err)
		if err != nil {
			return denial(err)
		}
		if err := wake(ctx, tx, ended); err != nil {
			return err
		}
		entry := AuditEntry{Action: "key." + operation, Kind: AuditKey, Object: key, Details: ofDelivery(operation, subscription).Details}
		if err := s.audit(ctx, tx, entry); err != nil {
			return err
		}
		return ring(ctx, tx, ended[:min(len(ended), 1)])
	})
	return changes, err
}

func findHeads(ctx context.Context, tx pgx.Tx, subscription, key string) (heads []relay.DeliveryID, statuses []relay.DeliveryStatus, err error) {
	rows, err := tx.Query(ctx, headsOfKey, subscription, key)
	if err != nil {
		return nil, nil, fmt.Errorf("find heads: %w", err)
	}
	var id relay.DeliveryID
	var status relay.DeliveryStatus
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id.Message), &id.Subscription, &id.Instance, &status}, func() error {
		heads, statuses = append(heads, id), append(statuses, status)
		return nil
	})
	return heads, statuses, err
}
