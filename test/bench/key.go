package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// hotMessages is how many messages of one key are measured.
	hotMessages = 10_000
	// blockedMessages is how many messages wait behind the head of a blocked key.
	blockedMessages = 100_000
	// stuckKey is the key whose messages a receiver refuses.
	stuckKey = "stuck"
	// insertKey inserts $2 messages of one key in one transaction.
	insertKey = `insert into relay.outbox (topic, payload, destination, key) select 'bench', $1, $4, $3 from generate_series(1, $2)`
	// slicesOfLoad is into how many parts a load is cut whose p99 is compared: their median is
	// less moved by a neighbour's moment than the p99 of the whole.
	slicesOfLoad = 9
)

// runKey measures order by key: how fast the messages of one key follow each other, and
// whether a blocked key slows the others.
func runKey(ctx context.Context, l *lab, o options) (*report, error) {
	span := 2 * time.Second
	if o.full {
		span = 5 * time.Second
	}
	r := &report{}
	return r, l.overHTTP(ctx, func(d *database, endpoint *receiver, p *process) error {
		endpoint.refused = stuckKey
		if err := d.declare(); err != nil {
			return err
		}
		if err := r.hotKeys(ctx, d, p, endpoint, o.rounds); err != nil {
			return err
		}
		return r.blockedKey(ctx, d, endpoint, span)
	})
}

// hotKeys compares the messages of one key with sending one after another by hand.
func (r *report) hotKeys(ctx context.Context, d *database, p *process, endpoint *receiver, rounds int) (err error) {
	slow, err := newReceiver(time.Millisecond)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, slow.close()) }()
	for _, one := range []struct {
		what, destination string
		alone             func(context.Context, int) error
	}{
		{"HTTP", endpoint.url, func(ctx context.Context, n int) error { return postOneByOne(ctx, endpoint.url, n) }},
		{"HTTP, an endpoint that takes 1 ms", slow.url, func(ctx context.Context, n int) error { return postOneByOne(ctx, slow.url, n) }},
		{"AMQP", d.target(), d.publishOneByOne},
	} {
		var ratios, rates, alone []float64
		for range rounds {
			began := time.Now()
			if err := one.alone(ctx, hotMessages); err != nil {
				return err
			}
			single := hotMessages / time.Since(began).Seconds()
			rate, err := d.hotKey(ctx, p, one.destination)
			if err != nil {
				return err
			}
			ratios, rates, alone = append(ratios, rate/single), append(rates, rate), append(alone, single)
		}
		r.judge(fmt.Sprintf("%d messages of one key, %s", hotMessages, one.what), "≥ 0.5 of one connection's rate",
			median(ratios) >= 0.5, "%.2f: %.0f/s of %.0f/s", median(ratios), median(rates), median(alone))
	}
	endpoint.take()
	return d.declare()
}

// hotKey is the rate of messages of one key from their COMMIT to the last outcome written.
func (d *database) hotKey(ctx context.Context, p *process, destination string) (float64, error) {
	had := p.written()
	if _, err := d.app.Exec(ctx, insertKey, newPayload(time.Now()), hotMessages, "hot", destination); err != nil {
		return 0, err
	}
	began := time.Now()
	err := p.awaitWritten(ctx, had+hotMessages)
	return hotMessages / time.Since(began).Seconds(), err
}

// blockedKey compares the p99 of other messages before and while many wait behind a head
// that fails.
func (r *report) blockedKey(ctx context.Context, d *database, endpoint *receiver, slice time.Duration) error {
	before, err := d.sliced(ctx, endpoint, slice)
	if err != nil {
		return err
	}
	if _, err := d.app.Exec(ctx, insertKey, newPayload(time.Now()), blockedMessages, stuckKey, endpoint.url); err != nil {
		return err
	}
	err = until(ctx, 5*time.Minute, "all that wait are taken up", func() (taken bool, err error) {
		err = d.admin.QueryRow(ctx, `select (select count(*) from relay.outbox where key = $1 and status = 'open') = $2`, stuckKey, blockedMessages).Scan(&taken)
		return taken, errors.Join(err, sleep(ctx, time.Second))
	})
	if err != nil {
		return err
	}
	during, err := d.sliced(ctx, endpoint, slice)
	if err != nil {
		return err
	}
	ratio := float64(during) / float64(before)
	r.judge(fmt.Sprintf("p99 of the others with %d messages behind a blocked key", blockedMessages), "≤ 1.2 times that without",
		ratio <= 1.2, "%.2f: %s, without %s", ratio, milliseconds(during), milliseconds(before))
	return nil
}

// sliced keeps the steady load up, one row a transaction, and returns the median of the
// slices' p99.
func (d *database) sliced(ctx context.Context, endpoint *receiver, slice time.Duration) (time.Duration, error) {
	if _, err := d.pace(ctx, steadyRate, warmUp, endpoint.url); err != nil {
		return 0, err
	}
	endpoint.take()
	var all []float64
	for range slicesOfLoad {
		if _, err := d.pace(ctx, steadyRate, slice, endpoint.url); err != nil {
			return 0, err
		}
		all = append(all, float64(endpoint.take().quantile(0.99)))
	}
	return time.Duration(median(all)), nil
}

// refuses reports whether a request is one that the receiver answers with 500.
func (r *receiver) refuses(req *http.Request) bool {
	return r.refused != "" && strings.EqualFold(req.Header.Get("ce-subject"), r.refused)
}

// postOneByOne makes n POSTs, one after another over one connection.
func postOneByOne(ctx context.Context, url string, n int) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	body := []byte(newPayload(time.Now()))
	for range n {
		if err := post(ctx, client, url, body); err != nil {
			return err
		}
	}
	return nil
}

// publishOneByOne publishes n messages, each after the confirm of the one before.
func (d *database) publishOneByOne(ctx context.Context, n int) error {
	return d.lab.onChannel(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirms := make(chan *amqp.DeferredConfirmation, 1)
		for range n {
			if err := d.publish(ctx, ch, 1, confirms); err != nil {
				return err
			}
			if acked, err := (<-confirms).WaitContext(ctx); err != nil || !acked {
				return errors.Join(err, errors.New("the broker did not confirm a message"))
			}
		}
		return nil
	})
}
