package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// beforeSection compares with an earlier revision, which -before names. No call without it includes the section.
const beforeSection = "before"

// What a new revision may cost: a share of the rate, and times an INSERT.
const (
	wantedRate   = 0.97
	wantedInsert = 1.1
)

// runBefore compares deliveries and INSERTs with those of an earlier revision, each with a database of its own, which
// its own migrations made. The two take turns, and each begins every other round.
func runBefore(ctx context.Context, l *lab, o options) (_ *report, err error) {
	if o.before == "" {
		return nil, errors.New("name a revision: -before COMMIT")
	}
	before := *l
	before.binary = l.binary + "-before"
	if err := buildRevision(ctx, o.before, before.binary); err != nil {
		return nil, err
	}
	r := &report{}
	rounds := max(o.rounds, 5)
	if o.full {
		rounds = max(o.rounds, 15)
	}
	if err := r.insertsBefore(ctx, l, &before, rounds); err != nil {
		return nil, err
	}
	err = l.overHTTP(ctx, func(now *database, a *receiver, p *process) error {
		return before.overHTTP(ctx, func(then *database, b *receiver, q *process) error {
			return r.ratesBefore(ctx, pairOf[delivering]{now: delivering{now, a, p}, then: delivering{then, b, q}}, rounds)
		})
	})
	r.note("Before: revision %s. The medians of %d rounds, in which both take turns.", o.before, rounds)
	return r, err
}

// buildRevision builds the relay of a revision.
func buildRevision(ctx context.Context, revision, binary string) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(binary), "revision")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	const script = `git archive "$1" | tar -x -C "$2" && cd "$2" && go build -o "$3" ./cmd/relay`
	if out, err := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", script, "build", revision, dir, binary).CombinedOutput(); err != nil {
		return fmt.Errorf("build revision %s: %w\n%s", revision, err, out)
	}
	return nil
}

// pairOf is something of this revision and of the one before.
type pairOf[T any] struct{ now, then T }

// measure measures both in turns. The first round of each counts for nothing.
func (p pairOf[T]) measure(rounds int, one func(T) (float64, error)) (now, then []float64, err error) {
	for i := range rounds + 1 {
		first, second := p.now, p.then
		if i%2 == 1 {
			first, second = second, first
		}
		a, err := one(first)
		if err != nil {
			return nil, nil, err
		}
		b, err := one(second)
		if err != nil {
			return nil, nil, err
		}
		if i%2 == 1 {
			a, b = b, a
		}
		if i > 0 {
			now, then = append(now, a), append(then, b)
		}
	}
	return now, then, nil
}

// insertsBefore compares what an INSERT costs, on one connection and without a relay.
func (r *report) insertsBefore(ctx context.Context, l, before *lab, rounds int) (err error) {
	var pair pairOf[*database]
	for _, one := range []struct {
		of *lab
		d  **database
	}{{l, &pair.now}, {before, &pair.then}} {
		if *one.d, err = one.of.database(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, (*one.d).drop(ctx)) }()
	}
	for _, rows := range []int{1, 100} {
		now, then, err := pair.measure(3*rounds, func(d *database) (float64, error) {
			conn, err := d.admin.Acquire(ctx)
			if err != nil {
				return 0, err
			}
			defer conn.Release()
			return insertCost(ctx, conn.Conn(), "relay.outbox", rows)
		})
		if err != nil {
			return err
		}
		ratio := ratioOf(now, then)
		r.judge(fmt.Sprintf("an INSERT, %s", rowsPerTransaction(rows)), fmt.Sprintf("≤ %.1f times", wantedInsert), ratio <= wantedInsert,
			"%.2f: %.1f µs a row, before %.1f µs", ratio, median(now), median(then))
	}
	return nil
}

// delivering is a database with a relay that delivers over HTTP.
type delivering struct {
	*database
	endpoint *receiver
	relay    *process
}

// through inserts n messages as fast as it can, and returns the rate until the endpoint has all of them, and what was
// used meanwhile. The relay is asked for its metrics before and after, and not in between: one that counts for them
// what stands in the tables answers later than one that does not.
func (d delivering) through(ctx context.Context, n, perTx int) (rate float64, used usage, err error) {
	written, received := d.relay.written(), d.endpoint.count.Load()
	before, began := d.lab.usage(), time.Now()
	if err := d.insert(ctx, n, perTx, ""); err != nil {
		return 0, used, err
	}
	err = until(ctx, 5*time.Minute, "the endpoint has all messages", func() (bool, error) {
		return d.endpoint.count.Load() >= received+int64(n), nil
	})
	if err != nil {
		return 0, used, err
	}
	rate, used = float64(n)/time.Since(began).Seconds(), d.lab.usage().since(before)
	d.endpoint.take()
	return rate, used, d.relay.awaitWritten(ctx, written+n)
}

// ratesBefore compares rates from the first INSERT to the last request, and what a message costs the relay and its
// sessions, which the machine's moment moves less.
func (r *report) ratesBefore(ctx context.Context, pair pairOf[delivering], rounds int) error {
	for _, perTx := range []int{100, 1} {
		cost, used := map[*database][]float64{}, map[*database]usage{}
		n := rateMessages(perTx)
		now, then, err := pair.measure(rounds, func(d delivering) (float64, error) {
			rate, one, err := d.through(ctx, n, perTx)
			own := one.relays + one.backends + one.walsender
			cost[d.database], used[d.database] = append(cost[d.database], float64(own.Microseconds())/float64(n)), used[d.database].plus(one)
			return rate, err
		})
		if err != nil {
			return err
		}
		ratio, name := ratioOf(now, then), rowsPerTransaction(perTx)
		r.judge("the rate over HTTP, "+name, fmt.Sprintf("≥ %.2f of that before", wantedRate), ratio >= wantedRate, "%.2f: %.0f/s, before %.0f/s",
			ratio, median(now), median(then))
		a, b := cost[pair.now.database][1:], cost[pair.then.database][1:]
		r.tell("CPU of the relay, its backends and the walsender, "+name, "%.2f times that before: %.0f µs a message, before %.0f µs",
			ratioOf(a, b), median(a), median(b))
		r.note("Now, %s: %s.", name, used[pair.now.database].perMessage(n*(rounds+1)))
		r.note("Before, %s: %s.", name, used[pair.then.database].perMessage(n*(rounds+1)))
		fmt.Printf("%s: now %s; before %s\n", name, wholes(now), wholes(then))
	}
	return nil
}

func rowsPerTransaction(rows int) string {
	if rows == 1 {
		return "1 row a transaction"
	}
	return fmt.Sprintf("%d rows a transaction", rows)
}

// wholes lists numbers without their fractions.
func wholes(values []float64) string {
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprintf("%.0f", v))
	}
	return strings.Join(words, " ")
}
