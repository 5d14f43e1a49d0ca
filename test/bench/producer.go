package main

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// payloadBytes is the size of every message's body.
const payloadBytes = 500

// The beginning of a body, and where in it the time of sending stands.
const (
	payloadStart = `{"sent":`
	sentDigits   = 19 // of nanoseconds since 1970, until the year 2286
)

// newPayload returns a JSON body that tells when its INSERT was sent.
func newPayload(sent time.Time) string {
	head := payloadStart + strconv.FormatInt(sent.UnixNano(), 10) + `,"pad":"`
	return head + strings.Repeat("x", payloadBytes-len(head)-2) + `"}`
}

// sentAt returns when the INSERT of a body was sent; false if it does not say.
func sentAt(body []byte) (time.Time, bool) {
	if len(body) < len(payloadStart)+sentDigits {
		return time.Time{}, false
	}
	ns, err := strconv.ParseInt(string(body[len(payloadStart):len(payloadStart)+sentDigits]), 10, 64)
	return time.Unix(0, ns), err == nil
}

const (
	insertOne = `insert into relay.outbox (topic, payload, destination) values ('bench', $1, $2)`
	// A transaction of many rows is one statement, as applications with many rows write it.
	insertMany = `insert into relay.outbox (topic, payload, destination) select 'bench', p, $2 from unnest($1::text[]) p`
)

// connectionsFor is how many connections a fast producer uses: a commit of one row is
// mostly waiting for the disk, which many can do at once.
func connectionsFor(perTx int) int {
	if perTx == 1 {
		return 16
	}
	return 4
}

// insert inserts n rows, perTx in each transaction, as fast as it can. They have the
// default destination unless one is given.
func (d *database) insert(ctx context.Context, n, perTx int, destination string) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range connectionsFor(perTx) {
		group.Go(func() error {
			for next.Add(int64(perTx)) <= int64(n) {
				if err := d.insertTx(ctx, perTx, destination); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// insertTx inserts some rows in one transaction.
func (d *database) insertTx(ctx context.Context, rows int, destination string) error {
	payload := newPayload(time.Now())
	var to *string
	if destination != "" {
		to = &destination
	}
	if rows == 1 {
		_, err := d.app.Exec(ctx, insertOne, payload, to)
		return err
	}
	payloads := make([]string, rows)
	for i := range payloads {
		payloads[i] = payload
	}
	_, err := d.app.Exec(ctx, insertMany, payloads, to)
	return err
}

// insertLarge inserts n rows in one transaction by one statement.
func (d *database) insertLarge(ctx context.Context, n int) error {
	_, err := d.app.Exec(ctx, `insert into relay.outbox (topic, payload) select 'bench', $1 from generate_series(1, $2)`, newPayload(time.Now()), n)
	return err
}

// pace inserts rows one a transaction at an even rate until ctx or the time is over. A slow
// INSERT delays no other. It returns the rate that was reached, which is lower where the
// machine is too busy.
func (d *database) pace(ctx context.Context, perSecond int, span time.Duration, destinations ...string) (reached float64, err error) {
	began := time.Now()
	interval := time.Second / time.Duration(perSecond)
	var next, done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range 16 {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				due := time.Duration(i) * interval
				if due >= span || ctx.Err() != nil {
					return ctx.Err()
				}
				time.Sleep(time.Until(began.Add(due)))
				to := ""
				if len(destinations) > 0 {
					to = destinations[int(i)%len(destinations)]
				}
				if err := d.insertTx(ctx, 1, to); err != nil {
					return err
				}
				done.Add(1)
			}
		})
	}
	err = group.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), err
}
