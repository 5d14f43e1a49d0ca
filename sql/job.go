package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	// it is done. If it is not Counted, there are Total of them or more.
	Total      int64
	Counted    bool
	Done       int64  // messages that became what the person wanted
	Failed     int64  // messages that did not; their results say why
	Error      string // empty: none
	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt *time.Time // nil: it has not ended
	// StartAt is when it begins. Nil: at once.
	StartAt *time.Time
	// Actor made it, for the Reason given. Empty: that is not known.
	Actor, Reason string

	after    Cursor // where it goes on; empty: at the beginning
	searched bool   // all were looked at
}

// ErrNoJob says that there is no job of that id, or none that could be stopped or resumed.
var ErrNoJob = errors.New("there is no such job")

// allowedJob holds the message statuses that a kind of job may be asked for.
var allowedJob = map[JobKind][]relay.MessageStatus{
	JobReplay: nil,
	JobRetry:  {relay.MessageOpen, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled, relay.MessageDone},
	JobCancel: {relay.MessagePending, relay.MessageOpen, relay.MessageDead, relay.MessageRejected},
}

// PlanJob returns a job as it would be made now, with its messages counted for as long as most (zero: to the end),
// and changes nothing. A retry or cancel needs statuses in its filter, a replay needs ReplayTo.
func (s *Store) PlanJob(ctx context.Context, kind JobKind, f MessageFilter, rate float64, most time.Duration) (Job, error) {
	plan, err := s.planJob(ctx, kind, f, rate)
	if err != nil {
		return plan, err
	}
	total, _, err := s.CountMessages(ctx, plan.Filter, most)
	plan.Total, plan.Counted = total.N, total.Exact
	return plan, err
}

// planJob is PlanJob without the count.
func (s *Store) planJob(ctx context.Context, kind JobKind, f MessageFilter, rate float64) (Job, error) {
	job := Job{Kind: kind, Filter: f, Rate: rate, Status: JobRunning}
	if !makesSense(kind, f) || !(rate >= 0) || math.IsInf(rate, 0) {
		return job, fmt.Errorf("plan a job: a %s of %q messages makes no sense", kind, f.Status)
	}
	if err := s.pool.QueryRow(ctx, "select clock_timestamp()").Scan(&job.Filter.AsOf); err != nil {
		return job, fmt.Errorf("plan a job: %w", denial(err))
	}
	if f.Until.IsZero() || f.Until.After(job.Filter.AsOf) {
		job.Filter.Until = job.Filter.AsOf
	}
	if kind == JobReplay {
		return job, s.planReplay(ctx, &job.Filter)
	}
	return job, nil
}

// makesSense reports whether a kind of job can be made of what a filter matches. What is done is sent again only
// where nothing else was asked for: force is for all of it then.
func makesSense(kind JobKind, f MessageFilter) bool {
	if kind == JobReplay {
		return f.ReplayTo != "" && len(f.Status) == 0
	}
	mixed := len(f.Status) > 1 && slices.Contains(f.Status, relay.MessageDone)
	return f.ReplayTo == "" && f.Status.among(allowedJob[kind]...) && !mixed
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

const startJob = `
insert into relay.job (kind, filter, rate, total, counted, start_at, actor, reason)
values ($1, $2, nullif($3::double precision, 0), $4, $5, clock_timestamp() + nullif($6::bigint, 0) * interval '1 microsecond', nullif($7, ''), nullif($8, ''))
returning id, created_at, updated_at, start_at`

// StartJob makes the job, which a relay runs after the delay, and sets its ID and times. If once has a key with which
// a job was started before, that one is returned instead, and repeated is true.
func (s *Store) StartJob(ctx context.Context, job *Job, delay time.Duration, once Once) (repeated bool, err error) {
	filter, err := json.Marshal(job.Filter)
	if err != nil {
		return false, fmt.Errorf("start a job: %w", err)
	}
	job.Actor, job.Reason = s.actor.Name, s.actor.Reason
	err = s.inTx(ctx, "start a job", func(tx pgx.Tx) error {
		var before relay.ID
		if before, repeated, err = once.seen(ctx, tx, onceJob); err != nil {
			return err
		}
		if repeated {
			job.ID = before
			return nil
		}
		err := tx.QueryRow(ctx, startJob, string(job.Kind), filter, job.Rate, job.Total, job.Counted, delay.Microseconds(), text(job.Actor), text(job.Reason)).
			Scan((*[16]byte)(&job.ID), &job.CreatedAt, &job.UpdatedAt, &job.StartAt)
		if err != nil {
			return denial(err)
		}
		if err := once.note(ctx, tx, onceJob, job.ID); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Action: "job.start", Kind: AuditJob, Object: job.ID.String(), Details: filter, Result: string(job.Kind)})
	})
	if repeated && err == nil {
		*job, err = s.Job(ctx, job.ID)
	}
	return repeated, err
}

const jobColumns = `
	select j.id, j.kind, j.filter, coalesce(j.rate, 0), j.status, j.total, j.counted, j.done, j.failed, coalesce(j.error, ''),
		j.created_at, j.updated_at, j.finished_at, j.start_at, coalesce(j.actor, ''), coalesce(j.reason, ''), coalesce(j.cursor, ''), j.searched
	from relay.job j `

func scanJob(row pgx.CollectableRow) (job Job, err error) {
	var filter []byte
	err = row.Scan((*[16]byte)(&job.ID), &job.Kind, &filter, &job.Rate, &job.Status, &job.Total, &job.Counted, &job.Done, &job.Failed, &job.Error,
		&job.CreatedAt, &job.UpdatedAt, &job.FinishedAt, &job.StartAt, &job.Actor, &job.Reason, &job.after, &job.searched)
	if err != nil {
		return job, err
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

// JobPage is a part of the list of jobs.
type JobPage struct {
	Jobs []Job
	Next Cursor // where it goes on; empty: there is nothing more
}

// Jobs lists jobs, the youngest first, at most limit of them after a cursor that an earlier page returned.
func (s *Store) Jobs(ctx context.Context, after Cursor, limit int) (page JobPage, err error) {
	at, err := byID.from(after)
	if err != nil {
		return page, err
	}
	page.Jobs, err = s.jobs(ctx, "where j.id < $1 order by j.id desc limit $2", [16]byte(at.id), limit+1)
	if len(page.Jobs) > limit {
		page.Jobs = page.Jobs[:limit]
		page.Next = byID.at(position{created: startOfTime, id: page.Jobs[limit-1].ID})
	}
	return page, err
}

// RunningJobs lists the jobs that are to be worked at, the oldest first, at most limit of them.
func (s *Store) RunningJobs(ctx context.Context, limit int) ([]Job, error) {
	return s.jobs(ctx, "where j.status = 'running' and (j.start_at is null or j.start_at <= clock_timestamp()) order by j.created_at limit $1", limit)
}

// RecentJobs lists the jobs that run, are about to, or ended within the last minute, the youngest first, at most limit.
func (s *Store) RecentJobs(ctx context.Context, limit int) ([]Job, error) {
	return s.jobs(ctx, `
		where j.status = 'running' or (j.status <> 'running' and j.updated_at > clock_timestamp() - interval '1 minute')
		order by j.created_at desc limit $1`, limit)
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
