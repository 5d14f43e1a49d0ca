package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// RunningRelay is one relay that has given a sign of life and has not ended in order.
type RunningRelay struct {
	Name, Version string
	Streaming     bool          // it hears the stream
	Shards        int           // that it owns
	Expired       int           // shards whose lease has run out: it fell silent
	Seen          time.Duration // since its last sign of life
	// Report is what the relay says about itself. Nil: it has not told lately, or is of an earlier version.
	Report *Report
}

// RunningRelays lists the relays, the longest running first; at most a hundred. It reads a schema of an earlier
// version too, in which relays did not report.
func (e *Examiner) RunningRelays(ctx context.Context) ([]RunningRelay, error) {
	return runningRelays(ctx, e.Conn)
}

func runningRelays(ctx context.Context, on querying) ([]RunningRelay, error) {
	const statement = `
	select i.name, i.version, i.streaming,
		count(*) filter (where l.expires_at > clock_timestamp()),
		count(*) filter (where l.expires_at <= clock_timestamp()),
		(extract(epoch from clock_timestamp() - i.seen_at) * 1000000000)::bigint,
		to_jsonb(i) -> 'report', extract(epoch from clock_timestamp() - (to_jsonb(i) ->> 'reported_at')::timestamptz)::float8
	from relay.instance i left join relay.lease l on l.owner = i.id
	group by i.id
	order by i.started_at, i.id limit 100`
	rows, err := on.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("list relays: %w", denial(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r RunningRelay, err error) {
		var document []byte
		var age *float64
		err = row.Scan(&r.Name, &r.Version, &r.Streaming, &r.Shards, &r.Expired, &r.Seen, &document, &age)
		r.Report = scanReport(document, age)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list relays: %w", denial(err))
	}
	return list, nil
}

// EndedFacts count the messages that need no attention, if there are at most CountLimit.
type EndedFacts struct {
	Done, Cancelled int64
	// Estimated says that there are more: nothing was counted, and Rows is the
	// statistics' guess at the messages of every status.
	Estimated bool
	Rows      int64
}

// What has ended stands in an index of its own, with what was cancelled.
const countEnded = `
select e.n - c.n, c.n, e.n > $1, greatest((select pg_stat_get_live_tuples('relay.outbox'::regclass)), $1)
from (
	select count(*) as n from (select from relay.outbox where status in ('done', 'cancelled') order by finished_at limit $1 + 1) x
) e, (
	select count(*) as n from (select from relay.outbox where status = 'cancelled' and topic <> '' limit $1 + 1) x
) c`

// Ended counts the messages that need no attention.
func (e *Examiner) Ended(ctx context.Context) (EndedFacts, error) {
	var f EndedFacts
	if err := e.Conn.QueryRow(ctx, countEnded, int64(CountLimit)).Scan(&f.Done, &f.Cancelled, &f.Estimated, &f.Rows); err != nil {
		return f, fmt.Errorf("count ended messages: %w", denial(err))
	}
	return f, nil
}

// DeadCount is how many dead deliveries a subscriber has.
type DeadCount struct {
	Subscription string
	Count        int
	Error        string // of the youngest
}

const deadBySubscription = `
with part as (
	select subscription, cause, count(*)::int as n, max(seq) as newest
	from (select subscription, cause, seq from relay.delivery where status = 'dead' and attempts >= 0 limit $1) d group by subscription, cause
), dead as (
	select distinct on (subscription) subscription, cause, newest, (sum(n) over (partition by subscription))::int as n
	from part order by subscription, newest desc
)
select g.subscription, g.n, coalesce((
	select x.last_error from (
		(select last_error from relay.delivery where status = 'dead' and attempts >= 0 and subscription = g.subscription and cause = g.cause and seq = g.newest limit 1)
		union all
		(select last_error from relay.delivery where status = 'dead' and attempts >= 0 and subscription = g.subscription and cause is null and g.cause is null and seq = g.newest limit 1)
	) x limit 1
), '')
from dead g order by g.n desc, g.subscription limit 10`

// DeadBySubscription counts the dead deliveries, the most first; at most ten subscribers, of at most CountLimit deliveries.
func (e *Examiner) DeadBySubscription(ctx context.Context) ([]DeadCount, error) {
	rows, err := e.Conn.Query(ctx, deadBySubscription, CountLimit)
	if err != nil {
		return nil, fmt.Errorf("count dead deliveries: %w", denial(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeadCount])
	if err != nil {
		return nil, fmt.Errorf("count dead deliveries: %w", denial(err))
	}
	return list, nil
}

// A century is as good as for ever, and can be subtracted.
const earliestDue = `
select (extract(epoch from least(greatest(x.at, n.now - interval '100 years'), n.now + interval '100 years') - n.now) * 1000000)::bigint
from (select clock_timestamp()) as n(now), relay.lease as s
cross join lateral (
	(select o.deliver_at as at from relay.outbox o
	where o.status = 'pending' and o.deliver_at is not null and not o.due and o.shard = s.shard order by o.deliver_at limit 1)
	union all
	(select d.next_attempt_at from relay.delivery d
	where d.next_attempt_at is not null and d.shard = s.shard order by d.next_attempt_at limit 1)
) x
where x.at < 'infinity' order by x.at limit 1`

// EarliestDue returns how long it is until the first delayed message or retry is due, by the
// database's clock; less than zero if it is overdue. It returns false if there is none.
func (e *Examiner) EarliestDue(ctx context.Context) (time.Duration, bool, error) {
	var us int64
	err := e.Conn.QueryRow(ctx, earliestDue).Scan(&us)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("find what is due next: %w", denial(err))
	}
	return time.Duration(us) * time.Microsecond, true, nil
}
