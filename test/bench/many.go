package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relay"
	"relay/notify"
	"relay/notify/amqp"
	"relay/notify/webhook"
	"relay/sql"
)

// manySubscriptions is how many there are while routing is measured.
const manySubscriptions = 10_000

// wantedAmongMany is the least share of its rate that the relay keeps among many keys or
// many pending rows.
const wantedAmongMany = 0.7

// runMany measures what great numbers cost: of subscriptions, of keys, of pending rows.
func runMany(ctx context.Context, l *lab, o options) (*report, error) {
	keys, pending := 200_000, 1_000_000
	if o.full {
		keys, pending = 1_000_000, 10_000_000
	}
	r := &report{}
	err := l.overHTTP(ctx, func(d *database, endpoint *receiver, p *process) error {
		return r.manySubscriptions(ctx, d, endpoint, p, o.rounds)
	})
	if err != nil {
		return nil, fmt.Errorf("subscriptions: %w", err)
	}
	err = l.overHTTP(ctx, func(d *database, _ *receiver, p *process) error { return r.manyKeys(ctx, d, p, keys) })
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return r, r.manyPending(ctx, l, pending)
}

// manySubscriptions measures routing alone, and the rate of messages that one subscription
// of many gets.
func (r *report) manySubscriptions(ctx context.Context, d *database, endpoint *receiver, p *process, rounds int) error {
	if err := d.subscribe(ctx, endpoint.url, "bench", 1); err != nil {
		return err
	}
	var few, many []float64
	for range rounds {
		rate, err := d.through(ctx, p, rateMessages(100), 100)
		if err != nil {
			return err
		}
		few = append(few, rate)
	}
	if err := d.subscribe(ctx, endpoint.url, "other", manySubscriptions-1); err != nil {
		return err
	}
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	for range rounds {
		rate, err := d.through(ctx, p, rateMessages(100), 100)
		if err != nil {
			return err
		}
		many = append(many, rate)
	}
	took, err := d.routing(ctx)
	if err != nil {
		return err
	}
	r.judge(fmt.Sprintf("routing a message among %d subscriptions", manySubscriptions), "≤ 20 µs", took <= 20*time.Microsecond, "%s", took)
	r.tell(fmt.Sprintf("rate with %d subscriptions beside that with one", manySubscriptions), "%.2f: %.0f/s, %.0f/s", median(many)/median(few), median(many), median(few))
	return nil
}

// subscribe makes n subscriptions, a third each with a plain topic, one * and one #. The
// first of all topics called 'bench' is that of the messages.
func (d *database) subscribe(ctx context.Context, target, word string, n int) error {
	_, err := d.admin.Exec(ctx, `
		insert into relay.subscription (name, topics, target)
		select $1 || '-' || i, array[case when i = 1 then $1 when i % 3 = 0 then $1 || '.' || i || '.created' when i % 3 = 1 then $1 || '.*.' || i else $1 || '.' || i || '.#' end], $2
		from generate_series(1, $3) i`, word, target, n)
	return err
}

// routing measures the time that one message takes. Each message has a topic of its own, and most
// topics have a subscriber.
func (d *database) routing(ctx context.Context) (time.Duration, error) {
	store, err := sql.Open(ctx, d.url, connections)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	all, version, err := store.Subscriptions(ctx)
	if err != nil {
		return 0, err
	}
	router, err := notify.NewRouter(notify.RouterConfig{Source: "bench", Timeout: time.Second, Technologies: notify.Register(webhook.Technology(1, true), amqp.Technology(true))})
	if err != nil {
		return 0, err
	}
	router.Replace(version, all)
	const n = 200_000
	routed := 0
	began := time.Now()
	for i := range n {
		k := i % manySubscriptions
		topic := [...]string{"other.%d.created", "other.word.%d", "other.%d.two.words"}[i%3]
		found, err := router.Route(&relay.Message{Topic: fmt.Sprintf(topic, k), Headers: []byte("{}")})
		if err == nil {
			routed += len(found)
		}
	}
	took := time.Since(began) / n
	if routed == 0 {
		return 0, errors.New("no message found a subscriber")
	}
	return took, nil
}

// manyKeys compares messages that have a key each with messages that have none.
func (r *report) manyKeys(ctx context.Context, d *database, p *process, n int) error {
	plain, err := d.through(ctx, p, liveMessages, 100)
	if err != nil {
		return err
	}
	had, began := p.written(), time.Now()
	for from := 0; from < n; from += 100 {
		if _, err := d.app.Exec(ctx, `insert into relay.outbox (topic, payload, key) select 'bench', $1, 'key-' || i from generate_series($2::int, $2::int + 99) i`, newPayload(time.Now()), from); err != nil {
			return err
		}
	}
	if err := p.awaitWritten(ctx, had+n); err != nil {
		return err
	}
	keyed := float64(n) / time.Since(began).Seconds()
	after, err := d.through(ctx, p, liveMessages, 100)
	if err != nil {
		return err
	}
	plain = (plain + after) / 2
	r.judge(fmt.Sprintf("%d messages, each with a key of its own", n), "≥ 0.7 of the rate without keys", keyed >= wantedAmongMany*plain, "%.2f: %.0f/s of %.0f/s", keyed/plain, keyed, plain)
	r.judge("most resident memory", "≤ 150 MB", p.mostResident() <= residentLimit, "%d MB", p.mostResident()>>10)
	return nil
}

// manyPending compares the rate at which a relay drains rows that were left with that of
// few, and does not wait for the end.
func (r *report) manyPending(ctx context.Context, l *lab, n int) (err error) {
	d, err := l.database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	endpoint, err := newReceiver(0)
	if err != nil {
		return err
	}
	defer endpoint.close()
	b := &backlogBench{database: d, env: "RELAY_DEFAULT_DESTINATION=" + endpoint.url, n: liveMessages}
	few, _, err := b.left(ctx)
	if err != nil {
		return err
	}
	if err := d.insert(ctx, n, 1000, ""); err != nil {
		return err
	}
	many, memory, err := b.during(ctx, func(p *process) (float64, error) {
		had, began := p.written(), time.Now()
		err := p.awaitWritten(ctx, had+2*liveMessages)
		return float64(p.written()-had) / time.Since(began).Seconds(), err
	})
	if err != nil {
		return err
	}
	r.judge(fmt.Sprintf("draining beside %d pending rows", n), fmt.Sprintf("≥ 0.7 of the rate with %d", liveMessages), many >= wantedAmongMany*few, "%.2f: %.0f/s of %.0f/s", many/few, many, few)
	r.judge("most resident memory", "≤ 150 MB", memory <= residentLimit, "%d MB", memory>>10)
	return nil
}
