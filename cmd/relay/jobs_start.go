package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"relay/operate"
	"relay/sql"
)

// jobOptions are what every command takes that makes a job.
type jobOptions struct {
	because
	Yes     bool
	Preview bool
	Rate    float64
	JSON    bool
}

func (o *jobOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&o.Yes, "yes", "y", false, "Do not ask before many messages are changed.")
	f.BoolVar(&o.Preview, "preview", false, "Count the messages that match, and change nothing (also --dry-run).")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "dry-run" {
			name = "preview"
		}
		return pflag.NormalizedName(name)
	})
	f.Float64Var(&o.Rate, "rate", 0, "Messages per second, at most `N`. 0: no limit, and 100 while new messages arrive.")
	jsonFlag(cmd, &o.JSON, "Print JSON.")
	o.because.flags(cmd)
}

// Validate judges the rate.
func (o *jobOptions) Validate() error {
	if !(o.Rate >= 0) {
		return errors.New("--rate: below 0")
	}
	return nil
}

// start makes a job of what a filter matches, after the person has agreed to the count. The
// very messages that were counted are changed, no later ones. The job has no id if none was made.
func (o *jobOptions) start(ctx context.Context, app *App, service *operate.Service, r operate.JobRequest) (operate.Job, error) {
	plan, err := service.Preview(ctx, r, 0)
	if err != nil {
		return operate.Job{}, err
	}
	switch {
	case o.Preview && o.JSON:
		return operate.Job{}, printJSON(app.Stdout, plan)
	case o.Preview:
		_, err := fmt.Fprintln(app.Stdout, matching(plan, r.Filter))
		return operate.Job{}, err
	}
	fmt.Fprintln(app.Stderr, matching(plan, r.Filter))
	if plan.Messages.N == 0 {
		return operate.Job{}, nil
	}
	if !o.Yes {
		if err := confirm(ctx, app, string(r.Kind)); err != nil {
			return operate.Job{}, err
		}
	}
	job, _, err := service.StartPlan(ctx, o.actor(), plan)
	return job, err
}

// matching says how many messages match.
func matching(plan operate.Plan, f operate.Filter) string {
	statuses := make([]string, len(f.Status))
	for i, status := range f.Status {
		statuses[i] = string(status)
	}
	text := counted(plan.Messages, strings.TrimPrefix(strings.Join(statuses, " or ")+" message", " "))
	if plan.Messages.N == 1 {
		return text + " matches"
	}
	return text + " match"
}

// startAndFollow makes a job, and prints it: at once, or when it has ended.
func (o *jobOptions) startAndFollow(ctx context.Context, app *App, service *operate.Service, r operate.JobRequest, wait bool) error {
	job, err := o.start(ctx, app, service, r)
	if err != nil || job.ID == "" {
		return err
	}
	if !wait {
		return o.started(app, job)
	}
	if job, err = awaitJob(ctx, app, service, job.ID); err != nil {
		return err
	}
	if o.JSON {
		err = printJSON(app.Stdout, job)
	} else {
		_, err = fmt.Fprintf(app.Stdout, "job %s: %s\n", job.ID, progress(job))
	}
	return errors.Join(err, jobFailure(job))
}

// started prints a job that goes on in the background.
func (o *jobOptions) started(app *App, job operate.Job) error {
	fmt.Fprintf(app.Stderr, "a relay does it in the background: relay jobs show %s\n", job.ID)
	if o.JSON {
		return printJSON(app.Stdout, job)
	}
	_, err := fmt.Fprintln(app.Stdout, job.ID)
	return err
}

// awaitJob waits until a job runs no more, and tells now and then how it gets on.
func awaitJob(ctx context.Context, app *App, service *operate.Service, id string) (operate.Job, error) {
	job, err := service.AwaitJob(ctx, id, func(job operate.Job) {
		fmt.Fprintf(app.Stderr, "job %s: %s\n", id, progress(job))
	})
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("job %s goes on", id))
	}
	return job, err
}

// jobFailure is an error unless the job has done all that it was made for.
func jobFailure(job operate.Job) error {
	switch {
	case job.Status != sql.JobDone:
		return fmt.Errorf("job %s is %s: %s", job.ID, job.Status, progress(job))
	case job.Failed > 0:
		return fmt.Errorf("%s: %d of %s failed: relay jobs show --failed %s", job.Kind, job.Failed, plural(job.Total, "message"), job.ID)
	}
	return nil
}

// progress says how far a job is.
func progress(job operate.Job) string {
	text := fmt.Sprintf("%s, %d of %d", job.Status, job.Done+job.Failed, job.Total)
	if job.Failed > 0 {
		text += fmt.Sprintf(", %d failed", job.Failed)
	}
	if job.Error != "" {
		text += ": " + job.Error
	}
	return text
}
