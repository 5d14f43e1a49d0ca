package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// runSoak inserts 1,000 rows/s for a long time with a short retention, while a snapshot is
// held open for a sixth of the time in the middle, so that nothing can be vacuumed.
func runSoak(ctx context.Context, l *lab, o options) (_ *report, err error) {
	d, err := l.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	endpoint, err := newReceiver(0)
	if err != nil {
		return nil, err
	}
	defer endpoint.close()
	retention := o.soak / 12
	p, err := d.relay(ctx, "RELAY_DEFAULT_DESTINATION="+endpoint.url, "RELAY_RETENTION="+retention.String())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	s := &soak{database: d, process: p, endpoint: endpoint, span: o.soak, began: time.Now()}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	r := &report{}
	r.soak(s)
	r.note("%s at %d rows/s, retention %s, a REPEATABLE READ transaction open for %s from %s on.", o.soak, steadyRate, retention, o.soak/6, s.holdFrom())
	return r, nil
}

// soak is one long run.
type soak struct {
	*database
	*process
	endpoint *receiver
	span     time.Duration
	began    time.Time
	samples  []sample
}

// sample is what was seen at one moment, and since the one before.
type sample struct {
	at        time.Duration
	latencies latencies
	resident  int           // kB
	bytes     int64         // of tables and indexes
	sweeping  time.Duration // that sweeps took since the start, in all groups together
	held      bool          // the snapshot is open
}

// samplesInAll is how many samples a run has, however long it is.
const samplesInAll = 60

func (s *soak) holdFrom() time.Duration { return s.span * 5 / 12 }
func (s *soak) holdTo() time.Duration   { return s.span * 7 / 12 }

// run keeps the load, the snapshot and the sampling going until the time is over.
func (s *soak) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := s.pace(ctx, steadyRate, s.span)
		return err
	})
	group.Go(func() error { return s.hold(ctx) })
	group.Go(func() error {
		for range samplesInAll {
			if err := sleep(ctx, s.span/samplesInAll); err != nil {
				return err
			}
			if err := s.sample(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// hold keeps a snapshot open in the middle of the run.
func (s *soak) hold(ctx context.Context) error {
	if err := sleep(ctx, s.holdFrom()); err != nil {
		return err
	}
	tx, err := s.admin.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return err
	}
	var rows int
	err = tx.QueryRow(ctx, "select count(*) from relay.lease").Scan(&rows)
	if err == nil {
		err = sleep(ctx, s.holdTo()-s.holdFrom())
	}
	return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
}

func (s *soak) sample(ctx context.Context) error {
	at := time.Since(s.began)
	one := sample{at: at, latencies: s.endpoint.take(), resident: s.resident(), sweeping: time.Duration(s.value("relay_reconcile_sweep_seconds_total") * float64(time.Second)), held: at > s.holdFrom() && at < s.holdTo()+s.span/samplesInAll}
	err := s.admin.QueryRow(ctx, `
		select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'relay' and c.relkind = 'r'`).Scan(&one.bytes)
	s.samples = append(s.samples, one)
	fmt.Printf("%s: p50 %s, p99 %s, resident %d MB, tables %d MB\n", at.Round(time.Second), milliseconds(one.latencies.quantile(0.5)),
		milliseconds(one.latencies.quantile(0.99)), one.resident>>10, one.bytes>>20)
	return err
}

// phase returns the medians over the samples between two shares of the run.
func (s *soak) phase(from, to float64) (p99 time.Duration, kb int, bytes int64) {
	var latency, memory, size []float64
	for _, one := range s.samples[int(from*samplesInAll):int(to*samplesInAll)] {
		latency = append(latency, float64(one.latencies.quantile(0.99)))
		memory = append(memory, float64(one.resident))
		size = append(size, float64(one.bytes))
	}
	return time.Duration(median(latency)), int(median(memory)), int64(median(size))
}

// mostSwept returns the largest share of the time that sweeps took between two samples, after
// the first two.
func (s *soak) mostSwept() (share float64) {
	for i := 2; i < len(s.samples); i++ {
		one, before := s.samples[i], s.samples[i-1]
		share = max(share, float64(one.sweeping-before.sweeping)/float64(one.at-before.at))
	}
	return share
}

// soak compares the time before the snapshot with the time of it and the end.
func (r *report) soak(s *soak) {
	before, memory, size := s.phase(0.2, 0.4)
	during, _, most := s.phase(0.42, 0.58)
	_, _, level := s.phase(0.7, 0.8)
	after, memoryAfter, sizeAfter := s.phase(0.85, 1)
	r.judge("p99 before, during and after the snapshot", "at most doubles", max(during, after) <= 2*before, "%s, %s, %s", milliseconds(before), milliseconds(during), milliseconds(after))
	last := s.samples[len(s.samples)-1]
	swept := float64(last.sweeping) / float64(last.at)
	r.judge("share of the time that sweeps take, and in the worst sixtieth of the run", "≤ 5 % as a whole", swept <= 0.05, "%.2f %%, %.2f %%", 100*swept, 100*s.mostSwept())
	r.judge("resident memory, before and after", "no growth", memoryAfter <= memory+memory/5, "%d MB, %d MB", memory>>10, memoryAfter>>10)
	r.judge("tables and indexes before, during, after the snapshot and at the end", "level afterwards", sizeAfter <= level+level/20,
		"%d MB, %d MB, %d MB, %d MB", size>>20, most>>20, level>>20, sizeAfter>>20)
}
