package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"relay"
)

// fewPending is up to how many pending messages are found through their own indexes, which
// do not have them in the order of time.
const fewPending = 20_000

// source is where a search finds its messages: a walk along an index, bounded by a window.
type source struct {
	walk walk
	sql  string
}

// The columns of a source. One whose message is gone has its place alone.
const findColumns = `
	x.id, x.created_at, x.seq as own_seq, x.status, x.topic, x.key, x.source, x.destination, x.deliver_at, x.finished_at, x.last_error, x.cause,
	x.outstanding, coalesce(octet_length(x.payload), octet_length(x.body), 0)::bigint as size`

const (
	findAll = `
	select x.seq as place_seq, x.id as place_id,` + findColumns + ` from relay.outbox x
	where (x.created_at, x.seq) < ($1, $2) and x.created_at >= $5
	order by x.created_at desc, x.seq desc limit $4`

	findStanding = `
	select x.seq as place_seq, x.id as place_id,` + findColumns + ` from relay.outbox x
	where x.status = '%s' and x.topic <> '' and (x.created_at, x.seq) < ($1, $2) and x.created_at >= $5
	order by x.created_at desc, x.seq desc limit $4`

	// They are counted right before, so they need no limit of their own. One would choose among them at random.
	findFewPending = `
	select x.seq as place_seq, x.id as place_id,` + findColumns + ` from (
		select * from relay.outbox where status = 'pending' and key is null and (deliver_at is null or due)
		union all
		select * from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due)
		union all
		select * from relay.outbox where status = 'pending' and deliver_at is not null and not due
	) x where (x.created_at, x.seq) < ($1, $2) and x.created_at >= $5 order by x.created_at desc, x.seq desc limit $4`

	findIDs = `
	select x.seq as place_seq, x.id as place_id,` + findColumns + ` from unnest($22::uuid[]) as w(id)
	cross join lateral (select * from relay.outbox y where y.id = w.id limit 1) x
	where (x.created_at, x.seq) < ($1, $2)
	order by x.created_at desc, x.seq desc limit $4`

	// What the parts before have found is looked up by its id.
	findPlaces = `
	select k.seq as place_seq, k.id as place_id,` + findColumns + ` from (%s) k
	left join lateral (select * from relay.outbox y where y.id = k.id limit 1) x on true
	order by k.seq desc, k.id desc`

	// The deliveries have the key, and so have their own index the messages that were never
	// taken up. Those of the future that share the shard are looked through.
	keyPlaces = `
	select seq, id from (
		(select distinct d.seq, d.message_id as id from relay.delivery d
		where d.key = $9 and (d.seq, d.message_id) < ($2, $3) order by d.seq desc, d.message_id desc limit $4)
		union
		(select distinct d.seq, d.message_id from relay.delivery d
		where d.search_key = $9 and (d.seq, d.message_id) < ($2, $3) order by d.seq desc, d.message_id desc limit $4)
		union
		(select o.seq, o.id from relay.outbox o
		where o.status in ('rejected', 'cancelled') and o.key = $9 and (o.seq, o.id) < ($2, $3) order by o.seq desc, o.id desc limit $4)
		union
		(select o.seq, o.id from relay.outbox o
		where o.status = 'pending' and o.key = $9 and (o.deliver_at is null or o.due) and o.shard = (hashtext($9) & %[1]d)::smallint
			and (o.seq, o.id) < ($2, $3) order by o.seq desc, o.id desc limit $4)
		union
		(select o.seq, o.id from relay.outbox o
		where o.status = 'pending' and o.key = $9 and o.deliver_at is not null and not o.due and o.shard = (hashtext($9) & %[1]d)::smallint
			and (o.seq, o.id) < ($2, $3) order by o.seq desc, o.id desc limit $4)
	) k order by seq desc, id desc limit $4`

	// The causes of what is dead at a subscriber are found by a skip scan, and of each the youngest. A message has one
	// row for each instance that is dead.
	deadPlaces = `
	with recursive cause as (
		(select d.cause from relay.delivery d
		where d.status = 'dead' and d.attempts >= 0 and d.subscription = $12 and d.cause is not null order by d.cause limit 1)
		union all
		select n.cause from cause c cross join lateral (
			select d.cause from relay.delivery d
			where d.status = 'dead' and d.attempts >= 0 and d.subscription = $12 and d.cause > c.cause order by d.cause limit 1
		) n
	)
	select seq, id from (
		select l.seq, l.id from cause c
		cross join lateral (
			select distinct d.seq, d.message_id as id from relay.delivery d
			where d.status = 'dead' and d.attempts >= 0 and d.subscription = $12 and d.cause = c.cause and (d.seq, d.message_id) < ($2, $3)
			order by d.seq desc, d.message_id desc limit $4
		) l
		where cardinality($13::text[]) = 0 or c.cause = any ($13)
		union
		(select distinct d.seq, d.message_id from relay.delivery d
		where d.status = 'dead' and d.attempts >= 0 and d.subscription = $12 and d.cause is null and cardinality($13::text[]) = 0
			and (d.seq, d.message_id) < ($2, $3)
		order by d.seq desc, d.message_id desc limit $4)
	) k order by seq desc, id desc limit $4`

	// What has not ended there.
	openPlaces = `
	select distinct d.seq, d.message_id as id from relay.delivery d
	where d.subscription = $12 and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
		and d.subscription not in ('direct', 'default') and (d.seq, d.message_id) < ($2, $3)
	order by d.seq desc, d.message_id desc limit $4`

	countFewPending = `
	select count(*) from (
		(select from relay.outbox where status = 'pending' and key is null and (deliver_at is null or due) limit $1)
		union all
		(select from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due) limit $1)
		union all
		(select from relay.outbox where status = 'pending' and deliver_at is not null and not due limit $1)
	) x`
)

var (
	findKey       = fmt.Sprintf(findPlaces, fmt.Sprintf(keyPlaces, relay.Shards-1))
	findDeadThere = fmt.Sprintf(findPlaces, deadPlaces)
	findOpenThere = fmt.Sprintf(findPlaces, openPlaces)
)

// standing returns the source of messages with some of the statuses that have an index.
func standing(statuses Statuses) string {
	statuses = slices.Compact(slices.Sorted(slices.Values(statuses)))
	if len(statuses) == 1 {
		return fmt.Sprintf(findStanding, statuses[0])
	}
	parts := make([]string, len(statuses))
	for i, status := range statuses {
		parts[i] = "(" + fmt.Sprintf(findStanding, status) + ")"
	}
	return "select * from (" + strings.Join(parts, " union all ") + ") x order by x.created_at desc, x.own_seq desc limit $4"
}

// source returns the walk that suits a filter.
func (s *Store) source(ctx context.Context, f MessageFilter) (source, error) {
	ranged := !f.Since.IsZero() || !f.Until.IsZero() && f.AsOf.IsZero()
	operators := f.Subscription != "" && f.Subscription != relay.SubscriptionDirect && f.Subscription != relay.SubscriptionDefault
	switch {
	case len(f.IDs) > 0:
		return source{byTime, findIDs}, nil
	case f.Key != "":
		return source{bySeq, findKey}, nil
	case f.Subscription != "" && !ranged && f.deadOnly():
		return source{bySeq, findDeadThere}, nil
	case operators && !ranged && f.openOnly():
		return source{bySeq, findOpenThere}, nil
	case f.Status.among(relay.MessageOpen, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled):
		return source{byTime, standing(f.withOpen())}, nil
	case len(f.Status) == 0 && f.failedOnly():
		return source{byTime, standing(Statuses{relay.MessageOpen, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled})}, nil
	case f.Status.Only() == relay.MessagePending:
		var n int
		if err := s.pool.QueryRow(ctx, countFewPending, fewPending+1).Scan(&n); err != nil {
			return source{}, fmt.Errorf("look for messages: %w", denial(err))
		}
		if n <= fewPending {
			return source{byTime, findFewPending}, nil
		}
	}
	return source{byTime, findAll}, nil
}

// deadOnly reports whether only deliveries match that are dead.
func (f MessageFilter) deadOnly() bool {
	return f.Status.Only() == relay.MessageDead || len(f.DeliveryStatus) == 1 && f.DeliveryStatus[0] == relay.DeliveryDead
}

// openOnly reports whether only deliveries match that have not ended.
func (f MessageFilter) openOnly() bool {
	return f.Status.Only() == relay.MessageOpen || onlyUnfinished(f.DeliveryStatus)
}

// withOpen are the statuses to walk through: a message that is dead at one subscriber may be open for
// the sake of others.
func (f MessageFilter) withOpen() Statuses {
	if f.Subscription != "" && slices.Contains(f.Status, relay.MessageDead) && !slices.Contains(f.Status, relay.MessageOpen) {
		return append(slices.Clone(f.Status), relay.MessageOpen)
	}
	return f.Status
}

// failedOnly reports whether only messages match that are not done: causes are kept of what failed alone.
func (f MessageFilter) failedOnly() bool {
	return len(f.Causes) > 0 || f.deadOnly() || onlyUnfinished(f.DeliveryStatus)
}

func onlyUnfinished(statuses []relay.DeliveryStatus) bool {
	return len(statuses) > 0 && !slices.ContainsFunc(statuses, func(one relay.DeliveryStatus) bool { return !slices.Contains(unfinished, one) })
}
