package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relay"
	"relay/sql"
)

// jobOptions are what every command takes that makes a job.
type jobOptions struct {
	Yes     bool    `name:"yes" short:"y" help:"Do not ask before many messages are changed."`
	Preview bool    `name:"preview" aliases:"dry-run" help:"Count the messages that match, and change nothing."`
	Rate    float64 `name:"rate" help:"Messages per second, at most. 0: no limit."`
	Wait    bool    `name:"wait" help:"Wait until the job has ended, and fail if a message did."`
	JSON    bool    `name:"json" help:"Print JSON."`
}

// Validate judges the rate. It is called by kong.
func (o jobOptions) Validate() error {
	if !(o.Rate >= 0) {
		return errors.New("--rate: below 0")
	}
	return nil
}

// previewed is what --preview prints.
type previewed struct {
	Kind     sql.JobKind `json:"kind"`
	Messages int64       `json:"messages"`
}

// start makes a job of what a filter matches, after the person has agreed to the count. The
// very messages that were counted are changed, no later ones.
func (o jobOptions) start(ctx context.Context, app *App, store *sql.Store, kind sql.JobKind, f sql.MessageFilter) error {
	job, err := store.PlanJob(ctx, kind, f, o.Rate, 0)
	if err != nil {
		return err
	}
	count := fmt.Sprintf("%d messages match", job.Total)
	if len(f.Status) > 0 {
		count = fmt.Sprintf("%d %s messages match", job.Total, f.Status.Only())
	}
	switch {
	case o.Preview && o.JSON:
		return printJSON(app.Stdout, previewed{Kind: kind, Messages: job.Total})
	case o.Preview:
		_, err := fmt.Fprintln(app.Stdout, count)
		return err
	}
	fmt.Fprintln(app.Stderr, count)
	if job.Total == 0 {
		return nil
	}
	if !o.Yes {
		if err := confirm(ctx, app, string(kind)); err != nil {
			return err
		}
	}
	if _, err := store.StartJob(ctx, &job, 0, sql.Once{}); err != nil {
		return err
	}
	if o.Wait {
		return o.follow(ctx, app, store, job.ID)
	}
	fmt.Fprintf(app.Stderr, "a relay does it in the background: relay jobs show %s\n", job.ID)
	if o.JSON {
		return printJSON(app.Stdout, newShownJob(job))
	}
	_, err = fmt.Fprintln(app.Stdout, job.ID)
	return err
}

const (
	// followEvery is how often a job that is waited for is looked at, tellEvery how often the
	// person is told how it gets on.
	followEvery = 200 * time.Millisecond
	tellEvery   = 2 * time.Second
)

// follow waits until a job runs no more, prints it, and fails if a message of it did.
func (o jobOptions) follow(ctx context.Context, app *App, store *sql.Store, id relay.ID) error {
	for told := time.Now(); ; {
		job, err := store.Job(ctx, id)
		switch {
		case err != nil:
			return errors.Join(err, fmt.Errorf("job %s goes on", id))
		case job.Status != sql.JobRunning:
			return o.ended(app, job)
		case time.Since(told) > tellEvery:
			told = time.Now()
			fmt.Fprintf(app.Stderr, "job %s: %s\n", id, progress(job))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followEvery):
		}
	}
}

// ended prints a job that runs no more.
func (o jobOptions) ended(app *App, job sql.Job) (err error) {
	if o.JSON {
		err = printJSON(app.Stdout, newShownJob(job))
	} else {
		_, err = fmt.Fprintf(app.Stdout, "job %s: %s\n", job.ID, progress(job))
	}
	switch {
	case err != nil:
		return err
	case job.Status != sql.JobDone:
		return fmt.Errorf("job %s is %s: %s", job.ID, job.Status, progress(job))
	case job.Failed > 0:
		return fmt.Errorf("%s: %d of %d messages failed: relay jobs show --failed %s", job.Kind, job.Failed, job.Total, job.ID)
	}
	return nil
}

// progress says how far a job is.
func progress(job sql.Job) string {
	text := fmt.Sprintf("%s, %d of %d", job.Status, job.Done+job.Failed, job.Total)
	if job.Failed > 0 {
		text += fmt.Sprintf(", %d failed", job.Failed)
	}
	if job.Error != "" {
		text += ": " + job.Error
	}
	return text
}
