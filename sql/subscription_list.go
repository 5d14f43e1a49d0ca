package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SubscriptionFacts is a subscription as a person sees it, with what waits for it.
type SubscriptionFacts struct {
	Name              string
	Topics            []string
	Target            string // as stored: it may hold a password
	Paused, Ordered   bool
	Broadcast         bool
	Ack, OnDead       string
	AckTimeout        time.Duration
	Timeout           *time.Duration // nil here and below: the variable's value, or no limit
	Concurrency       *int
	RateLimit         *float64 // per second
	MaxAttempts       *int
	MaxHandleAttempts *int
	Backoff           []time.Duration // empty: the variable's value
	Secrets           int             // how many
	Headers           []string        // names alone
	CreatedAt         time.Time
	Version           string        // for SetSubscriptionAt; it means nothing else
	Outstanding       []StatusCount // by status; none: nothing is outstanding
	Oldest            *time.Time    // when the oldest outstanding one was or is due; nil: there is none
	Dead              int           // up to CountLimit
}

// StatusCount is how many deliveries have a status. All of a subscription together stop at
// CountLimit, the oldest first.
type StatusCount struct {
	Status string
	Count  int
}

const settingColumns = `
	s.name, s.topics, s.target, s.paused, s.ordered, s.broadcast, s.ack, s.on_dead,
	(extract(epoch from s.ack_timeout) * 1000000000)::bigint, (extract(epoch from s.timeout) * 1000000000)::bigint,
	s.concurrency, s.rate_limit, s.max_attempts, s.max_handle_attempts,
	array(select (extract(epoch from b) * 1000000000)::bigint from unnest(s.backoff) with ordinality as x(b, n) order by n),
	coalesce(cardinality(s.secrets), 0),
	array(select jsonb_object_keys(s.headers) order by 1), s.created_at, ` + subscriptionVersionOf

const listSettings = `select` + settingColumns + `, null::text[], null::int[], null::timestamptz, 0
from relay.subscription s where $1 = '' or s.name = $1 order by s.name`

const listSubscriptions = `select` + settingColumns + `,
	o.statuses, o.counts, o.oldest, d.n
from relay.subscription s
cross join lateral (
	select array_agg(x.status order by x.status) as statuses, array_agg(x.n order by x.status) as counts, min(x.oldest) as oldest
	from (
		select y.status::text, count(*)::int as n, min(y.due_at) as oldest
		from (
			select d.status, d.due_at from relay.delivery d
			where d.subscription = s.name and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
				and d.subscription not in ('direct', 'default')
			order by d.seq limit $1
		) y group by y.status
	) x
) o
cross join lateral (
	select count(*)::int as n from (
		select from relay.delivery d where d.subscription = s.name and d.status = 'dead' and d.attempts >= 0 limit $1
	) y
) d
order by s.name`

// ListSettings lists the subscriptions by name, or one if the name is not empty, without counts of their deliveries.
func (s *Store) ListSettings(ctx context.Context, name string) ([]SubscriptionFacts, error) {
	return s.subscriptionFacts(ctx, listSettings, name)
}

// ListSubscriptions lists the subscriptions by name, with what is outstanding and dead. It takes as long as
// counting that does.
func (s *Store) ListSubscriptions(ctx context.Context) ([]SubscriptionFacts, error) {
	return s.subscriptionFacts(ctx, listSubscriptions, CountLimit)
}

func (s *Store) subscriptionFacts(ctx context.Context, statement string, argument any) ([]SubscriptionFacts, error) {
	rows, err := s.pool.Query(ctx, statement, argument)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", denial(err))
	}
	list, err := pgx.CollectRows(rows, scanSubscriptionFacts)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", denial(err))
	}
	return list, nil
}

func scanSubscriptionFacts(row pgx.CollectableRow) (f SubscriptionFacts, err error) {
	var statuses []string
	var counts []int
	err = row.Scan(&f.Name, &f.Topics, &f.Target, &f.Paused, &f.Ordered, &f.Broadcast, &f.Ack, &f.OnDead, &f.AckTimeout, &f.Timeout,
		&f.Concurrency, &f.RateLimit, &f.MaxAttempts, &f.MaxHandleAttempts, &f.Backoff, &f.Secrets, &f.Headers, &f.CreatedAt, &f.Version,
		&statuses, &counts, &f.Oldest, &f.Dead)
	for i := range statuses {
		f.Outstanding = append(f.Outstanding, StatusCount{statuses[i], counts[i]})
	}
	return f, err
}

// SubscriptionTarget is what a subscription receives, and where it leads.
type SubscriptionTarget struct {
	Name   string
	Topics []string
	Target string // as stored: it may hold a password
	Paused bool
}

// Subscriptions lists by name what all subscriptions receive, and where they lead.
func (e *Examiner) Subscriptions(ctx context.Context) ([]SubscriptionTarget, error) {
	rows, err := e.Conn.Query(ctx, "select name, topics, target, paused from relay.subscription order by name")
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", denial(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SubscriptionTarget])
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", denial(err))
	}
	return list, nil
}
