package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// DeliveryFilter says which deliveries of a subscriber are looked for. An empty field matches all.
type DeliveryFilter struct {
	Subscription string // also direct and default; must not be empty
	Status       []relay.DeliveryStatus
	Reason       relay.Reason // of what waits
	Causes       []relay.Cause
	Topic        string // or a pattern
	Key          string
	Since, Until time.Time // of the message's insertion; Until is excluded
}

// ListedDelivery is one delivery with what a list shows of its message.
type ListedDelivery struct {
	Message   relay.ID
	Topic     string
	Key       string // empty: none
	Source    string // empty: none of its own
	CreatedAt time.Time
	DeliveryDetail
	LastStarted  *time.Time // of the last attempt that is recorded; nil: there is none
	LastDuration time.Duration
}

// DeliveryPage is a part of the deliveries of a subscriber, the youngest message first. A message with several
// instances stands in it with all of them, even above the limit.
type DeliveryPage struct {
	Deliveries []ListedDelivery
	// What follows is as MessagePage has it.
	Next       Cursor
	Complete   bool
	SearchedTo time.Time
	Looked     int64
}

const listDeliveries = `
select w.n, d.subscription, d.instance, left(d.target, 8000), d.status::text, coalesce(d.reason, ''), d.attempts, d.handle_attempts, d.next_attempt_at,
	coalesce(d.response_code, 0), coalesce(left(d.last_error, 8000), ''), d.delivered_at, d.handled_at, d.updated_at,
	coalesce(d.cause, ''), d.due_at, d.acked_attempt, a.started_at, coalesce(a.us, 0)
from unnest($1::uuid[]) with ordinality as w(id, n)
cross join lateral (
	select y.* from relay.delivery y where y.message_id = w.id and y.subscription = $2
		and (cardinality($3::text[]) = 0 or y.status::text = any ($3))
		and (cardinality($4::text[]) = 0 or y.cause = any ($4))
		and ($5 = '' or y.reason = $5)
	order by y.instance limit $6
) d
left join lateral (
	select t.started_at, (extract(epoch from t.duration) * 1000000)::bigint as us from relay.attempt t
	where t.message_id = w.id and t.subscription = d.subscription and t.instance = d.instance
	order by t.started_at desc limit 1
) a on true
order by w.n, d.instance`

// ListDeliveries lists the deliveries of a subscriber: of at most limit messages that match, from a cursor that an
// earlier page returned. It ends after SearchTime as FindMessages does.
func (s *Store) ListDeliveries(ctx context.Context, f DeliveryFilter, after Cursor, limit int) (page DeliveryPage, err error) {
	found, err := s.FindMessages(ctx, MessageFilter{
		Subscription: f.Subscription, DeliveryStatus: f.Status, Causes: f.Causes, Topic: f.Topic, Key: f.Key, Since: f.Since, Until: f.Until,
	}, after, limit)
	page = DeliveryPage{Next: found.Next, Complete: found.Complete, SearchedTo: found.SearchedTo, Looked: found.Looked}
	if err != nil || len(found.Messages) == 0 {
		return page, err
	}
	ids := make([]relay.ID, len(found.Messages))
	for i := range found.Messages {
		ids[i] = found.Messages[i].ID
	}
	rows, err := s.pool.Query(ctx, listDeliveries, uuids(ids), f.Subscription, words(f.Status), words(f.Causes), string(f.Reason), detailLimit)
	if err != nil {
		return page, fmt.Errorf("list deliveries: %w", denial(err))
	}
	page.Deliveries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d ListedDelivery, err error) {
		var n int
		var us int64
		err = row.Scan(&n, &d.Subscription, &d.Instance, &d.Target, &d.Status, &d.Reason, &d.DeliveryDetail.Attempts, &d.HandleAttempts,
			&d.NextAttemptAt, &d.Code, &d.Error, &d.DeliveredAt, &d.HandledAt, &d.UpdatedAt, &d.Cause, &d.DueAt, &d.AckedAttempt,
			&d.LastStarted, &us)
		if err != nil {
			return d, err
		}
		m := &found.Messages[n-1]
		d.Message, d.Topic, d.Key, d.Source, d.CreatedAt = m.ID, m.Topic, m.Key, m.Source, m.CreatedAt
		d.LastDuration = time.Duration(us) * time.Microsecond
		return d, nil
	})
	if err != nil {
		return page, fmt.Errorf("list deliveries: %w", denial(err))
	}
	return page, nil
}
