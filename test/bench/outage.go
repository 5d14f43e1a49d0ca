package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// lagLimit is the most WAL, in bytes, that the slot may not have confirmed.
const lagLimit = 32 << 20

// runOutage sends half of the rows to an endpoint that refuses connections, and looks at
// the slot, at memory and at the other half.
func runOutage(ctx context.Context, l *lab, o options) (_ *report, err error) {
	span := 30 * time.Second
	if o.full {
		span = 5 * time.Minute
	}
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
	other, err := newReceiver(0)
	if err != nil {
		return nil, err
	}
	p, err := d.relay(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	before, rate, err := d.steady(ctx, &endpoint.recorder, min(span, 20*time.Second), endpoint.url, other.url)
	if err != nil {
		return nil, err
	}
	if err := other.close(); err != nil {
		return nil, err
	}
	r := &report{}
	r.reached("before", rate)
	return r, r.outage(ctx, d, p, endpoint, before, span, other.url)
}

func (r *report) outage(ctx context.Context, d *database, p *process, endpoint *receiver, before latencies, span time.Duration, dead string) error {
	if _, err := d.pace(ctx, steadyRate, warmUp, endpoint.url, dead); err != nil {
		return err
	}
	endpoint.take()
	memory := p.resident()
	watching, stop := context.WithCancel(ctx)
	var mostLag int64
	mostMemory := memory
	var watch errgroup.Group
	watch.Go(func() error {
		for sleep(watching, 500*time.Millisecond) == nil {
			lag, err := d.confirmedLag(ctx)
			if err != nil {
				return err
			}
			mostLag, mostMemory = max(mostLag, lag), max(mostMemory, p.resident())
		}
		return nil
	})
	rate, err := d.pace(ctx, steadyRate, span, endpoint.url, dead)
	stop()
	if err := errors.Join(err, watch.Wait()); err != nil {
		return err
	}
	r.reached("during", rate)
	during := endpoint.take()
	r.judge("the slot's confirmed lag, at most", "< 32 MB", mostLag < lagLimit, "%.1f MB", float64(mostLag)/(1<<20))
	r.judge("resident memory, first and most", "flat", mostMemory <= memory+memory/4, "%d MB, %d MB", memory>>10, mostMemory>>10)
	unchanged := max(2*before.quantile(0.99), 20*time.Millisecond)
	r.judge("p99 of the other destination, before and during", "unchanged", during.quantile(0.99) <= unchanged,
		"%s, %s", milliseconds(before.quantile(0.99)), milliseconds(during.quantile(0.99)))
	r.tell("p50 of the other destination, before and during", "%s, %s", milliseconds(before.quantile(0.5)), milliseconds(during.quantile(0.5)))
	r.note("%s at %d rows/s, half of them to an endpoint that refuses connections. 'Unchanged' is judged with room for the noise of the machine: at most twice as much, or 20 ms.", span, steadyRate)
	return nil
}

// confirmedLag is how much WAL the database's slot has not confirmed, in bytes.
func (d *database) confirmedLag(ctx context.Context) (lag int64, err error) {
	err = d.admin.QueryRow(ctx, `
		select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint
		from pg_replication_slots where slot_name = $1`, d.name).Scan(&lag)
	if err != nil {
		err = fmt.Errorf("read the slot's lag: %w", err)
	}
	return lag, err
}
