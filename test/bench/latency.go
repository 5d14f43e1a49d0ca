package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// steadyRate is the rate of rows at which latencies are measured, per second.
const steadyRate = 1000

// warmUp is how long a steady load runs before its latencies count.
const warmUp = 3 * time.Second

func runLatency(ctx context.Context, l *lab, o options) (*report, error) {
	span := 20 * time.Second
	if o.full {
		span = time.Minute
	}
	r := &report{}
	err := l.overHTTP(ctx, func(d *database, endpoint *receiver, _ *process) error {
		return r.latencyHTTP(ctx, d, endpoint, span)
	})
	if err != nil {
		return nil, err
	}
	return r, r.latencyAMQP(ctx, l, span)
}

func (r *report) latencyHTTP(ctx context.Context, d *database, endpoint *receiver, span time.Duration) error {
	before := d.lab.usage()
	found, rate, err := d.steady(ctx, &endpoint.recorder, span)
	if err != nil {
		return err
	}
	r.reached("HTTP", rate)
	r.latency("HTTP", found, 4*time.Millisecond, 20*time.Millisecond)
	r.note("HTTP: %s.", d.lab.usage().since(before).perMessage(int((span+warmUp).Seconds())*steadyRate))
	return nil
}

func (r *report) latencyAMQP(ctx context.Context, l *lab, span time.Duration) error {
	return l.overQueue(ctx, func(d *database, received *recorder, _ *process) error {
		before := l.usage()
		found, rate, err := d.steady(ctx, received, span)
		if err != nil {
			return err
		}
		r.reached("AMQP", rate)
		r.latency("AMQP with a consumer", found, 8*time.Millisecond, 40*time.Millisecond)
		r.note("AMQP: %s.", l.usage().since(before).perMessage(int((span+warmUp).Seconds())*steadyRate))
		return nil
	})
}

// overQueue runs f with a fresh database, a relay whose default destination is a quorum queue, and a consumer of that.
func (l *lab) overQueue(ctx context.Context, f func(d *database, received *recorder, p *process) error) (err error) {
	d, err := l.database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	if err := d.declare(); err != nil {
		return err
	}
	consuming, stop := context.WithCancel(ctx)
	var received recorder
	var consumer errgroup.Group
	consumer.Go(func() error { return d.consume(consuming, &received) })
	defer func() { stop(); err = errors.Join(err, consumer.Wait()) }()
	p, err := d.relay(ctx, "RELAY_DEFAULT_DESTINATION="+d.target())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return f(d, &received, p)
}

// steady inserts one row a transaction at the steady rate and returns the latencies after
// the warm-up, and the rate that was reached.
func (d *database) steady(ctx context.Context, into *recorder, span time.Duration, destinations ...string) (latencies, float64, error) {
	if _, err := d.pace(ctx, steadyRate, warmUp, destinations...); err != nil {
		return nil, 0, err
	}
	into.take()
	reached, err := d.pace(ctx, steadyRate, span, destinations...)
	return into.take(), reached, err
}

// reached says so where the machine could not take the steady rate: what was measured then
// is the wait for a core.
func (r *report) reached(what string, rate float64) {
	if rate < 0.95*steadyRate {
		r.note("%s: only %.0f of %d rows/s could be inserted; the machine was too busy for these figures to mean anything.", what, rate, steadyRate)
	}
}

func (r *report) latency(what string, found latencies, p50, p99 time.Duration) {
	half, most := found.quantile(0.5), found.quantile(0.99)
	r.judge(what+", p50", "≤ "+p50.String(), half <= p50, "%s", milliseconds(half))
	r.judge(what+", p99", "≤ "+p99.String(), most <= p99, "%s (%d messages)", milliseconds(most), len(found))
}

// milliseconds writes a duration with as many digits as mean something.
func milliseconds(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
