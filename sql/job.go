package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// JobKind is what a job does with its messages.
type JobKind string

// The kinds of jobs.
const (
	JobReplay JobKind = "replay" // sends what is past to one subscription
	JobRetry  JobKind = "retry"  // sends again what did not end well
	JobCancel JobKind = "cancel"
)

// JobStatus is how a job stands.
type JobStatus string

// The states of jobs.
const (
	JobRunning JobStatus = "running" // or waiting for a relay that runs it
	JobStopped JobStatus = "stopped" // by a person; it can be resumed
	JobDone    JobStatus = "done"
	JobFailed  JobStatus = "failed" // it cannot go on, and Error says why
)

// Job is work that a person asked for and a relay does in the background.
type Job struct {
	ID     relay.ID
	Kind   JobKind
	Filter MessageFilter
	Rate   float64 // messages per second, at most; zero: no limit
	Status JobStatus
	// Total is how many messages matched when the job was made, and how many it came to once
	// it is done.
	Total      int64
	Done       int64  // messages that became what the person wanted
	Failed     int64  // messages that did not; their results say why
	Error      string // empty: none
	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt *time.Time // nil: it has not ended

	after    relay.ID // the message that was looked at last; zero: none yet
	searched bool     // all were looked at
}

// ErrNoJob says that there is no job of that id, or none that could be stopped or resumed.
var ErrNoJob = errors.New("there is no such job")

// allowedJob holds the message statuses that a kind of job may be asked for.
var allowedJob = map[JobKind][]relay.MessageStatus{
	JobReplay: {""},
	JobRetry:  {relay.MessageOpen, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled, relay.MessageDone},
	JobCancel: {relay.MessagePending, relay.MessageOpen, relay.MessageDead, relay.MessageRejected},
}

// PlanJob returns a job as it would be made now, with its messages counted, and changes
// nothing. A retry or cancel needs a status in its filter, a replay needs ReplayTo.
func (s *Store) PlanJob(ctx context.Context, kind JobKind, f MessageFilter, rate float64) (Job, error) {
	job := Job{Kind: kind, Filter: f, Rate: rate, Status: JobRunning}
	if !slices.Contains(allowedJob[kind], f.Status) || rate < 0 || (kind == JobReplay) != (f.ReplayTo != "") {
		return job, fmt.Errorf("plan a job: a %s of %q messages makes no sense", kind, f.Status)
	}
	if err := s.pool.QueryRow(ctx, "select clock_timestamp()").Scan(&job.Filter.AsOf); err != nil {
		return job, fmt.Errorf("plan a job: %w", err)
	}
	if f.Until.IsZero() || f.Until.After(job.Filter.AsOf) {
		job.Filter.Until = job.Filter.AsOf
	}
	if kind == JobReplay {
		if err := s.planReplay(ctx, &job.Filter); err != nil {
			return job, err
		}
	}
	var err error
	job.Total, err = s.CountMessages(ctx, job.Filter)
	return job, err
}

// planReplay looks up the subscription's patterns.
func (s *Store) planReplay(ctx context.Context, f *MessageFilter) error {
	var broadcast bool
	var text string
	const statement = `select topics, broadcast, target from relay.subscription where name = $1`
	err := s.pool.QueryRow(ctx, statement, f.ReplayTo).Scan(&f.Topics, &broadcast, &text)
	target, _ := relay.ParseTarget(text) // what cannot be read leads nowhere
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("there is no subscription %q", f.ReplayTo)
	case err != nil:
		return fmt.Errorf("read subscription %q: %w", f.ReplayTo, denial(err))
	case broadcast && target.Spreads():
		return fmt.Errorf("subscription %q broadcasts over HTTP: it goes to the instances that live when a message is taken up, and cannot be replayed", f.ReplayTo)
	}
	return nil
}

// StartJob makes the job, which a relay runs from now on, and sets its ID and times.
func (s *Store) StartJob(ctx context.Context, job *Job) error {
	filter, err := json.Marshal(job.Filter)
	if err != nil {
		return fmt.Errorf("start a job: %w", err)
	}
	const statement = `
	insert into relay.job (kind, filter, rate, total) values ($1, $2, nullif($3::double precision, 0), $4)
	returning id, created_at, updated_at`
	err = s.pool.QueryRow(ctx, statement, string(job.Kind), filter, job.Rate, job.Total).
		Scan((*[16]byte)(&job.ID), &job.CreatedAt, &job.UpdatedAt)
	if err != nil {
		return fmt.Errorf("start a job: %w", denial(err))
	}
	return nil
}

const jobColumns = `
	select j.id, j.kind, j.filter, coalesce(j.rate, 0), j.status, j.total, j.done, j.failed, coalesce(j.error, ''),
		j.created_at, j.updated_at, j.finished_at, j.last_id, j.searched
	from relay.job j `

func scanJob(row pgx.CollectableRow) (job Job, err error) {
	var filter []byte
	var after *[16]byte
	err = row.Scan((*[16]byte)(&job.ID), &job.Kind, &filter, &job.Rate, &job.Status, &job.Total, &job.Done, &job.Failed, &job.Error,
		&job.CreatedAt, &job.UpdatedAt, &job.FinishedAt, &after, &job.searched)
	if err != nil {
		return job, err
	}
	if after != nil {
		job.after = *after
	}
	return job, json.Unmarshal(filter, &job.Filter)
}

func (s *Store) jobs(ctx context.Context, where string, arguments ...any) ([]Job, error) {
	rows, err := s.pool.Query(ctx, jobColumns+where, arguments...)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", denial(err))
	}
	jobs, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", denial(err))
	}
	return jobs, nil
}

// Jobs lists jobs, the youngest first, at most limit of them.
func (s *Store) Jobs(ctx context.Context, limit int) ([]Job, error) {
	return s.jobs(ctx, "order by j.id desc limit $1", limit)
}

// RunningJobs lists the jobs that are to be worked at, the oldest first, at most limit of them.
func (s *Store) RunningJobs(ctx context.Context, limit int) ([]Job, error) {
	return s.jobs(ctx, "where j.status = 'running' order by j.created_at limit $1", limit)
}

// Job reads one job. It returns ErrNoJob if there is none.
func (s *Store) Job(ctx context.Context, id relay.ID) (Job, error) {
	jobs, err := s.jobs(ctx, "where j.id = $1", [16]byte(id))
	if err == nil && len(jobs) == 0 {
		err = ErrNoJob
	}
	if err != nil {
		return Job{}, err
	}
	return jobs[0], nil
}

// StopJob stops a running job: when it returns, nothing is changed any more. It returns
// ErrNoJob if there is none that runs.
func (s *Store) StopJob(ctx context.Context, id relay.ID) error {
	const statement = `update relay.job set status = 'stopped', updated_at = clock_timestamp() where id = $1 and status = 'running'`
	return s.switchJob(ctx, "stop", statement, id)
}

// ResumeJob has a job go on where it stopped or failed. It returns ErrNoJob if there is none
// that did.
func (s *Store) ResumeJob(ctx context.Context, id relay.ID) error {
	const statement = `
	update relay.job set status = 'running', error = null, finished_at = null, updated_at = clock_timestamp()
	where id = $1 and status in ('stopped', 'failed')`
	return s.switchJob(ctx, "resume", statement, id)
}

func (s *Store) switchJob(ctx context.Context, operation, statement string, id relay.ID) error {
	tag, err := s.pool.Exec(ctx, statement, [16]byte(id))
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNoJob
	}
	if err != nil {
		return fmt.Errorf("%s job %s: %w", operation, id, denial(err))
	}
	return nil
}

// JobResult is what a job did to one message.
type JobResult struct {
	Message relay.ID
	Effect  Effect
	At      time.Time
}

const jobResults = `
select message_id, result, updated_at from relay.job_result
where job_id = $1 and message_id > $2 and not ($3 and ok) order by message_id limit $4`

// JobResults lists what a job did so far, in the order of the message ids, after one of
// them, at most limit messages; with failed set only those that did not become what the person wanted.
func (s *Store) JobResults(ctx context.Context, id, after relay.ID, failed bool, limit int) ([]JobResult, error) {
	rows, err := s.pool.Query(ctx, jobResults, [16]byte(id), [16]byte(after), failed, limit)
	if err != nil {
		return nil, fmt.Errorf("read the results of job %s: %w", id, denial(err))
	}
	results, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r JobResult, err error) {
		err = row.Scan((*[16]byte)(&r.Message), &r.Effect, &r.At)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the results of job %s: %w", id, denial(err))
	}
	return results, nil
}
