package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// PulseBounds are the upper bounds of the latency buckets, in seconds; the last bucket has none.
var PulseBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600}

// PulseKept is how long minutes are kept.
const PulseKept = 8 * 24 * time.Hour

// Latencies counts durations in buckets: one more than PulseBounds.
type Latencies []int64

// Add counts a duration.
func (l *Latencies) Add(d time.Duration) {
	if *l == nil {
		*l = make(Latencies, len(PulseBounds)+1)
	}
	i := 0
	for i < len(PulseBounds) && d.Seconds() > PulseBounds[i] {
		i++
	}
	(*l)[i]++
}

// Merge adds what another one has counted.
func (l *Latencies) Merge(other Latencies) {
	if len(other) == 0 {
		return
	}
	if *l == nil {
		*l = make(Latencies, len(PulseBounds)+1)
	}
	for i, n := range other {
		(*l)[i] += n
	}
}

// Quantile estimates the duration below which a share of the durations lies, between the bounds of its bucket. In
// the last bucket it is that one's lower bound. Zero: none was counted.
func (l Latencies) Quantile(share float64) time.Duration {
	var total, below int64
	for _, n := range l {
		total += n
	}
	rank := share * float64(total)
	for i, n := range l {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		lower := 0.0
		if i > 0 {
			lower = PulseBounds[i-1]
		}
		if i == len(PulseBounds) {
			return seconds(lower)
		}
		return seconds(lower + (PulseBounds[i]-lower)*(rank-float64(below))/float64(n))
	}
	return 0
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// PulseSent is what became of the messages of a source and topic in a minute, when they were taken up.
type PulseSent struct {
	Minute                 time.Time
	Source, Topic          string // source empty: the relay's own
	Taken, Rejected, Bytes int64
	LastAt                 time.Time // the insertion of the youngest
}

// PulseOutcome is what became of the attempts for a subscriber in a minute.
type PulseOutcome struct {
	Minute                                            time.Time
	Subscription                                      string
	Accepted, Handled, PushFailed, HandleFailed, Dead int64
	Wait                                              Latencies // from due to accepted, of those accepted by the first attempt
	Total                                             Latencies // from due to handled
	Causes                                            Causes    // of what failed
}

// Causes counts failures by their cause. Nil: nothing failed, or it was counted by a version that knew no causes.
type Causes map[relay.Cause]int64

// Add counts a failure.
func (c *Causes) Add(cause relay.Cause) {
	if *c == nil {
		*c = make(Causes)
	}
	(*c)[cause]++
}

// Merge adds what another one has counted.
func (c *Causes) Merge(other Causes) {
	if len(other) == 0 {
		return
	}
	if *c == nil {
		*c = make(Causes, len(other))
	}
	for cause, n := range other {
		(*c)[cause] += n
	}
}

const (
	writePulseSent = `
	insert into relay.pulse_sent as p (minute, relay, source, topic, taken, rejected, bytes, last_at)
	select w.minute, $1, w.source, w.topic, w.taken, w.rejected, w.bytes, w.last_at
	from unnest($2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[])
		as w(minute, source, topic, taken, rejected, bytes, last_at)
	on conflict (minute, relay, source, topic) do update set
		taken = p.taken + excluded.taken, rejected = p.rejected + excluded.rejected, bytes = p.bytes + excluded.bytes,
		last_at = greatest(p.last_at, excluded.last_at)`

	writePulseOutcome = `
	insert into relay.pulse_outcome as p (minute, relay, subscription, accepted, handled, push_failed, handle_failed, dead, wait, total, causes)
	values ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, $11)
	on conflict (minute, relay, subscription) do update set
		accepted = p.accepted + excluded.accepted, handled = p.handled + excluded.handled,
		push_failed = p.push_failed + excluded.push_failed, handle_failed = p.handle_failed + excluded.handle_failed, dead = p.dead + excluded.dead,
		wait = array(select a + b from unnest(p.wait, excluded.wait) with ordinality as x(a, b, n) order by n),
		total = array(select a + b from unnest(p.total, excluded.total) with ordinality as x(a, b, n) order by n),
		causes = (
			select jsonb_object_agg(cause, n) from (
				select cause, sum(n::bigint) as n
				from (select * from jsonb_each_text(p.causes) union all select * from jsonb_each_text(excluded.causes)) x(cause, n)
				group by cause
			) y
		)`

	retainPulse = `
	with sent as (
		delete from relay.pulse_sent where minute < statement_timestamp() - $1 * interval '1 microsecond' returning 1
	), outcome as (
		delete from relay.pulse_outcome where minute < statement_timestamp() - $1 * interval '1 microsecond' returning 1
	), standing as (
		delete from relay.pulse_standing where minute < statement_timestamp() - $1 * interval '1 microsecond' returning 1
	)
	select (select count(*) from sent) + (select count(*) from outcome) + (select count(*) from standing)`
)

// WritePulse adds to what a relay has counted. Each pair of minute and name stands there at most once.
func (s *Store) WritePulse(ctx context.Context, owner relay.ID, sent []PulseSent, outcomes []PulseOutcome) error {
	err := inTxOf(ctx, s.changes, "write the pulse", func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		if len(sent) > 0 {
			batch.Queue(writePulseSent, append([]any{[16]byte(owner)}, sentArrays(sent)...)...)
		}
		for _, o := range outcomes {
			batch.Queue(writePulseOutcome, [16]byte(owner), o.Minute, text(o.Subscription), o.Accepted, o.Handled, o.PushFailed, o.HandleFailed, o.Dead,
				filled(o.Wait), filled(o.Total), o.Causes)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	return err
}

// filled gives latencies all of their buckets.
func filled(l Latencies) []int64 {
	out := make([]int64, len(PulseBounds)+1)
	copy(out, l)
	return out
}

func sentArrays(sent []PulseSent) []any {
	n := len(sent)
	minutes, sources, topics, last := make([]time.Time, n), make([]string, n), make([]string, n), make([]time.Time, n)
	taken, rejected, bytes := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, p := range sent {
		minutes[i], sources[i], topics[i], last[i] = p.Minute, text(p.Source), text(p.Topic), p.LastAt
		taken[i], rejected[i], bytes[i] = p.Taken, p.Rejected, p.Bytes
	}
	return []any{minutes, sources, topics, taken, rejected, bytes, last}
}

// RetainPulse removes minutes older than PulseKept, and returns how many rows.
func (s *Store) RetainPulse(ctx context.Context) (n int, err error) {
	if err = s.changes.QueryRow(ctx, retainPulse, PulseKept.Microseconds()).Scan(&n); err != nil {
		return 0, fmt.Errorf("remove old minutes of the pulse: %w", err)
	}
	return n, nil
}
