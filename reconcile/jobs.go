package reconcile

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

const (
	// jobsEvery is how often a relay looks for jobs while none runs: a person who starts one sees it begin.
	jobsEvery = 500 * time.Millisecond
	// jobsMost is how many jobs go on at once; the youngest wait.
	jobsMost = 16
	// jobBatch is the most messages that one transaction of a job changes. A job with a rate
	// has batches of a twentieth of a second: what it sends again comes evenly, and new messages wait for little of it.
	jobBatch  = 500
	jobShares = 20
	// jobBeside is the rate of a job that has none, in messages a second, while new messages arrive: they are not to
	// wait for what a person sends again. jobAlone is how long none has arrived when it goes as fast as it can.
	jobBeside = 100
	jobAlone  = 2 * time.Second
	// jobAgain is when messages are tried again that another session holds.
	jobAgain = 200 * time.Millisecond
)

// jobRates holds the limiters of the jobs that run.
type jobRates map[relay.ID]*rate.Limiter

// jobSizes holds how many messages a batch of a job has at most, where PostgreSQL refused to change some: it is
// halved until the culprit is alone, and grows again then.
type jobSizes map[relay.ID]int

// of returns the size of the next batch. The rate allows most messages.
func (s jobSizes) of(job relay.ID, most int) int {
	if size := s[job]; size > 0 {
		return min(size, most)
	}
	return most
}

// refused halves the batch after one of size messages was refused.
func (s jobSizes) refused(job relay.ID, size int) { s[job] = max(1, size/2) }

// done lets the batch grow after one of size messages was done.
func (s jobSizes) done(job relay.ID, size int) {
	if s[job] == 0 {
		return
	}
	if s[job] = 2 * size; s[job] > jobBatch {
		delete(s, job)
	}
}

// allow returns how many messages of a job may be changed now at a rate, and takes them from it. A rate of zero is
// none.
func (r jobRates) allow(job relay.ID, limit float64, now time.Time) int {
	if limit == 0 {
		delete(r, job)
		return jobBatch
	}
	l := r[job]
	if l == nil || l.Limit() != rate.Limit(limit) { // a person may have changed it
		l = rate.NewLimiter(rate.Limit(limit), min(max(int(limit/jobShares), 1), jobBatch))
		r[job] = l
	}
	if !l.AllowN(now, l.Burst()) {
		return 0
	}
	return l.Burst()
}

// wait returns how long it takes until a job may have its next batch.
func (r jobRates) wait(job relay.ID, now time.Time) time.Duration {
	l := r[job]
	if l == nil {
		return 0
	}
	lacks := float64(l.Burst()) - l.TokensAt(now)
	return max(time.Millisecond, time.Duration(lacks/float64(l.Limit())*float64(time.Second)))
}

// lastTime is when something happened last. The zero value says that it never did.
type lastTime struct{ nanos atomic.Int64 }

func (t *lastTime) note(now time.Time) { t.nanos.Store(now.UnixNano()) }
func (t *lastTime) within(d time.Duration, now time.Time) bool {
	return now.UnixNano()-t.nanos.Load() < int64(d)
}

// runJobs works at the jobs that people asked for, while this relay owns their shard, until
// ctx ends.
func (e *jobRunner) runJobs(ctx context.Context) error {
	rates, sizes := make(jobRates), make(jobSizes)
	for pause := jobsEvery; wait.For(ctx, pause); {
		if pause = jobsEvery; !e.lease.Load().sends(sql.JobShard) {
			clear(rates)
			e.config.Metrics.jobsRunning.Set(0)
			continue
		}
		next, err := e.stepJobs(ctx, rates, sizes)
		e.trouble.NoteDuring(ctx, "run jobs", err)
		if err == nil {
			pause = next
		}
	}
	return nil
}

// stepJobs does the next batch of each job whose rate allows it, and returns when to come
// again. One that fails does not keep the others from going on, and a message that cannot be changed does not keep
// its job.
func (e *jobRunner) stepJobs(ctx context.Context, rates jobRates, sizes jobSizes) (wait time.Duration, err error) {
	jobs, err := e.config.Store.RunningJobs(ctx, jobsMost)
	e.config.Metrics.jobsRunning.Set(float64(len(jobs)))
	if err != nil || len(jobs) == 0 {
		clear(rates)
		clear(sizes)
		return jobsEvery, err
	}
	wait = jobsEvery
	for _, job := range jobs {
		if job.Rate == 0 && e.newMessages.within(jobAlone, time.Now()) {
			job.Rate = jobBeside / float64(len(jobs))
		}
		most := rates.allow(job.ID, job.Rate, time.Now())
		if most == 0 {
			wait = min(wait, rates.wait(job.ID, time.Now()))
			continue
		}
		size := sizes.of(job.ID, most)
		step, stepErr := e.config.Store.StepJob(ctx, e.lease.Load().lease, job, size)
		if stepErr != nil && size > 1 && ctx.Err() == nil && !sql.AboutTheServer(stepErr) && !errors.Is(stepErr, sql.ErrFenced) {
			sizes.refused(job.ID, size)
			wait = 0
			continue
		}
		if stepErr != nil {
			err = stepErr
			continue
		}
		sizes.done(job.ID, size)
		e.stepped(job, step)
		switch {
		case !step.Moved:
		case step.Locked > 0:
			wait = min(wait, jobAgain)
		default:
			wait = min(wait, rates.wait(job.ID, time.Now()))
		}
	}
	return wait, err
}

// stepped rings for what a batch has changed.
func (e *jobRunner) stepped(job sql.Job, step sql.JobStep) {
	if len(step.Pending) > 0 {
		e.ringer.found(step.Pending)
	}
	if step.Refused != nil {
		e.quarantine.Isolate(quarantine.Message(quarantine.ChangeByJob, step.First), step.Refused)
	}
	if step.Changed > 0 {
		// Also for what waited behind messages that were cancelled, here and elsewhere.
		e.loop.tell(machine.Found{})
		if e.lease.Load().fleet.Relays > 1 {
			e.others.add([]foreign{{id: step.First}})
		}
	}
	e.config.Metrics.jobMessages.Add(float64(step.Changed))
	if step.Ended {
		e.config.Metrics.jobs.WithLabelValues(string(job.Kind)).Inc()
		e.config.Log.Info("a job has ended", "job", job.ID, "kind", string(job.Kind))
	}
}
