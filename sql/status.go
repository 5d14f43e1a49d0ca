package sql

import (
	"context"
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
	Silent        bool          // none of its leases lasts, and it has given no sign of life for as long as a lease does
	// Report is what the relay says about itself. Nil: it has not told lately, or is of an earlier version.
	Report *Report
}

// silence is how long a relay may give no sign of life: the longest RELAY_LEASE_TTL of those that have renewed a lease.
// Schemas of earlier versions do not note it.
const silence = `coalesce((select max((to_jsonb(l) ->> 'ttl')::interval) from relay.lease l), interval '10 seconds')`

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
		not coalesce(bool_or(l.expires_at > clock_timestamp()), false) and i.seen_at <= clock_timestamp() - ` + silence + `,
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
		err = row.Scan(&r.Name, &r.Version, &r.Streaming, &r.Shards, &r.Expired, &r.Seen, &r.Silent, &document, &age)
		r.Report = scanReport(document, age)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list relays: %w", denial(err))
	}
	return list, nil
}
