package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"relay"
)

const (
	// askedPerSecond is how many requests the API gets in a second while the relay delivers.
	askedPerSecond = 50
	// besideRate is the rate of live rows, one a transaction, whose latency is compared. It leaves room on two cores:
	// where both are full, a latency tells how many processes wait, and not what one of them does to another.
	besideRate = 200
	// pairsOfSlices is how many slices with something and without it are compared.
	pairsOfSlices = 15
	// wantedMove is how much the p99 of live deliveries may be moved.
	wantedMove = 1.1
)

// living is a relay that runs on the tables of the section centre. Live rows go to one endpoint, by the default
// destination, and what the tables hold goes to another.
type living struct {
	*process
	d          *database
	live, past *receiver
	report     *report
	span       time.Duration // of one slice
	asked      relay.ID      // a message that the API is asked for
}

// besideRelay measures what people do to a relay that delivers, on tables that hold as much as those before.
func (c centre) besideRelay(d *database, span time.Duration) (err error) {
	l := living{d: d, report: c.report, span: span}
	for _, endpoint := range []**receiver{&l.live, &l.past} {
		if *endpoint, err = newReceiver(0); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, (*endpoint).close()) }()
	}
	page, err := c.store.ListMessages(c.ctx, deadMessages, "", 1)
	if err != nil || len(page.Messages) == 0 {
		return errors.Join(err, errors.New("there is no dead message"))
	}
	l.asked = page.Messages[0].ID
	if _, err := d.admin.Exec(c.ctx, "update relay.subscription set target = $1", l.past.url); err != nil {
		return err
	}
	l.process, err = d.relay(c.ctx, "RELAY_DEFAULT_DESTINATION="+l.live.url, "RELAY_RETENTION=720h")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	if err := l.settle(c.ctx); err != nil {
		return err
	}
	if err := l.firstPages(c); err != nil {
		return err
	}
	if err := l.besideRequests(c.ctx); err != nil {
		return err
	}
	return l.besideJob(c.ctx)
}

// settle waits until the relay has delivered what could go at its start.
func (l *living) settle(ctx context.Context) error {
	last := -1
	return until(ctx, 10*time.Minute, "the relay has delivered what could go", func() (bool, error) {
		n := l.written()
		still := n == last && l.value("relay_reconcile_in_flight_messages") == 0
		last = n
		return still, sleep(ctx, time.Second)
	})
}

// lists are the requests for a first page, and for what pages of the console show beside it.
func (l *living) lists() []string {
	return []string{
		"/overview", "/messages", "/messages?status=dead", "/messages?status=open&subscription=sub-3", "/messages?key=key-2000",
		"/messages/" + l.asked.String(), "/failures", "/failures?state=failing", "/failures/sample?subscription=sub-3&cause=timeout",
		"/subscriptions", "/subscriptions/sub-3", "/subscriptions/sub-3/deliveries", "/subscriptions/sub-3/deliveries?status=dead",
		"/keys", "/senders", "/jobs", "/pulse", "/audit",
	}
}

// firstPages judges each request alone, over HTTP.
func (l *living) firstPages(c centre) error {
	for _, path := range l.lists() {
		if err := c.judge("GET "+path, wantedPage, func() (string, error) { return "", l.get(c.ctx, path) }); err != nil {
			return err
		}
	}
	return nil
}

// get makes a request to the API and reads its answer.
func (l *living) get(ctx context.Context, path string) error {
	return l.api(ctx, http.MethodGet, path, nil, nil)
}

// api makes a request and, if into is not nil, decodes its answer.
func (l *living) api(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+l.metrics+"/api/v1"+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// askAtRate makes requests at an even rate until ctx ends, each kind as often as the others, and returns how long each
// took. A slow answer delays no other request.
func (l *living) askAtRate(ctx context.Context) (latencies, error) {
	paths, began := l.lists(), time.Now()
	var next atomic.Int64
	var mu sync.Mutex
	var took latencies
	group := errgroup.Group{}
	for range 16 {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				due := began.Add(time.Duration(i) * time.Second / askedPerSecond)
				if sleep(ctx, time.Until(due)) != nil {
					return nil
				}
				// What has begun comes to its end.
				if err := l.get(context.WithoutCancel(ctx), paths[int(i)%len(paths)]); err != nil {
					return err
				}
				mu.Lock()
				took = append(took, time.Since(due))
				mu.Unlock()
			}
		})
	}
	err := group.Wait()
	slices.Sort(took)
	return took, err
}

// slice keeps the live rows up for a while and returns their latencies.
func (l *living) slice(ctx context.Context) (latencies, error) {
	l.live.take()
	_, err := l.d.pace(ctx, besideRate, l.span)
	return l.live.take(), err
}

// move holds the latencies of live rows beside something and without it, from slices that took turns.
type move struct {
	with, without       latencies
	p99With, p99Without []float64 // of each pair of slices
}

// add notes a pair of slices.
func (m *move) add(with, without latencies) {
	m.with, m.without = append(m.with, with...), append(m.without, without...)
	m.p99With, m.p99Without = append(m.p99With, float64(with.quantile(0.99))), append(m.p99Without, float64(without.quantile(0.99)))
}

// judgeMove adds a line about how far something moves the p99 of live rows: the median of the pairs counts.
func (l *living) judgeMove(what string, m move) {
	slices.Sort(m.with)
	slices.Sort(m.without)
	ratio := ratioOf(m.p99With, m.p99Without)
	l.report.judge("p99 of live rows "+what, fmt.Sprintf("≤ %.1f times that without", wantedMove), ratio <= wantedMove, "%.2f: %s, without %s",
		ratio, milliseconds(time.Duration(median(m.p99With))), milliseconds(time.Duration(median(m.p99Without))))
	l.report.note("Live rows %s: the medians of %d pairs of %s at %d rows/s, with and without in turns. All slices together have a p99 of %s, without %s, and a p50 of %s, without %s.",
		what, len(m.p99With), l.span, besideRate, milliseconds(m.with.quantile(0.99)), milliseconds(m.without.quantile(0.99)),
		milliseconds(m.with.quantile(0.5)), milliseconds(m.without.quantile(0.5)))
}

// besideRequests compares live rows beside requests to the API with live rows alone.
func (l *living) besideRequests(ctx context.Context) error {
	if _, err := l.slice(ctx); err != nil { // warms up
		return err
	}
	var m move
	var all latencies
	for range pairsOfSlices {
		without, err := l.slice(ctx)
		if err != nil {
			return err
		}
		asking, stop := context.WithCancel(ctx)
		var took latencies
		var group errgroup.Group
		group.Go(func() (err error) { took, err = l.askAtRate(asking); return err })
		with, err := l.slice(ctx)
		stop()
		if err := errors.Join(err, group.Wait()); err != nil {
			return err
		}
		m.add(with, without)
		all = append(all, took...)
	}
	slices.Sort(all)
	l.judgeMove(fmt.Sprintf("beside %d API requests a second", askedPerSecond), m)
	l.report.note("The requests are those above, in turns: %.0f a second, answered within %s (p50) and %s (p99).",
		float64(len(all))/(float64(pairsOfSlices)*l.span.Seconds()), milliseconds(all.quantile(0.5)), milliseconds(all.quantile(0.99)))
	return nil
}

// retryDead has the API retry all that is dead, and judges how soon the job begins.
func (l *living) retryDead(ctx context.Context) (progress, error) {
	var answer struct {
		Job progress `json:"job"`
	}
	began := time.Now()
	body := map[string]any{"kind": "retry", "filter": map[string]any{"status": []string{"dead"}}}
	if err := l.api(ctx, http.MethodPost, "/jobs", body, &answer); err != nil {
		return progress{}, err
	}
	made, job := time.Since(began), answer.Job
	if err := l.works(ctx, &job); err != nil {
		return progress{}, err
	}
	late := time.Since(job.StartAt)
	l.report.judge("a retry of all that is dead, from the end of the time in which it can be undone to its first messages", "≤ "+wantedStart.String(),
		late <= wantedStart, "%s; the request took %s", late.Round(time.Millisecond), milliseconds(made))
	return job, nil
}

// besideJob compares live rows while a job retries what is dead with live rows while it is stopped.
func (l *living) besideJob(ctx context.Context) error {
	job, err := l.retryDead(ctx)
	if err != nil {
		return err
	}
	var m move
	var ran time.Duration
	var changed int64
	for len(m.p99With) < pairsOfSlices {
		had, began := job.Done, time.Now()
		with, err := l.slice(ctx)
		if err != nil {
			return err
		}
		if err := l.api(ctx, http.MethodGet, "/jobs/"+job.ID, nil, &job); err != nil {
			return err
		}
		if job.Status != "running" {
			break // it was there for a part of the slice only
		}
		ran, changed = ran+time.Since(began), changed+job.Done-had
		without, err := l.withoutJob(ctx, &job)
		if err != nil {
			return err
		}
		m.add(with, without)
	}
	if len(m.p99With) == 0 {
		return errors.New("the retry ended within one slice")
	}
	l.judgeMove("while a job retries what is dead", m)
	l.report.note("The job, which has no rate of its own, retried %.0f messages a second while it ran.", float64(changed)/ran.Seconds())
	return nil
}

// withoutJob stops a job for one slice of live rows and waits until it goes on.
func (l *living) withoutJob(ctx context.Context, job *progress) (latencies, error) {
	if err := l.api(ctx, http.MethodPost, "/jobs/"+job.ID+"/stop", nil, job); err != nil {
		return nil, err
	}
	if err := l.settle(ctx); err != nil {
		return nil, err
	}
	without, err := l.slice(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.api(ctx, http.MethodPost, "/jobs/"+job.ID+"/resume", nil, job); err != nil {
		return nil, err
	}
	return without, l.works(ctx, job)
}

// progress is what the API says about a job.
type progress struct {
	ID      string    `json:"id"`
	Status  string    `json:"status"`
	Done    int64     `json:"done"`
	StartAt time.Time `json:"starts_at"`
}

// works waits until a job has changed more than it had, or runs no more.
func (l *living) works(ctx context.Context, job *progress) error {
	had := job.Done
	return until(ctx, time.Minute, "the job gets on", func() (bool, error) {
		err := l.api(ctx, http.MethodGet, "/jobs/"+job.ID, nil, job)
		return job.Done > had || job.Status != "running", err
	})
}
