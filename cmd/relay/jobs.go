package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// JobsCmd is `relay jobs …`: what goes on in the background.
type JobsCmd struct {
	List   JobsListCmd   `cmd:"" help:"List jobs, the youngest first."`
	Show   JobsShowCmd   `cmd:"" help:"Show one job, or what it did to each message."`
	Stop   JobsStopCmd   `cmd:"" help:"Stop a job."`
	Resume JobsResumeCmd `cmd:"" help:"Have a job go on that was stopped."`
}

// shownJob is a job as JSON.
type shownJob struct {
	ID         string            `json:"id"`
	Kind       sql.JobKind       `json:"kind"`
	Status     sql.JobStatus     `json:"status"`
	Filter     sql.MessageFilter `json:"filter"`
	Rate       float64           `json:"rate,omitempty"` // messages per second; none: no limit
	Total      int64             `json:"total"`
	Done       int64             `json:"done"`
	Failed     int64             `json:"failed"`
	Error      string            `json:"error,omitempty"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	FinishedAt *time.Time        `json:"finished_at,omitempty"`
}

func newShownJob(j sql.Job) shownJob {
	return shownJob{
		ID: j.ID.String(), Kind: j.Kind, Status: j.Status, Filter: j.Filter, Rate: j.Rate, Total: j.Total, Done: j.Done,
		Failed: j.Failed, Error: j.Error, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(), FinishedAt: j.FinishedAt,
	}
}

// JobsListCmd is `relay jobs list`.
type JobsListCmd struct {
	Limit int  `name:"limit" default:"50" help:"Jobs to list, at most."`
	JSON  bool `name:"json" help:"Print a line of JSON for each job."`
}

// Run lists jobs.
func (c JobsListCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	page, err := store.Jobs(ctx, "", max(c.Limit, 1))
	if err != nil {
		return err
	}
	if !c.JSON {
		_, err := io.WriteString(app.Stdout, jobTable(page.Jobs, time.Now()))
		return err
	}
	for _, job := range page.Jobs {
		if err := printJSON(app.Stdout, newShownJob(job)); err != nil {
			return err
		}
	}
	return nil
}

func jobTable(jobs []sql.Job, now time.Time) string {
	if len(jobs) == 0 {
		return "no jobs\n"
	}
	rows := [][]string{{"ID", "AGE", "KIND", "PROGRESS", "OF"}}
	for _, job := range jobs {
		rows = append(rows, []string{job.ID.String(), shortAge(now.Sub(job.CreatedAt)), string(job.Kind), progress(job), chosen(job.Filter)})
	}
	return columns(rows, []int{36, 6, 6, 32, tableWidth}, tableWidth)
}

// chosen says in words which messages a job is about.
func chosen(f sql.MessageFilter) string {
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+" "+value)
		}
	}
	add("to", f.ReplayTo)
	for _, status := range f.Status {
		add("status", string(status))
	}
	add("subscription", f.Subscription)
	add("topic", f.Topic)
	add("key", f.Key)
	add("source", f.Source)
	add("cause", f.Error)
	if !f.Since.IsZero() {
		add("since", clock(f.Since))
	}
	add("until", clock(f.Until))
	return strings.Join(words, ", ")
}

// JobsShowCmd is `relay jobs show ID`.
type JobsShowCmd struct {
	ID      string `arg:"" name:"id" help:"Job id."`
	Results bool   `name:"results" help:"Print what became of each message instead."`
	Failed  bool   `name:"failed" help:"Likewise, only of those that did not become what was asked for."`
	JSON    bool   `name:"json" help:"Print JSON; with --results or --failed a line for each message."`
}

// Run shows one job.
func (c JobsShowCmd) Run(ctx context.Context, app *App) error {
	id, err := relay.ParseID(c.ID)
	if err != nil {
		return err
	}
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	job, err := store.Job(ctx, id)
	switch {
	case err != nil:
		return err
	case c.Results || c.Failed:
		return c.results(ctx, app.Stdout, store, id)
	case c.JSON:
		return printJSON(app.Stdout, newShownJob(job))
	}
	_, err = io.WriteString(app.Stdout, jobText(job))
	return err
}

func (c JobsShowCmd) results(ctx context.Context, w io.Writer, store *sql.Store, id relay.ID) error {
	const page = 1000
	for after := (relay.ID{}); ; {
		results, err := store.JobResults(ctx, id, after, c.Failed, page)
		if err != nil {
			return err
		}
		for _, r := range results {
			if c.JSON {
				err = printJSON(w, changed{ID: r.Message.String(), Result: r.Effect})
			} else {
				_, err = fmt.Fprintf(w, "%s  %s\n", r.Message, r.Effect)
			}
			if err != nil {
				return err
			}
			after = r.Message
		}
		if len(results) < page {
			return nil
		}
	}
}

// jobText is a job for a terminal.
func jobText(job sql.Job) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s  %s\n", name, visible(value))
		}
	}
	line("id", job.ID.String())
	line("kind", string(job.Kind))
	line("progress", progress(job))
	line("messages", chosen(job.Filter))
	if job.Rate > 0 {
		line("rate", fmt.Sprintf("%g a second", job.Rate))
	}
	line("created", clock(job.CreatedAt))
	line("updated", clock(job.UpdatedAt))
	line("ended", clause(job.FinishedAt, ""))
	return b.String()
}

// jobSwitch is a command that changes how a job stands.
type jobSwitch struct {
	ID   string `arg:"" name:"id" help:"Job id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c jobSwitch) run(ctx context.Context, app *App, change func(*sql.Store, context.Context, relay.ID) error) error {
	id, err := relay.ParseID(c.ID)
	if err != nil {
		return err
	}
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := change(store, ctx, id); err != nil {
		return err
	}
	job, err := store.Job(ctx, id)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(app.Stdout, newShownJob(job))
	}
	_, err = fmt.Fprintf(app.Stdout, "job %s: %s\n", id, progress(job))
	return err
}

// JobsStopCmd is `relay jobs stop ID`.
type JobsStopCmd struct{ jobSwitch }

// Run stops a job. When it returns, the job changes nothing any more.
func (c JobsStopCmd) Run(ctx context.Context, app *App) error {
	return c.run(ctx, app, (*sql.Store).StopJob)
}

// JobsResumeCmd is `relay jobs resume ID`.
type JobsResumeCmd struct{ jobSwitch }

// Run has a job go on where it was stopped.
func (c JobsResumeCmd) Run(ctx context.Context, app *App) error {
	return c.run(ctx, app, (*sql.Store).ResumeJob)
}
