package api

import (
	"context"
	"net/http"
	"time"

	"relay/operate"
	"relay/sql"
)

// previewTime bounds a preview.
const previewTime = 2 * time.Second

func (a *API) startJob(ctx context.Context, in *startJobInput) (*startJobOutput, error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	r, err := a.jobRequest(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if in.Preview {
		p, err := service.PreviewJob(ctx, r, previewTime)
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		return &startJobOutput{Status: http.StatusOK, Body: JobAnswer{Preview: newPreview(p, began, a.itemFor(ctx))}}, nil
	}
	job, repeated, err := service.StartJobOnce(ctx, actor(ctx, in.Body.Reason), r, in.IdempotencyKey)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	shown := newJob(job)
	out := &startJobOutput{Status: http.StatusCreated, Location: Prefix + "/jobs/" + job.ID, Body: JobAnswer{Job: &shown, Created: !repeated}}
	if repeated {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (a *API) jobRequest(ctx context.Context, b NewJob) (r operate.JobRequest, err error) {
	f, stage, err := a.filter(ctx, b.Filter)
	if err != nil {
		return r, err
	}
	if stage != "" {
		return r, wrong("filter.stage", "a job takes a status or a delivery_status instead")
	}
	r = operate.JobRequest{Kind: sql.JobKind(b.Kind), Filter: f, Subscription: b.ReplayTo}
	for _, status := range f.Status {
		r.Force = r.Force || status == "done" // a filter that names this status asks for it
	}
	if b.Rate != nil {
		r.Rate = *b.Rate
	}
	return r, nil
}

func newPreview(p operate.JobPreview, began time.Time, item func(operate.Message) MessageItem) *JobPreview {
	ms := p.Takes.Milliseconds()
	shown := &JobPreview{
		Count: p.Count, Complete: p.Complete, ByStatus: p.ByStatus, Samples: []MessageItem{}, LeftOut: p.LeftOut, EstimatedMS: &ms,
		AsOf: time.Now().UTC(), TookMS: took(began),
	}
	for _, m := range p.Samples {
		shown.Samples = append(shown.Samples, item(m))
	}
	return shown
}

func newJob(j operate.Job) Job {
	shown := Job{
		ID: j.ID, Kind: string(j.Kind), Filter: shownFilter(j.Filter), ReplayTo: j.Subscription, Status: string(j.Status),
		Done: j.Done, Failed: j.Failed, Error: j.Error, By: j.Actor, Reason: j.Reason, CreatedAt: j.CreatedAt, StartsAt: j.CreatedAt,
		UpdatedAt: j.UpdatedAt, FinishedAt: j.FinishedAt,
	}
	if j.StartAt != nil {
		shown.StartsAt = *j.StartAt
	}
	if j.Rate > 0 {
		shown.Rate = &j.Rate
	}
	if j.Counted {
		shown.Total = &Count{N: j.Total, Precision: operate.Exact}
	} else if n := max(j.Total, j.Done+j.Failed); n > 0 {
		shown.Total = &Count{N: n, Precision: operate.AtLeast}
	}
	shown.EndsAt = endOf(j, shown.StartsAt)
	return shown
}

// endOf estimates when a running job will end, by what it has done so far.
func endOf(j operate.Job, started time.Time) *time.Time {
	worked, gone := j.Done+j.Failed, j.UpdatedAt.Sub(started)
	if j.Status != sql.JobRunning || worked == 0 || gone <= 0 || !j.Counted || j.Total <= worked {
		return nil
	}
	end := j.UpdatedAt.Add(time.Duration(float64(gone) * float64(j.Total-worked) / float64(worked))).UTC()
	return &end
}

func (a *API) listJobs(ctx context.Context, in *listJobsInput) (*Answer[Page[Job]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	found, err := service.Jobs(ctx, in.at())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	page := pageOf(found, began, newJob)
	page.Body.Complete = true
	return page, nil
}

func (a *API) getJob(ctx context.Context, in *jobInput) (*Answer[Job], error) {
	return a.job(ctx, func(s *operate.Service) (operate.Job, error) { return s.Job(ctx, in.ID) })
}

func (a *API) stopJob(ctx context.Context, in *switchJobInput) (*Answer[Job], error) {
	return a.job(ctx, func(s *operate.Service) (operate.Job, error) {
		return s.StopJob(ctx, actor(ctx, reasonOf(in.Body)), in.ID)
	})
}

func (a *API) resumeJob(ctx context.Context, in *resumeJobInput) (*Answer[Job], error) {
	var b Resume
	if in.Body != nil {
		b = *in.Body
	}
	return a.job(ctx, func(s *operate.Service) (operate.Job, error) {
		who := actor(ctx, b.Reason)
		if b.Rate != nil {
			if _, err := s.SetJobRate(ctx, who, in.ID, *b.Rate); err != nil {
				return operate.Job{}, err
			}
		}
		return s.ResumeJob(ctx, who, in.ID)
	})
}

func (a *API) setJobRate(ctx context.Context, in *rateJobInput) (*Answer[Job], error) {
	return a.job(ctx, func(s *operate.Service) (operate.Job, error) {
		return s.SetJobRate(ctx, actor(ctx, in.Body.Reason), in.ID, in.Body.Rate)
	})
}

// job answers with the job that a call returns.
func (a *API) job(ctx context.Context, call func(*operate.Service) (operate.Job, error)) (*Answer[Job], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	job, err := call(service)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return &Answer[Job]{newJob(job)}, nil
}

func (a *API) listJobResults(ctx context.Context, in *jobResultsInput) (*Answer[Page[JobResult]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	found, err := service.JobResults(ctx, in.ID, in.Failed, in.at())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	page := pageOf(found, began, func(r operate.JobResult) JobResult { return JobResult{Result: newResult(r.Result), At: r.UpdatedAt} })
	page.Body.Complete = true
	return page, nil
}
