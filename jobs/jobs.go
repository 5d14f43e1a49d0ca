// Package jobs runs what people asked for by filter: to retry, cancel or replay many messages. One relay of a database
// runs them all, batch by batch; the results and the progress of a batch are part of the transaction that changes its
// messages (sql.StepJob), so that another relay goes on where this one ends.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"relay/quarantine"
	"relay/sql"
	"relay/trouble"
	"relay/wait"
)

const (
	// every is how often a relay looks for jobs while none runs: a person who starts one sees it begin.
	every = 500 * time.Millisecond
	// most is how many jobs go on at once; the youngest wait.
	most = 16
	// beside is the rate of a job that has none, in messages a second, while new messages arrive: they are not to
	// wait for what a person sends again. alone is how long none has arrived when it goes as fast as it can.
	beside = 100
	alone  = 2 * time.Second
	// again is when messages are tried again that another session holds.
	again = 200 * time.Millisecond
)

// Config is what a runner needs. All of it is required.
type Config struct {
	Store *sql.Store
	// Lease returns the lease under which messages are changed, and whether this relay is the one that runs jobs.
	Lease func() (lease sql.Lease, runs bool)
	// Changed is told of each batch that a job has done, also of one that has changed nothing.
	Changed    func(sql.JobStep)
	Quarantine *quarantine.Quarantine
	Trouble    *trouble.Log
	Log        *slog.Logger
	Metrics    *Metrics
}

// Runner works at jobs. It is made by New, and run once by Run.
type Runner struct {
	config  Config
	arrived atomic.Int64 // the time of the last new message, in nanoseconds since 1970; zero: there was none
	rates   rates
	sizes   sizes
}

// New returns a runner that does nothing before Run.
func New(config Config) *Runner {
	return &Runner{config: config, rates: make(rates), sizes: make(sizes)}
}

// Arrived notes that a new message was taken up, for which jobs without a rate make way. It may be called at any time.
func (r *Runner) Arrived(now time.Time) { r.arrived.Store(now.UnixNano()) }

// makesWay reports whether a new message has arrived lately.
func (r *Runner) makesWay(now time.Time) bool { return now.UnixNano()-r.arrived.Load() < int64(alone) }

// Run works at the jobs that people asked for, while this relay is the one that runs them, until
// ctx ends. It returns no error: what fails is tried again.
func (r *Runner) Run(ctx context.Context) error {
	for pause := every; wait.For(ctx, pause); {
		if pause = every; !r.runs() {
			clear(r.rates)
			r.config.Metrics.running.Set(0)
			continue
		}
		next, err := r.step(ctx)
		r.config.Trouble.NoteDuring(ctx, "run jobs", err)
		if err == nil {
			pause = next
		}
	}
	return nil
}

func (r *Runner) runs() bool {
	_, runs := r.config.Lease()
	return runs
}

// step does the next batch of each job whose rate allows it, and returns when to come
// again. One that fails does not keep the others from going on, and a message that cannot be changed does not keep
// its job.
func (r *Runner) step(ctx context.Context) (pause time.Duration, err error) {
	jobs, err := r.config.Store.RunningJobs(ctx, most)
	r.config.Metrics.running.Set(float64(len(jobs)))
	if err != nil || len(jobs) == 0 {
		clear(r.rates)
		clear(r.sizes)
		return every, err
	}
	pause = every
	for _, job := range jobs {
		if job.Rate == 0 && r.makesWay(time.Now()) {
			job.Rate = beside / float64(len(jobs))
		}
		allowed := r.rates.allow(job.ID, job.Rate, time.Now())
		if allowed == 0 {
			pause = min(pause, r.rates.wait(job.ID, time.Now()))
			continue
		}
		size := r.sizes.of(job.ID, allowed)
		lease, _ := r.config.Lease()
		step, stepErr := r.config.Store.StepJob(ctx, lease, job, size)
		if stepErr != nil && size > 1 && ctx.Err() == nil && !sql.AboutTheServer(stepErr) && !errors.Is(stepErr, sql.ErrFenced) {
			r.sizes.refused(job.ID, size)
			pause = 0
			continue
		}
		if stepErr != nil {
			err = stepErr
			continue
		}
		r.sizes.done(job.ID, size)
		r.stepped(job, step)
		switch {
		case !step.Moved:
		case step.Locked > 0:
			pause = min(pause, again)
		default:
			pause = min(pause, r.rates.wait(job.ID, time.Now()))
		}
	}
	return pause, err
}

// stepped tells of what a batch has done.
func (r *Runner) stepped(job sql.Job, step sql.JobStep) {
	r.config.Changed(step)
	if step.Refused != nil {
		r.config.Quarantine.Isolate(quarantine.Message(quarantine.ChangeByJob, step.First), step.Refused)
	}
	r.config.Metrics.messages.Add(float64(step.Changed))
	if step.Ended {
		r.config.Metrics.ended.WithLabelValues(string(job.Kind)).Inc()
		r.config.Log.Info("a job has ended", "job", job.ID, "kind", string(job.Kind))
	}
}
