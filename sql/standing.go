package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Standing is how many messages and deliveries there are that have not ended well, as they stand in the tables: exact
// up to StandingLimit of each.
type Standing struct {
	At time.Time // by the database's clock
	// Messages by status; Delayed are the pending ones that are to be sent later.
	Pending, Delayed, Open, Dead, Rejected, Cancelled Count
	// Done is an estimate if it is not Exact, above CountLimit.
	Done Count
	// OldestPending is the insertion of the oldest pending message that is not delayed, as far as
	// 10,000 of those with a key show it; OldestOpen that of the oldest open one. Nil: there is none.
	OldestPending, OldestOpen *time.Time
	// Unfinished counts deliveries that have not ended, DeadDeliveries those that are dead.
	Unfinished, DeadDeliveries []StandingGroup
	// UnfinishedExact and DeadExact are false if there are more than StandingLimit.
	UnfinishedExact, DeadExact bool
	// Oldest is when the oldest delivery that has not ended was or is due, by subscription; direct and default are not
	// there.
	Oldest map[string]time.Time
}

// StandingGroup counts deliveries that are alike.
type StandingGroup struct {
	Subscription string
	Status       relay.DeliveryStatus
	Reason       relay.Reason
	Cause        relay.Cause
	N            int
}

// Each part is a walk along a partial index.
const countStanding = `
select clock_timestamp(),
	(select count(*) from (select from relay.outbox where status = 'pending' and key is null and (deliver_at is null or due) limit $1) x)
	+ (select count(*) from (select from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due) limit $1) x),
	(select count(*) from (select from relay.outbox where status = 'pending' and deliver_at is not null and not due limit $1) x),
	(select count(*) from (select from relay.outbox where status = 'open' and topic <> '' limit $1) x),
	(select count(*) from (select from relay.outbox where status = 'dead' and topic <> '' limit $1) x),
	(select count(*) from (select from relay.outbox where status = 'rejected' and topic <> '' limit $1) x),
	(select count(*) from (select from relay.outbox where status = 'cancelled' and topic <> '' limit $1) x),
	(select count(*) from (select from relay.outbox where status in ('done', 'cancelled') order by finished_at limit $2) x),
	(select pg_stat_get_live_tuples('relay.outbox'::regclass)),
	least(
		(select min(o.created_at) from relay.lease s cross join lateral (
			select x.created_at from relay.outbox x
			where x.status = 'pending' and x.key is null and (x.deliver_at is null or x.due) and x.shard = s.shard order by x.seq limit 1
		) o),
		(select min(x.created_at) from (
			select created_at from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due) limit 10000
		) x)
	),
	(select created_at from relay.outbox where status = 'open' and topic <> '' order by created_at, seq limit 1)`

const (
	countUnfinished = `
	select subscription, status::text, coalesce(reason, ''), coalesce(cause, ''), count(*)::int
	from (
		select subscription, status, reason, cause from relay.delivery
		where status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and attempts >= 0 limit $1
	) d group by 1, 2, 3, 4 order by 1, 2, 3, 4`

	countDead = `
	select subscription, 'dead', '', coalesce(cause, ''), count(*)::int
	from (select subscription, cause from relay.delivery where status = 'dead' and attempts >= 0 limit $1) d group by 1, 4 order by 1, 4`

	oldestOutstanding = `
	select s.name, o.due_at from relay.subscription s cross join lateral (
		select d.due_at from relay.delivery d
		where d.subscription = s.name and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
			and d.subscription not in ('direct', 'default')
		order by d.seq limit 1
	) o where isfinite(o.due_at)`
)

// Standing counts what has not ended well.
func (s *Store) Standing(ctx context.Context) (st Standing, err error) {
	var pending, delayed, open, dead, rejected, cancelled, ended, live int64
	err = s.pool.QueryRow(ctx, countStanding, StandingLimit, CountLimit).
		Scan(&st.At, &pending, &delayed, &open, &dead, &rejected, &cancelled, &ended, &live, &st.OldestPending, &st.OldestOpen)
	if err != nil {
		return st, fmt.Errorf("count messages: %w", denial(err))
	}
	st.Pending, st.Delayed, st.Open, st.Dead = upTo(pending), upTo(delayed), upTo(open), upTo(dead)
	st.Rejected, st.Cancelled = upTo(rejected), upTo(cancelled)
	st.Done = Count{max(ended-cancelled, 0), true}
	if ended >= CountLimit {
		st.Done = Count{max(live-pending-delayed-open-dead-rejected-cancelled, ended-cancelled), false}
	}
	if st.Unfinished, st.UnfinishedExact, err = s.standingGroups(ctx, countUnfinished); err != nil {
		return st, err
	}
	if st.DeadDeliveries, st.DeadExact, err = s.standingGroups(ctx, countDead); err != nil {
		return st, err
	}
	st.Oldest, err = s.oldestOutstanding(ctx)
	return st, err
}

func (s *Store) oldestOutstanding(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.pool.Query(ctx, oldestOutstanding)
	if err != nil {
		return nil, fmt.Errorf("find the oldest deliveries: %w", denial(err))
	}
	all := make(map[string]time.Time)
	var name string
	var due time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &due}, func() error {
		all[name] = due
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the oldest deliveries: %w", denial(err))
	}
	return all, nil
}

// upTo is a count that stopped at StandingLimit.
func upTo(n int64) Count { return Count{n, n < StandingLimit} }

func (s *Store) standingGroups(ctx context.Context, statement string) (groups []StandingGroup, exact bool, err error) {
	rows, err := s.pool.Query(ctx, statement, StandingLimit)
	if err == nil {
		groups, err = pgx.CollectRows(rows, pgx.RowToStructByPos[StandingGroup])
	}
	if err != nil {
		return nil, false, fmt.Errorf("count deliveries: %w", denial(err))
	}
	total := 0
	for _, g := range groups {
		total += g.N
	}
	return groups, total < StandingLimit, nil
}
