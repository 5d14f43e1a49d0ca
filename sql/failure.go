package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// StandingLimit bounds each count of what has not ended well.
const StandingLimit = 200_000

// rejectedLimit is how many rejected messages, the youngest, are grouped by their causes.
const rejectedLimit = 10_000

// FailureGroup is what failed at one subscriber for one cause.
type FailureGroup struct {
	Subscription string      // empty for what was rejected
	Cause        relay.Cause // empty: it was written by an earlier version
	Count        int
	// Oldest and Newest are the oldest and the youngest of them, in the order of insertion; First and Last say when
	// they were written last. For what goes on by itself, both are some of them.
	Oldest, Newest relay.ID
	First, Last    time.Time
	Error          string // of the youngest
}

// FailureGroups are the groups of one kind, the largest first.
type FailureGroups struct {
	Groups []FailureGroup
	Exact  bool // false: more than StandingLimit deliveries, or rejectedLimit messages, are there, and the rest was not counted
}

// failingLike finds deliveries that are like those of a group.
const failingLike = `d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and d.attempts >= 0
				and d.subscription = g.subscription and d.status = g.status`

const (
	deadGroups = `
	with dead as (
		select subscription, cause, count(*)::int as n, min(seq) as oldest, max(seq) as newest
		from (select subscription, cause, seq from relay.delivery where status = 'dead' and attempts >= 0 limit $1) d group by subscription, cause
	)
	select g.subscription, coalesce(g.cause, ''), g.n, o.message_id, n.message_id, o.updated_at, n.updated_at, coalesce(left(n.last_error, 8000), '')
	from dead g
	cross join lateral (
		(select message_id, updated_at from relay.delivery where status = 'dead' and attempts >= 0 and subscription = g.subscription and cause = g.cause and seq = g.oldest limit 1)
		union all
		(select message_id, updated_at from relay.delivery where status = 'dead' and attempts >= 0 and subscription = g.subscription and cause is null and g.cause is null and seq = g.oldest limit 1)
	) o
	cross join lateral (
		(select message_id, updated_at, last_error from relay.delivery where status = 'dead' and attempts >= 0 and subscription = g.subscription and cause = g.cause and seq = g.newest limit 1)
		union all
		(select message_id, updated_at, last_error from relay.delivery where status = 'dead' and attempts >= 0 and subscription = g.subscription and cause is null and g.cause is null and seq = g.newest limit 1)
	) n
	order by g.n desc, g.subscription, g.cause`

	// One of the largest part of each group stands for it, looked up by all columns of the index.
	failingGroups = `
	with part as (
		select subscription, status, reason, cause, count(*)::int as n
		from (
			select subscription, status, reason, cause from relay.delivery
			where status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and attempts >= 0
				and status in ('push_failed', 'handle_failed') limit $1
		) d group by 1, 2, 3, 4
	), failing as (
		select distinct on (subscription, cause) subscription, status, reason, cause, (sum(n) over (partition by subscription, cause))::int as n
		from part order by subscription, cause, part.n desc
	)
	select g.subscription, coalesce(g.cause, ''), g.n, o.message_id, o.message_id, o.due_at, o.updated_at, coalesce(left(o.last_error, 8000), '')
	from failing g
	cross join lateral (
		select * from (
			(select * from relay.delivery d where ` + failingLike + ` and d.reason = g.reason and d.cause = g.cause limit 1)
			union all
			(select * from relay.delivery d where ` + failingLike + ` and d.reason is null and g.reason is null and d.cause = g.cause limit 1)
			union all
			(select * from relay.delivery d where ` + failingLike + ` and d.reason = g.reason and d.cause is null and g.cause is null limit 1)
			union all
			(select * from relay.delivery d where ` + failingLike + ` and d.reason is null and g.reason is null and d.cause is null and g.cause is null limit 1)
		) x limit 1
	) o
	order by g.n desc, g.subscription, g.cause`

	rejectedGroups = `
	with rejected as materialized (
		select id, created_at, seq, coalesce(cause, '') as cause, coalesce(finished_at, created_at) as at, last_error
		from relay.outbox where status = 'rejected' and topic <> '' order by created_at desc, seq desc limit $1
	)
	select '', cause, count(*)::int, (array_agg(id order by created_at, seq))[1], (array_agg(id order by created_at desc, seq desc))[1],
		min(at), max(at), coalesce(left((array_agg(last_error order by created_at desc, seq desc))[1], 8000), '')
	from rejected group by cause order by 3 desc, cause`
)

// DeadGroups groups what is dead, and waits for a person, by subscriber and cause.
func (s *Store) DeadGroups(ctx context.Context) (FailureGroups, error) {
	return s.failureGroups(ctx, deadGroups, StandingLimit)
}

// FailingGroups groups what has failed, and is tried again by itself, by subscriber and cause.
func (s *Store) FailingGroups(ctx context.Context) (FailureGroups, error) {
	return s.failureGroups(ctx, failingGroups, StandingLimit)
}

// RejectedGroups groups the messages that cannot be sent by cause.
func (s *Store) RejectedGroups(ctx context.Context) (FailureGroups, error) {
	return s.failureGroups(ctx, rejectedGroups, rejectedLimit)
}

func (s *Store) failureGroups(ctx context.Context, statement string, most int) (all FailureGroups, err error) {
	rows, err := s.pool.Query(ctx, statement, most)
	if err != nil {
		return all, fmt.Errorf("group failures: %w", denial(err))
	}
	total := 0
	all.Groups, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g FailureGroup, err error) {
		err = row.Scan(&g.Subscription, &g.Cause, &g.Count, (*[16]byte)(&g.Oldest), (*[16]byte)(&g.Newest), &g.First, &g.Last, &g.Error)
		total += g.Count
		return g, err
	})
	if err != nil {
		return all, fmt.Errorf("group failures: %w", denial(err))
	}
	all.Exact = total < most
	return all, nil
}

// FailureSample is one of the youngest failures of a group.
type FailureSample struct {
	Message  relay.ID
	Instance string // as stored: it may hold a password
	Code     int    // of the last answer; zero: none
	Error    string
	At       time.Time
}

const deadSamples = `
select x.message_id, x.instance, coalesce(x.response_code, 0), coalesce(left(x.last_error, 8000), ''), x.updated_at from (
	(select * from relay.delivery where status = 'dead' and attempts >= 0 and subscription = $1 and cause = $2 order by seq desc limit $3)
	union all
	(select * from relay.delivery where status = 'dead' and attempts >= 0 and subscription = $1 and cause is null and $2 = '' order by seq desc limit $3)
) x order by x.seq desc`

// DeadSamples lists the youngest of what is dead at a subscriber for a cause, at most limit of them.
func (s *Store) DeadSamples(ctx context.Context, subscription string, cause relay.Cause, limit int) ([]FailureSample, error) {
	rows, err := s.pool.Query(ctx, deadSamples, subscription, string(cause), limit)
	if err != nil {
		return nil, fmt.Errorf("read failures: %w", denial(err))
	}
	samples, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f FailureSample, err error) {
		err = row.Scan((*[16]byte)(&f.Message), &f.Instance, &f.Code, &f.Error, &f.At)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("read failures: %w", denial(err))
	}
	return samples, nil
}
