package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// residentLimit is the most resident memory, in kB, that a backlog may cost.
	residentLimit = 150 << 10
	// liveMessages is how many messages the live rate is taken from.
	liveMessages = 50_000
)

// runBacklog compares the rate of rows that wait in the table with that of rows which the
// stream brings: left while the relay was down, and of one large transaction.
func runBacklog(ctx context.Context, l *lab, o options) (_ *report, err error) {
	n := 200_000
	if o.full {
		n = 1_000_000
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
	b := &backlogBench{database: d, env: "RELAY_DEFAULT_DESTINATION=" + endpoint.url, n: n}
	r := &report{}
	live, err := b.live(ctx)
	if err != nil {
		return nil, err
	}
	left, memory, err := b.left(ctx)
	if err != nil {
		return nil, err
	}
	endpoint.take()
	r.judge(fmt.Sprintf("%d rows left while the relay was down", n), "≥ 0.8 of the live rate", left >= wantedRatio*live, "%.2f: %.0f/s of %.0f/s", left/live, left, live)
	r.judge("most resident memory", "≤ 150 MB", memory <= residentLimit, "%d MB", memory>>10)
	large, memory, err := b.large(ctx)
	if err != nil {
		return nil, err
	}
	after, err := b.live(ctx)
	if err != nil {
		return nil, err
	}
	live = (live + after) / 2
	r.judge(fmt.Sprintf("one transaction of %d rows, from its COMMIT", n), "≥ 0.8 of the live rate", large >= wantedRatio*live, "%.2f: %.0f/s of %.0f/s", large/live, large, live)
	r.judge("most resident memory", "≤ 150 MB", memory <= residentLimit, "%d MB", memory>>10)
	return r, nil
}

type backlogBench struct {
	*database
	env string
	n   int
}

// during runs f beside a relay of its own and returns f's rate and the relay's most memory.
func (b *backlogBench) during(ctx context.Context, f func(*process) (float64, error)) (rate float64, kb int, err error) {
	p, err := b.relay(ctx, b.env)
	if err != nil {
		return 0, 0, err
	}
	rate, err = f(p)
	kb = p.mostResident()
	return rate, kb, errors.Join(err, p.stop())
}

// live is the rate at which rows go through while they are being inserted.
func (b *backlogBench) live(ctx context.Context) (float64, error) {
	rate, _, err := b.during(ctx, func(p *process) (float64, error) { return b.through(ctx, p, liveMessages, 100) })
	return rate, err
}

// left inserts rows while no relay runs, and counts from when one is ready.
func (b *backlogBench) left(ctx context.Context) (rate float64, kb int, err error) {
	if err := b.insert(ctx, b.n, 100, ""); err != nil {
		return 0, 0, err
	}
	return b.during(ctx, func(p *process) (float64, error) {
		had, began := p.written(), time.Now()
		err := p.awaitWritten(ctx, b.n)
		return float64(b.n-had) / time.Since(began).Seconds(), err
	})
}

// large inserts rows in one transaction and counts from its commit.
func (b *backlogBench) large(ctx context.Context) (rate float64, kb int, err error) {
	return b.during(ctx, func(p *process) (float64, error) {
		if err := b.insertLarge(ctx, b.n); err != nil {
			return 0, err
		}
		began := time.Now()
		err := p.awaitWritten(ctx, b.n)
		return float64(b.n) / time.Since(began).Seconds(), err
	})
}
