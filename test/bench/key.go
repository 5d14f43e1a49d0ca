package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
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
	// slicesOfLoad is how many pairs of loads are compared by their p99: the median of the pairs
	// is less moved by a neighbour's moment than the p99 of the whole.
	slicesOfLoad = 15
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
		return l.overHTTP(ctx, func(free *database, other *receiver, _ *process) error {
			return r.blockedKey(ctx, loaded{d, endpoint}, loaded{free, other}, span)
		})
	})
}

// loaded is a database with a relay and the endpoint that it delivers to.
type loaded struct {
	*database
	endpoint *receiver
}

// hotKeys compares the messages of one key with sending one after another by hand: from this process, which is the
// endpoint's too, and from one of its own, as the relay is.
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
		{"HTTP, the one connection from another process", endpoint.url, func(ctx context.Context, n int) error { return postFromOutside(ctx, endpoint.url, n) }},
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

// blockedKey compares the p99 of messages beside many that wait behind a head that fails
// with the p99 in another database, whose relay has nothing else. The two take turns, so
// that both meet the same machine.
func (r *report) blockedKey(ctx context.Context, blocked, free loaded, slice time.Duration) error {
	if _, err := blocked.app.Exec(ctx, insertKey, newPayload(time.Now()), blockedMessages, stuckKey, blocked.endpoint.url); err != nil {
		return err
	}
	err := until(ctx, 5*time.Minute, "all that wait are taken up", func() (taken bool, err error) {
		err = blocked.admin.QueryRow(ctx, `select (select count(*) from relay.outbox where key = $1 and status = 'open') = $2`, stuckKey, blockedMessages).Scan(&taken)
		return taken, errors.Join(err, sleep(ctx, time.Second))
	})
	if err != nil {
		return err
	}
	for _, one := range []loaded{blocked, free} {
		if _, err := one.p99(ctx, warmUp); err != nil {
			return err
		}
	}
	var ratios, with, without []float64
	for range slicesOfLoad {
		alone, err := free.p99(ctx, slice)
		if err != nil {
			return err
		}
		beside, err := blocked.p99(ctx, slice)
		if err != nil {
			return err
		}
		ratios, with, without = append(ratios, float64(beside)/float64(alone)), append(with, float64(beside)), append(without, float64(alone))
	}
	r.judge(fmt.Sprintf("p99 of the others with %d messages behind a blocked key", blockedMessages), "≤ 1.2 times that without",
		median(ratios) <= 1.2, "%.2f: %s, without %s", median(ratios), milliseconds(time.Duration(median(with))), milliseconds(time.Duration(median(without))))
	r.note("The medians of %d pairs of %s, with and without in turns; ratios from %.2f to %.2f.", slicesOfLoad, slice, slices.Min(ratios), slices.Max(ratios))
	return nil
}

// p99 keeps the steady load up, one row a transaction, and returns the p99 of its latency.
func (l loaded) p99(ctx context.Context, span time.Duration) (time.Duration, error) {
	if _, err := l.pace(ctx, steadyRate, span, l.endpoint.url); err != nil {
		return 0, err
	}
	return l.endpoint.take().quantile(0.99), nil
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

// postFromOutside is postOneByOne in a process of its own, whose start counts.
func postFromOutside(ctx context.Context, url string, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, self, "-post", url, "-posts", strconv.Itoa(n)).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
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
