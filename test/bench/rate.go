package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// rateMessages is how many messages each step of a round moves.
func rateMessages(perTx int) int {
	if perTx == 1 {
		return 10_000
	}
	return 20_000
}

// round is what one round of the rate section found.
type round struct {
	limits     limits
	http, amqp float64 // messages a second through the relay
	httpUsed   usage
	amqpUsed   usage
}

// rateBench holds the databases of the rate section: one for the limits and one for each of
// two relays, which run all the time, while only one of them has something to do.
type rateBench struct {
	limits, http, amqp *database
	receiver           *receiver
	httpRelay          *process
	amqpRelay          *process
}

func runRate(ctx context.Context, l *lab, o options) (_ *report, err error) {
	b := &rateBench{}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	if err := b.open(ctx, l); err != nil {
		return nil, err
	}
	r := &report{}
	for _, perTx := range []int{100, 1} {
		if _, err := b.round(ctx, l, perTx); err != nil { // warms up
			return nil, err
		}
		var rounds []round
		for range o.rounds {
			one, err := b.round(ctx, l, perTx)
			if err != nil {
				return nil, err
			}
			rounds = append(rounds, one)
		}
		r.rates(perTx, rounds)
	}
	return r, nil
}

func (b *rateBench) open(ctx context.Context, l *lab) (err error) {
	for _, d := range []**database{&b.limits, &b.http, &b.amqp} {
		if *d, err = l.database(ctx); err != nil {
			return err
		}
		if err = (*d).declare(); err != nil {
			return err
		}
	}
	if err = b.limits.prepareLimits(ctx); err != nil {
		return err
	}
	if b.receiver, err = newReceiver(0); err != nil {
		return err
	}
	if b.httpRelay, err = b.http.relay(ctx, "RELAY_DEFAULT_DESTINATION="+b.receiver.url); err != nil {
		return err
	}
	b.amqpRelay, err = b.amqp.relay(ctx, "RELAY_DEFAULT_DESTINATION="+b.amqp.target())
	return err
}

func (b *rateBench) close(ctx context.Context) (err error) {
	for _, p := range []*process{b.httpRelay, b.amqpRelay} {
		if p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	for _, d := range []*database{b.limits, b.http, b.amqp} {
		if d != nil {
			err = errors.Join(err, d.drop(ctx))
		}
	}
	if b.receiver != nil {
		err = errors.Join(err, b.receiver.close())
	}
	return err
}

func (b *rateBench) round(ctx context.Context, l *lab, perTx int) (one round, err error) {
	n := rateMessages(perTx)
	if one.limits, err = b.limits.measureLimits(ctx, b.receiver, n, perTx); err != nil {
		return one, fmt.Errorf("limits: %w", err)
	}
	before := l.usage()
	if one.http, err = b.http.through(ctx, b.httpRelay, n, perTx); err != nil {
		return one, err
	}
	between := l.usage()
	if one.amqp, err = b.amqp.through(ctx, b.amqpRelay, n, perTx); err != nil {
		return one, err
	}
	one.httpUsed, one.amqpUsed = between.since(before), l.usage().since(between)
	b.receiver.take()
	return one, errors.Join(b.limits.declare(), b.amqp.declare())
}

// through inserts n messages as fast as it can and returns the rate from the first INSERT to
// the last outcome written.
func (d *database) through(ctx context.Context, p *process, n, perTx int) (rate float64, err error) {
	before := p.written()
	began := time.Now()
	if err := d.insert(ctx, n, perTx, ""); err != nil {
		return 0, err
	}
	err = p.awaitWritten(ctx, before+n)
	return float64(n) / time.Since(began).Seconds(), err
}

// awaitWritten waits until the relay has written total outcomes. Each question costs the relay
// time, so it asks seldom until the end is near.
func (p *process) awaitWritten(ctx context.Context, total int) error {
	var rate float64
	last, at := p.written(), time.Now()
	for deadline := at.Add(30 * time.Minute); last < total; {
		wait := 100 * time.Millisecond
		if rate > 0 {
			left := time.Duration(float64(total-last) / rate * float64(time.Second))
			wait = min(max(left/2, 5*time.Millisecond), time.Second)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		now, n := time.Now(), p.written()
		if now.After(deadline) {
			return fmt.Errorf("%d outcomes are missing:\n%s", total-n, p.log)
		}
		rate = float64(n-last) / now.Sub(at).Seconds()
		last, at = n, now
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// wantedRatio is the least share of the combined limit.
const wantedRatio = 0.8

func (r *report) rates(perTx int, rounds []round) {
	middle := func(value func(round) float64) float64 {
		var values []float64
		for _, one := range rounds {
			values = append(values, value(one))
		}
		return median(values)
	}
	name := rowsPerTransaction(perTx)
	http := middle(func(o round) float64 { return o.http / o.limits.http() })
	amqp := middle(func(o round) float64 { return o.amqp / o.limits.amqp() })
	r.judge("HTTP, "+name, "ratio ≥ 0.8", http >= wantedRatio, "%.2f: %.0f/s of %.0f/s", http,
		middle(func(o round) float64 { return o.http }), middle(func(o round) float64 { return o.limits.http() }))
	r.judge("AMQP, "+name, "ratio ≥ 0.8", amqp >= wantedRatio, "%.2f: %.0f/s of %.0f/s", amqp,
		middle(func(o round) float64 { return o.amqp }), middle(func(o round) float64 { return o.limits.amqp() }))
	r.note("Alone, %s: inserting %.0f/s, draining the slot %.0f/s, reading by id %.0f/s, POSTs %.0f/s, confirmed publishing %.0f/s, writing outcomes %.0f/s.", name,
		middle(func(o round) float64 { return o.limits.insert }), middle(func(o round) float64 { return o.limits.drain }),
		middle(func(o round) float64 { return o.limits.read }), middle(func(o round) float64 { return o.limits.post }),
		middle(func(o round) float64 { return o.limits.publish }), middle(func(o round) float64 { return o.limits.write }))
	last := rounds[len(rounds)-1]
	r.note("HTTP, %s: %s.", name, last.httpUsed.perMessage(rateMessages(perTx)))
	r.note("AMQP, %s: %s.", name, last.amqpUsed.perMessage(rateMessages(perTx)))
	for i, one := range rounds {
		fmt.Printf("round %d, %s: HTTP %.2f (%.0f/s), AMQP %.2f (%.0f/s)\n", i+1, name,
			one.http/one.limits.http(), one.http, one.amqp/one.limits.amqp(), one.amqp)
	}
}

const (
	// consumedMessages is how many messages a consumer of a queue takes in one round.
	consumedMessages = 40_000
	// wantedConsumed is the least share of the rate over HTTP.
	wantedConsumed = 7.0 / 8
)

// runConsumed compares the rate to a quorum queue, with a consumer that acknowledges each message, with the rate over
// HTTP. Servers, relays, producers and receivers share the machine's cores. The two take turns.
func runConsumed(ctx context.Context, l *lab, o options) (*report, error) {
	r := &report{}
	return r, l.overHTTP(ctx, func(web *database, endpoint *receiver, p *process) error {
		return l.overQueue(ctx, func(queue *database, received *recorder, q *process) error {
			var ratios, http, amqp []float64
			for i := range o.rounds + 1 {
				posted, err := web.through(ctx, p, consumedMessages, 100)
				if err != nil {
					return err
				}
				published, err := queue.through(ctx, q, consumedMessages, 100)
				if err != nil {
					return err
				}
				endpoint.take()
				received.take()
				if i > 0 { // the first round warms up
					ratios, http, amqp = append(ratios, published/posted), append(http, posted), append(amqp, published)
				}
			}
			r.judge(fmt.Sprintf("%d messages to a quorum queue with a consumer", consumedMessages), "≥ 7/8 of the rate over HTTP",
				median(ratios) >= wantedConsumed, "%.2f: %.0f/s, over HTTP %.0f/s", median(ratios), median(amqp), median(http))
			return nil
		})
	})
}
