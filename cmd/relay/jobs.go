package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

const exampleJob = "01890000-0000-7000-8000-000000000002"

// JobsListCmd is `relay jobs list`.
type JobsListCmd struct {
	Limit int
	After string
	JSON  bool
}

func (c *JobsListCmd) command() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List jobs, the youngest first.", Args: exactly(), Example: "  relay jobs list --limit 5"}
	cmd.Flags().IntVar(&c.Limit, "limit", 50, "Jobs to list, at most.")
	cmd.Flags().StringVar(&c.After, "after", "", "Go on after this `PLACE`, which the page before has named.")
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each job.")
	return cmd
}

// Validate judges the limit.
func (c *JobsListCmd) Validate() error { return checkLimit(c.Limit, operate.JobLimit) }

// checkLimit judges how many things are to be listed.
func checkLimit(limit, most int) error {
	if limit < 1 || limit > most {
		return fmt.Errorf("--limit: allowed is 1 to %d", most)
	}
	return nil
}

// Run lists jobs.
func (c *JobsListCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	page, err := service.Jobs(ctx, operate.At{Cursor: c.After, Limit: c.Limit})
	if err != nil {
		return err
	}
	if err := printList(app.Stdout, c.JSON, page.Items, jobTable); err != nil {
		return err
	}
	hintMore(app, page.Next)
	return nil
}

// printList prints a line of JSON for each item, or all of them as a table.
func printList[T any](w io.Writer, asJSON bool, items []T, table func(items []T, now time.Time, width int) string) error {
	if !asJSON {
		_, err := io.WriteString(w, table(items, time.Now(), terminalWidth(w, tableWidth)))
		return err
	}
	for _, item := range items {
		if err := printJSON(w, item); err != nil {
			return err
		}
	}
	return nil
}

// hintMore says how a list goes on.
func hintMore(app *App, next string) {
	if next != "" {
		fmt.Fprintf(app.Stderr, "there may be more: --after %s\n", next)
	}
}

func jobTable(jobs []operate.Job, now time.Time, width int) string {
	if len(jobs) == 0 {
		return "no jobs\n"
	}
	rows := [][]string{{"ID", "AGE", "KIND", "PROGRESS", "OF"}}
	for _, job := range jobs {
		rows = append(rows, []string{job.ID, shortAge(now.Sub(job.CreatedAt)), string(job.Kind), progress(job), chosen(job)})
	}
	return columns(rows, []int{36, 6, 6, 32, width}, width)
}

// chosen says in words which messages a job is about.
func chosen(job operate.Job) string {
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+" "+value)
		}
	}
	f := job.Filter
	add("to", job.Subscription)
	for _, status := range f.Status {
		add("status", string(status))
	}
	add("subscription", f.Subscription)
	add("topic", f.Topic)
	add("key", f.Key)
	add("source", f.Source)
	for _, status := range f.DeliveryStatus {
		add("delivery", string(status))
	}
	for _, cause := range f.Causes {
		add("cause", string(cause))
	}
	add("error", f.Error)
	add("text", f.Text)
	if !f.Since.IsZero() {
		add("since", clock(f.Since.Time))
	}
	add("until", clock(f.Until.Time))
	return strings.Join(words, ", ")
}

// JobsShowCmd is `relay jobs show ID`.
type JobsShowCmd struct {
	ID      string
	Results bool
	Failed  bool
	JSON    bool
}

func (c *JobsShowCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one job, or what it did to each message.", Args: exactly(&c.ID),
		Example: "  relay jobs show " + exampleJob + " --failed",
	}
	cmd.Flags().BoolVar(&c.Results, "results", false, "Print what became of each message instead.")
	cmd.Flags().BoolVar(&c.Failed, "failed", false, "Likewise, only of those that did not become what was asked for.")
	jsonFlag(cmd, &c.JSON, "Print JSON; with --results or --failed a line for each message.")
	return cmd
}

// Run shows one job.
func (c *JobsShowCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	if c.Results || c.Failed {
		return c.results(ctx, app.Stdout, service)
	}
	job, err := service.Job(ctx, c.ID)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, job, jobText(job))
}

func (c *JobsShowCmd) results(ctx context.Context, w io.Writer, service *operate.Service) error {
	for at := (operate.At{Limit: operate.JobLimit}); ; {
		page, err := service.JobResults(ctx, c.ID, c.Failed, at)
		if err != nil {
			return err
		}
		for _, r := range page.Items {
			if err := printAs(w, c.JSON, r, fmt.Sprintf("%s  %s\n", r.ID, r.Result)); err != nil {
				return err
			}
		}
		if at.Cursor = page.Next; at.Cursor == "" {
			return nil
		}
	}
}

// jobText is a job for a terminal.
func jobText(job operate.Job) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s  %s\n", name, visible(value))
		}
	}
	line("id", job.ID)
	line("kind", string(job.Kind))
	line("progress", progress(job))
	line("messages", chosen(job))
	if job.Rate > 0 {
		line("rate", fmt.Sprintf("%g messages a second", job.Rate))
	}
	line("created", clock(job.CreatedAt))
	line("updated", clock(job.UpdatedAt))
	line("ended", clause(job.FinishedAt, ""))
	return b.String()
}

// jobSwitch is a command that changes how a job stands.
type jobSwitch struct {
	because
	ID   string
	JSON bool
}

func (c *jobSwitch) on(use, short string) *cobra.Command {
	cmd := &cobra.Command{Use: use + " ID", Short: short, Args: exactly(&c.ID), Example: "  relay jobs " + use + " " + exampleJob}
	c.because.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// print prints a job whose standing was changed.
func (c *jobSwitch) print(app *App, job operate.Job, err error) error {
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, job, fmt.Sprintf("job %s: %s\n", job.ID, progress(job)))
}

// JobsStopCmd is `relay jobs stop ID`.
type JobsStopCmd struct{ jobSwitch }

func (c *JobsStopCmd) command() *cobra.Command { return c.on("stop", "Stop a job.") }

// Run stops a job. When it returns, the job changes nothing any more.
func (c *JobsStopCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	job, err := service.StopJob(ctx, c.actor(), c.ID)
	return c.print(app, job, err)
}

// JobsResumeCmd is `relay jobs resume ID`.
type JobsResumeCmd struct{ jobSwitch }

func (c *JobsResumeCmd) command() *cobra.Command {
	return c.on("resume", "Have a job go on that was stopped.")
}

// Run has a job go on where it was stopped.
func (c *JobsResumeCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	job, err := service.ResumeJob(ctx, c.actor(), c.ID)
	return c.print(app, job, err)
}

// JobsRateCmd is `relay jobs rate ID RATE`.
type JobsRateCmd struct {
	jobSwitch
	Rate string
}

func (c *JobsRateCmd) command() *cobra.Command {
	cmd := c.on("rate", "Set how many messages a second a job changes at most; 0: no limit, and 100 while new messages arrive.")
	cmd.Use, cmd.Args, cmd.Example = "rate ID RATE", exactly(&c.ID, &c.Rate), "  relay jobs rate "+exampleJob+" 50"
	return cmd
}

// Validate reads the rate.
func (c *JobsRateCmd) Validate() error {
	if _, err := strconv.ParseFloat(c.Rate, 64); err != nil {
		return fmt.Errorf("RATE: %s is no number", quote(c.Rate))
	}
	return nil
}

// Run changes the rate of a job, from its next batch on.
func (c *JobsRateCmd) Run(ctx context.Context, app *App) error {
	rate, err := strconv.ParseFloat(c.Rate, 64)
	if err != nil {
		return err
	}
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	job, err := service.SetJobRate(ctx, c.actor(), c.ID, rate)
	return c.print(app, job, err)
}
