package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"relay"
)

// slowAnswer and slowConcurrency are those of an endpoint that waits rather than works.
const (
	slowAnswer      = 20 * time.Millisecond
	slowConcurrency = 16
)

// runShare compares one relay with two on the same database and cores: where the cores are
// the limit, and where the endpoint's answers are.
func runShare(ctx context.Context, l *lab, o options) (*report, error) {
	r := &report{}
	one, two, err := l.compareRelays(ctx, o.rounds, 20_000, 0)
	if err != nil {
		return nil, err
	}
	r.judge("two relays, local endpoint", "≥ 0.85 of one", ratioOf(two, one) >= 0.85, "%.2f: %.0f/s of %.0f/s", ratioOf(two, one), median(two), median(one))
	one, two, err = l.compareRelays(ctx, 3, 4_000, slowAnswer, "RELAY_HTTP_CONCURRENCY=16")
	if err != nil {
		return nil, err
	}
	r.judge("two relays, endpoint of 20 ms, concurrency 16 each", "≥ 1.8 of one", ratioOf(two, one) >= 1.8, "%.2f: %.0f/s of %.0f/s", ratioOf(two, one), median(two), median(one))
	r.note("16 at once at 20 ms each are %d/s at most.", slowConcurrency*int(time.Second/slowAnswer))
	return r, nil
}

// ratioOf is the median of the rounds' ratios.
func ratioOf(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

// compareRelays measures rates with one relay and with two in turns.
func (l *lab) compareRelays(ctx context.Context, rounds, n int, delay time.Duration, env ...string) (one, two []float64, err error) {
	d, err := l.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	endpoint, err := newReceiver(delay)
	if err != nil {
		return nil, nil, err
	}
	defer endpoint.close()
	env = append(env, "RELAY_DEFAULT_DESTINATION="+endpoint.url)
	for range rounds {
		alone, err := d.shared(ctx, endpoint, 1, n, env)
		if err != nil {
			return nil, nil, err
		}
		both, err := d.shared(ctx, endpoint, 2, n, env)
		if err != nil {
			return nil, nil, err
		}
		one, two = append(one, alone), append(two, both)
	}
	return one, two, nil
}

// shared measures the rate of the given number of relays, once they share the shards evenly. It
// counts what the endpoint has received, since each relay knows only what it sent itself.
func (d *database) shared(ctx context.Context, endpoint *receiver, relays, n int, env []string) (rate float64, err error) {
	var running []*process
	defer func() {
		for _, p := range running {
			err = errors.Join(err, p.stop())
		}
	}()
	for range relays {
		p, err := d.relay(ctx, env...)
		if err != nil {
			return 0, err
		}
		running = append(running, p)
	}
	if err := awaitEven(ctx, running); err != nil {
		return 0, err
	}
	had, began := endpoint.count.Load(), time.Now()
	if err := d.insert(ctx, n, 100, ""); err != nil {
		return 0, err
	}
	err = until(ctx, 5*time.Minute, "all messages have arrived", func() (bool, error) {
		return endpoint.count.Load() >= had+int64(n), nil
	})
	endpoint.take()
	return float64(n) / time.Since(began).Seconds(), err
}

// awaitEven waits until each relay owns its share of the shards.
func awaitEven(ctx context.Context, running []*process) error {
	return until(ctx, time.Minute, "the relays share evenly", func() (bool, error) {
		for _, p := range running {
			page, _ := ask("http://" + p.metrics + "/readyz")
			if !strings.Contains(page, fmt.Sprintf("owns %d of %d, %d relays", relay.Shards/len(running), relay.Shards, len(running))) {
				return false, nil
			}
		}
		return true, nil
	})
}
