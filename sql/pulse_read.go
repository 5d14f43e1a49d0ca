package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// PulseQuery says which minutes are asked for.
type PulseQuery struct {
	Subscription string        // empty: all together
	From, To     time.Time     // To is excluded
	Step         time.Duration // whole minutes; each point holds that many
}

// PulsePoint is what all relays together have counted within a step.
type PulsePoint struct {
	At time.Time // when the step begins
	// Received are messages taken up; zero where one subscription is asked for.
	Received int64
	// Outstanding is the most that was found in a minute of the step: messages, or deliveries where one subscription is
	// asked for. Nil: it was not counted.
	Outstanding *Count
	PulseOutcome
}

const readPulse = `
with outcome as (
	select date_bin($4::bigint * interval '1 microsecond', minute, timestamptz '2000-01-01 00:00:00+00') as at, p.*
	from relay.pulse_outcome p where minute >= $2 and minute < $3 and ($1 = '' or subscription = $1)
), sent as (
	select date_bin($4::bigint * interval '1 microsecond', minute, timestamptz '2000-01-01 00:00:00+00') as at, sum(taken)::bigint as taken
	from relay.pulse_sent where minute >= $2 and minute < $3 and $1 = '' group by 1
), standing as (
	select date_bin($4::bigint * interval '1 microsecond', minute, timestamptz '2000-01-01 00:00:00+00') as at,
		max(case $1 when '' then messages else coalesce((deliveries ->> $1)::bigint, 0) end) as n,
		bool_and(case $1 when '' then messages_exact else deliveries_exact end) as exact
	from relay.pulse_standing where minute >= $2 and minute < $3 group by 1
), sums as (
	select at, sum(accepted)::bigint as accepted, sum(handled)::bigint as handled, sum(push_failed)::bigint as push_failed,
		sum(handle_failed)::bigint as handle_failed, sum(dead)::bigint as dead
	from outcome group by at
), buckets as (
	select at, array_agg(wait order by n) as wait, array_agg(total order by n) as total from (
		select o.at, x.n, sum(x.wait)::bigint as wait, sum(x.total)::bigint as total
		from outcome o cross join lateral unnest(o.wait, o.total) with ordinality as x(wait, total, n) group by 1, 2
	) y group by at
), causes as (
	select at, jsonb_object_agg(cause, n) as causes from (
		select o.at, x.cause, sum(x.n::bigint) as n from outcome o cross join lateral jsonb_each_text(o.causes) as x(cause, n) group by 1, 2
	) y group by at
)
select coalesce(u.at, t.at, d.at), coalesce(t.taken, 0), coalesce(u.accepted, 0), coalesce(u.handled, 0), coalesce(u.push_failed, 0),
	coalesce(u.handle_failed, 0), coalesce(u.dead, 0), coalesce(b.wait, '{}'), coalesce(b.total, '{}'), d.n, coalesce(d.exact, false),
	c.causes
from sums u left join buckets b on b.at = u.at left join causes c on c.at = u.at full join sent t on t.at = u.at full join standing d on d.at = coalesce(u.at, t.at)
order by 1`

// Pulse reads rates, latencies and what was outstanding in steps, the oldest first; steps in which nothing was counted
// are left out.
func (s *Store) Pulse(ctx context.Context, q PulseQuery) ([]PulsePoint, error) {
	step := max(q.Step.Truncate(time.Minute), time.Minute)
	rows, err := s.pool.Query(ctx, readPulse, q.Subscription, q.From, q.To, step.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", denial(err))
	}
	points, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p PulsePoint, err error) {
		var outstanding *int64
		var exact bool
		err = row.Scan(&p.At, &p.Received, &p.Accepted, &p.Handled, &p.PushFailed, &p.HandleFailed, &p.Dead, (*[]int64)(&p.Wait), (*[]int64)(&p.Total),
			&outstanding, &exact, &p.Causes)
		if outstanding != nil {
			p.Outstanding = &Count{*outstanding, exact}
		}
		p.Minute, p.Subscription = p.At, q.Subscription
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", denial(err))
	}
	return points, nil
}

const sumPulse = `
with outcome as (select * from relay.pulse_outcome where minute >= $1),
buckets as (
	select subscription, array_agg(wait order by n) as wait, array_agg(total order by n) as total from (
		select o.subscription, x.n, sum(x.wait)::bigint as wait, sum(x.total)::bigint as total
		from outcome o cross join lateral unnest(o.wait, o.total) with ordinality as x(wait, total, n) group by 1, 2
	) y group by subscription
)
select o.subscription, sum(accepted)::bigint, sum(handled)::bigint, sum(push_failed)::bigint, sum(handle_failed)::bigint, sum(dead)::bigint,
	b.wait, b.total
from outcome o join buckets b using (subscription) group by o.subscription, b.wait, b.total order by o.subscription`

// PulseBySubscription adds up, for each subscriber, what was counted since a time.
func (s *Store) PulseBySubscription(ctx context.Context, since time.Time) ([]PulseOutcome, error) {
	rows, err := s.pool.Query(ctx, sumPulse, since)
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", denial(err))
	}
	sums, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o PulseOutcome, err error) {
		err = row.Scan(&o.Subscription, &o.Accepted, &o.Handled, &o.PushFailed, &o.HandleFailed, &o.Dead, (*[]int64)(&o.Wait), (*[]int64)(&o.Total))
		o.Minute = since
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", denial(err))
	}
	return sums, nil
}

// Sender is what one source sent under one topic, as the pulse has it.
type Sender struct {
	Source, Topic          string    // source empty: the relay's own
	Taken, Rejected, Bytes int64     // since the time that was asked for
	LastAt                 time.Time // the insertion of the youngest
}

const listSenders = `
select source, topic, sum(taken)::bigint, sum(rejected)::bigint, sum(bytes)::bigint, max(last_at)
from relay.pulse_sent where minute >= $1 and ($2::text is null or source = $2)
group by source, topic order by source, topic limit $3`

// Senders lists sources with their topics since a time, at most limit pairs; those of one source if it is not nil.
func (s *Store) Senders(ctx context.Context, since time.Time, source *string, limit int) ([]Sender, error) {
	rows, err := s.pool.Query(ctx, listSenders, since, source, limit)
	if err != nil {
		return nil, fmt.Errorf("list senders: %w", denial(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Sender])
	if err != nil {
		return nil, fmt.Errorf("list senders: %w", denial(err))
	}
	return list, nil
}
