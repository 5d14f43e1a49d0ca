package main

import (
	"context"
	"fmt"
	"time"
)

// runDelay measures how late delayed messages are, and what many that are not due cost.
func runDelay(ctx context.Context, l *lab, o options) (*report, error) {
	pending, seconds := 200_000, 20
	if o.full {
		pending, seconds = 1_000_000, 60
	}
	r := &report{}
	return r, l.overHTTP(ctx, func(d *database, endpoint *receiver, p *process) error {
		return r.delay(ctx, d, endpoint, p, pending, seconds)
	})
}

// delay measures for the given number of seconds, first without and then with the given number of
// pending messages that are not due.
func (r *report) delay(ctx context.Context, d *database, endpoint *receiver, p *process, pending, seconds int) error {
	if err := r.due(ctx, d, endpoint, seconds, "with none that are not due"); err != nil {
		return err
	}
	before := p.resident()
	if err := d.insertDelayed(ctx, pending); err != nil {
		return err
	}
	if err := sleep(ctx, 2*warmUp); err != nil {
		return err
	}
	scans, err := d.sequentialScans(ctx)
	if err != nil {
		return err
	}
	if err := r.due(ctx, d, endpoint, seconds, fmt.Sprintf("beside %d that are not due", pending)); err != nil {
		return err
	}
	after, err := d.sequentialScans(ctx)
	if err != nil {
		return err
	}
	r.judge(fmt.Sprintf("resident memory before and with %d delayed messages", pending), "no more than noise", p.resident() <= before+16<<10, "%d MB, %d MB", before>>10, p.resident()>>10)
	r.judge("sequential scans of relay.outbox and relay.delivery meanwhile", "0", after == scans, "%d", after-scans)
	return nil
}

// due inserts messages that become due one after another at the steady rate, and judges how
// long after that they arrive.
func (r *report) due(ctx context.Context, d *database, endpoint *receiver, seconds int, beside string) error {
	endpoint.take()
	had := endpoint.count.Load()
	n := seconds * steadyRate
	first := time.Now().Add(warmUp)
	for from := 0; from < n; from += steadyRate {
		payloads, dues := make([]string, steadyRate), make([]time.Time, steadyRate)
		for i := range payloads {
			dues[i] = first.Add(time.Duration(from+i) * time.Second / steadyRate)
			payloads[i] = newPayload(dues[i])
		}
		if _, err := d.app.Exec(ctx, `insert into relay.outbox (topic, payload, deliver_at) select 'bench', p, at from unnest($1::text[], $2::timestamptz[]) x(p, at)`, payloads, dues); err != nil {
			return err
		}
		if late := time.Since(dues[0]); late > 0 {
			return fmt.Errorf("messages were inserted %s after they were due", late)
		}
	}
	err := until(ctx, time.Duration(seconds)*time.Second+time.Minute, "all delayed messages have arrived", func() (bool, error) {
		return endpoint.count.Load() >= had+int64(n), nil
	})
	late := endpoint.take()
	early := 0
	for early < len(late) && late[early] < 0 {
		early++
	}
	r.judge(fmt.Sprintf("p99 after due at %d due messages/s, %s", steadyRate, beside), "≤ 100ms", late.quantile(0.99) <= 100*time.Millisecond,
		"%s (p50 %s, %d messages)", milliseconds(late.quantile(0.99)), milliseconds(late.quantile(0.5)), len(late))
	r.judge("of them, early", "0", early == 0, "%d", early)
	return err
}

// insertDelayed inserts n messages that become due in a year.
func (d *database) insertDelayed(ctx context.Context, n int) error {
	const part = 50_000
	for left := n; left > 0; left -= part {
		_, err := d.app.Exec(ctx, `insert into relay.outbox (topic, payload, deliver_at) select 'bench', $1, now() + interval '1 year' from generate_series(1, $2)`,
			newPayload(time.Now()), min(part, left))
		if err != nil {
			return err
		}
	}
	return nil
}

// sequentialScans is how often the two large tables were read from end to end.
func (d *database) sequentialScans(ctx context.Context) (n int64, err error) {
	err = d.admin.QueryRow(ctx, `select sum(seq_scan) from pg_stat_user_tables where schemaname = 'relay' and relname in ('outbox', 'delivery')`).Scan(&n)
	return n, err
}
