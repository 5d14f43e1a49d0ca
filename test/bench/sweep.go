package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relay"
	"relay/sql"
)

// runSweep fills the table with messages that are done and measures what looking for work
// among them costs: one sweep, and a relay with nothing to do.
func runSweep(ctx context.Context, l *lab, o options) (_ *report, err error) {
	n, idle := 1_000_000, 20*time.Second
	if o.full {
		n, idle = 10_000_000, time.Minute
	}
	d, err := l.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	if err := d.fill(ctx, n); err != nil {
		return nil, err
	}
	r := &report{}
	if err := r.emptySweep(ctx, d, n); err != nil {
		return nil, err
	}
	return r, r.idle(ctx, d, idle)
}

// fill inserts messages that are done, through every index that a live one would pass.
func (d *database) fill(ctx context.Context, n int) error {
	const part = 100_000
	for left := n; left > 0; left -= part {
		rows := min(part, left)
		if _, err := d.admin.Exec(ctx, `insert into relay.outbox (topic, payload) select 'bench', '{}' from generate_series(1, $1)`, rows); err != nil {
			return err
		}
		if _, err := d.admin.Exec(ctx, "set enable_seqscan = off; update relay.outbox set status = 'done', finished_at = now() where status = 'pending' and key is null and (deliver_at is null or due); set enable_seqscan = on"); err != nil {
			return err
		}
	}
	_, err := d.admin.Exec(ctx, "vacuum analyze relay.outbox")
	return err
}

// emptySweep takes the median of many sweeps over all shards that find nothing, both of
// messages with a key and of those without.
func (r *report) emptySweep(ctx context.Context, d *database, n int) error {
	store, err := sql.Open(ctx, d.url, connections)
	if err != nil {
		return err
	}
	defer store.Close()
	shards, walks := make([]int16, relay.Shards), make([]sql.Walk, relay.Shards)
	for i := range shards {
		shards[i], walks[i].Shard = int16(i), int16(i)
	}
	const times = 101
	var took []float64
	for range times {
		began := time.Now()
		if _, err := store.SweepPending(ctx, walks, batch/relay.Shards); err != nil {
			return err
		}
		if _, err := store.SweepKeys(ctx, shards, sql.Position{}, batch); err != nil {
			return err
		}
		took = append(took, float64(time.Since(began)))
	}
	middle := time.Duration(median(took))
	r.judge(fmt.Sprintf("a sweep that finds nothing beside %d done rows", n), "≤ 5ms", middle <= 5*time.Millisecond, "%s", milliseconds(middle))
	return nil
}

// idle measures a relay that has nothing to do.
func (r *report) idle(ctx context.Context, d *database, span time.Duration) error {
	p, err := d.relay(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, warmUp); err != nil {
		return errors.Join(err, p.stop())
	}
	own, all := p.cpu(), d.lab.usage()
	if err := sleep(ctx, span); err != nil {
		return errors.Join(err, p.stop())
	}
	used := 100 * (p.cpu() - own).Seconds() / span.Seconds()
	server := d.lab.usage().since(all)
	r.judge("CPU of an idle relay", "< 1 % of a core", used < 1, "%.2f %%", used)
	r.tell("CPU of PostgreSQL's backends meanwhile", "%.2f %% of a core", 100*(server.backends+server.walsender).Seconds()/span.Seconds())
	return p.stop()
}
