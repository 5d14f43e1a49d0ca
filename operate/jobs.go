package operate

import (
	"context"
	"math"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// Job is work that a person asked for and a relay does in the background.
type Job struct {
	ID           string        `json:"id"`
	Kind         sql.JobKind   `json:"kind"`
	Status       sql.JobStatus `json:"status"`
	Subscription string        `json:"subscription,omitempty"` // to which messages are replayed
	Filter       Filter        `json:"filter"`
	Rate         float64       `json:"rate,omitempty"` // messages per second, at most; none: no limit
	Total        int64         `json:"total"`
	Counted      bool          `json:"counted"` // false: Total is what was counted before it started
	Done         int64         `json:"done"`    // messages that became what was asked for
	Failed       int64         `json:"failed"`  // messages that did not
	Error        string        `json:"error,omitempty"`
	CreatedAt    time.Time     `json:"created_at"`
	UpdatedAt    time.Time     `json:"updated_at"`
	FinishedAt   *time.Time    `json:"finished_at,omitempty"`
	StartAt      *time.Time    `json:"start_at,omitempty"` // until then it can be stopped before it has done anything
	Actor        string        `json:"actor,omitempty"`
	Reason       string        `json:"reason,omitempty"`
}

func newJob(j sql.Job) Job {
	return Job{
		ID: j.ID.String(), Kind: j.Kind, Status: j.Status, Subscription: j.Filter.ReplayTo, Filter: filterOf(j.Filter), Rate: j.Rate,
		Total: j.Total, Done: j.Done, Failed: j.Failed, Error: j.Error,
		CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(), FinishedAt: utc(j.FinishedAt),
		Counted: j.Counted, StartAt: utc(j.StartAt), Actor: j.Actor, Reason: j.Reason,
	}
}

// JobRequest asks for a job.
type JobRequest struct {
	Kind   sql.JobKind
	Filter Filter
	// Subscription is the one to which messages are replayed; for a replay alone.
	Subscription string
	// Force allows a retry of what ended well.
	Force bool
	// Key makes a repeated request start nothing twice. Empty means that there is none.
	Key string
	// Delay is how long a job waits before it begins, so that it can be stopped before it has done anything.
	Delay time.Duration
	Rate  float64 // messages per second, at most; zero: no limit
}

// Validate says what of the request makes no sense.
func (r JobRequest) Validate() error {
	status := r.Filter.one()
	switch {
	case r.Kind != sql.JobReplay && r.Kind != sql.JobRetry && r.Kind != sql.JobCancel:
		return invalid("kind", "%s is none of replay, retry and cancel", quote(string(r.Kind)))
	case !(r.Rate >= 0):
		return invalid("rate", "below 0")
	case r.Kind == sql.JobReplay && r.Subscription == "":
		return invalid("subscription", "the subscription to which messages are replayed is needed")
	case r.Kind == sql.JobReplay && (status != "" || r.Filter.Subscription != "" || r.Filter.Error != ""):
		return invalid("filter", "a replay is of messages of any status: give topic, key, source, since and until alone")
	case r.Kind != sql.JobReplay && status == "":
		return invalid("status", "a status is needed")
	}
	return r.Filter.Validate()
}

// judge is Validate with the rules for each status.
func (r JobRequest) judge() error {
	if err := r.Validate(); err != nil {
		return err
	}
	for _, status := range r.Filter.Status {
		if err := CheckStatus(r.Kind, status, r.Force); err != nil {
			return err
		}
	}
	return nil
}

// CheckStatus says why messages of a status may not be retried or cancelled.
func CheckStatus(kind sql.JobKind, status relay.MessageStatus, force bool) error {
	switch {
	case kind == sql.JobRetry && status == relay.MessagePending:
		return invalid("status", "pending messages go by themselves")
	case kind == sql.JobRetry && status == relay.MessageDone && !force:
		return invalid("status", "done messages ended well, and are sent again with force alone")
	case kind == sql.JobCancel && !slices.Contains(cancelFrom, status):
		return invalid("status", "%s messages have ended", status)
	}
	return nil
}

// Plan is a job that was counted and not started.
type Plan struct {
	Kind     sql.JobKind `json:"kind"`
	Messages Count       `json:"messages"`
	AsOf     time.Time   `json:"as_of"` // later messages do not belong to the job
	job      sql.Job
	request  JobRequest
}

// Preview counts the messages of a job for as long as most (zero: to the end), and changes nothing.
func (s *Service) Preview(ctx context.Context, r JobRequest, most time.Duration) (Plan, error) {
	if err := r.judge(); err != nil {
		return Plan{}, err
	}
	f := r.Filter.store()
	f.ReplayTo = r.Subscription
	job, err := s.store.PlanJob(ctx, r.Kind, f, r.Rate, most)
	if err != nil {
		return Plan{}, err
	}
	count := Count{N: job.Total, Precision: Exact}
	if !job.Counted {
		count.Precision = AtLeast
	}
	return Plan{Kind: r.Kind, Messages: count, AsOf: job.Filter.AsOf.UTC(), job: job, request: r}, nil
}

// StartPlan makes a job of a plan: the very messages that were counted are changed, no later ones. If the same request
// with the same key came before, that one's job is returned, and repeated is true.
func (s *Service) StartPlan(ctx context.Context, actor Actor, p Plan) (job Job, repeated bool, err error) {
	once, err := Once(p.request.Key, p.request)
	if err != nil {
		return Job{}, false, err
	}
	if repeated, err = s.by(actor).StartJob(ctx, &p.job, p.request.Delay, once); err != nil {
		return Job{}, false, err
	}
	return newJob(p.job), repeated, nil
}

// countFirst is how long the messages of a job are counted before it starts: it finds the rest on its way.
const countFirst = 300 * time.Millisecond

// StartJob makes a job, which a relay runs from now on. It returns as StartPlan does.
func (s *Service) StartJob(ctx context.Context, actor Actor, r JobRequest) (job Job, repeated bool, err error) {
	p, err := s.Preview(ctx, r, countFirst)
	if err != nil {
		return Job{}, false, err
	}
	return s.StartPlan(ctx, actor, p)
}

// SetJobRate changes how many messages a second a job changes at most; zero: no limit.
func (s *Service) SetJobRate(ctx context.Context, actor Actor, id string, rate float64) (Job, error) {
	if !(rate >= 0) || math.IsInf(rate, 0) {
		return Job{}, invalid("rate", "a number from 0 is needed")
	}
	return s.switchJob(ctx, id, func(ctx context.Context, job relay.ID) error { return s.by(actor).SetJobRate(ctx, job, rate) })
}

// JobLimit is the most jobs that one page may have.
const JobLimit = 1000

// Jobs lists jobs, the youngest first.
func (s *Service) Jobs(ctx context.Context, at At) (Page[Job], error) {
	most, err := at.limit(JobLimit)
	if err != nil {
		return Page[Job]{}, err
	}
	page, err := s.store.Jobs(ctx, sql.Cursor(at.Cursor), most)
	if err != nil {
		return Page[Job]{}, cursorError(err)
	}
	var items []Job
	for _, j := range page.Jobs {
		items = append(items, newJob(j))
	}
	return newPage(items, string(page.Next)), nil
}

// Job reads one job.
func (s *Service) Job(ctx context.Context, id string) (Job, error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return Job{}, err
	}
	job, err := s.store.Job(ctx, parsed)
	if err != nil {
		return Job{}, err
	}
	return newJob(job), nil
}

// JobResult is what a job did to one message.
type JobResult struct {
	Result
	UpdatedAt time.Time `json:"updated_at"`
}

// JobResults lists what a job did so far, by the ids of the messages; with failed set only those that did not become
// what was asked for.
func (s *Service) JobResults(ctx context.Context, id string, failed bool, at At) (Page[JobResult], error) {
	job, err := parseID("id", id)
	if err != nil {
		return Page[JobResult]{}, err
	}
	most, err := at.limit(JobLimit)
	if err != nil {
		return Page[JobResult]{}, err
	}
	var after relay.ID
	if at.Cursor != "" {
		if after, err = parseID("cursor", at.Cursor); err != nil {
			return Page[JobResult]{}, err
		}
	}
	if _, err := s.store.Job(ctx, job); err != nil {
		return Page[JobResult]{}, err
	}
	results, err := s.store.JobResults(ctx, job, after, failed, most)
	if err != nil {
		return Page[JobResult]{}, err
	}
	var items []JobResult
	for _, r := range results {
		items = append(items, JobResult{Result: Result{ID: r.Message.String(), Result: r.Effect, OK: r.Effect.Succeeded()}, UpdatedAt: r.At.UTC()})
	}
	next := ""
	if len(items) == most {
		next = items[most-1].ID
	}
	return newPage(items, next), nil
}

// StopJob stops a running job. When it returns, the job changes nothing any more.
func (s *Service) StopJob(ctx context.Context, actor Actor, id string) (Job, error) {
	return s.switchJob(ctx, id, s.by(actor).StopJob)
}

// ResumeJob has a job go on where it was stopped.
func (s *Service) ResumeJob(ctx context.Context, actor Actor, id string) (Job, error) {
	return s.switchJob(ctx, id, s.by(actor).ResumeJob)
}

func (s *Service) switchJob(ctx context.Context, id string, change func(context.Context, relay.ID) error) (Job, error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return Job{}, err
	}
	if err := change(ctx, parsed); err != nil {
		return Job{}, err
	}
	return s.Job(ctx, id)
}

// AwaitJob returns a job once it runs no more. Every two seconds it tells how the job gets on.
func (s *Service) AwaitJob(ctx context.Context, id string, tell func(Job)) (Job, error) {
	const every, tellEvery = 200 * time.Millisecond, 2 * time.Second
	for told := time.Now(); ; {
		job, err := s.Job(ctx, id)
		switch {
		case err != nil:
			return job, err
		case job.Status != sql.JobRunning:
			return job, nil
		case time.Since(told) > tellEvery:
			told = time.Now()
			tell(job)
		}
		if err := pause(ctx, every); err != nil {
			return job, err
		}
	}
}
