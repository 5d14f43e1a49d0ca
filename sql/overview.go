package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Overview is what the first page shows beside a Standing.
type Overview struct {
	At     time.Time // by the database's clock
	Relays []RunningRelay
	// NextDue is how long it is until the first delayed message or retry is due; less than zero: it is overdue. Nil: there
	// is none.
	NextDue *time.Duration
	// Any says that there is a message at all.
	Any bool
	// RunningJobs are those that a relay works at, or is to.
	RunningJobs int
}

const overviewFacts = `
select clock_timestamp(), exists (select from relay.outbox limit 1),
	(select count(*)::int from (select from relay.job where status = 'running' limit 1000) j)`

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

// Overview reads which relays work on the outbox, and what is due next.
func (s *Store) Overview(ctx context.Context) (o Overview, err error) {
	if err = s.pool.QueryRow(ctx, overviewFacts).Scan(&o.At, &o.Any, &o.RunningJobs); err != nil {
		return o, fmt.Errorf("read the overview: %w", denial(err))
	}
	if o.Relays, err = runningRelays(ctx, s.pool); err != nil {
		return o, err
	}
	var us int64
	err = s.pool.QueryRow(ctx, earliestDue).Scan(&us)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return o, nil
	case err != nil:
		return o, fmt.Errorf("find what is due next: %w", denial(err))
	}
	due := time.Duration(us) * time.Microsecond
	o.NextDue = &due
	return o, nil
}
