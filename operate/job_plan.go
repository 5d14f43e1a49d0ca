package operate

import (
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// UndoTime is how long after it was made a job of the API begins: until then it can be stopped before it has done
// anything.
const UndoTime = 5 * time.Second

// JobPreview is what a job would do, as far as it was looked at.
type JobPreview struct {
	Counted
	Complete bool
	Samples  []Message // the newest that match, at most five
	LeftOut  []LeftOut
	Takes    time.Duration // an estimate
}

// LeftOut is what is near and is not touched, and why.
type LeftOut struct {
	Status string `json:"status" doc:"Of the messages."`
	Count  Count  `json:"count"`
	Why    string `json:"why" enum:"ended_well,cancelled,pending,not_asked_for"`
}

// jobPace is how many messages a job changes in a second where it has no rate: an estimate.
const jobPace = 1000

// PreviewJob looks at what a job would do, for at most the time given.
func (s *Service) PreviewJob(ctx context.Context, r JobRequest, limit time.Duration) (p JobPreview, err error) {
	if r, err = r.settled(); err != nil {
		return p, err
	}
	until := time.Now().Add(limit)
	f := r.Filter.store()
	f.ReplayTo = r.Subscription
	job, err := s.store.PlanJob(ctx, r.Kind, f, r.Rate, limit/2)
	if err != nil {
		return p, refusedJob(err)
	}
	p.Count, p.Complete = counted(sql.Count{N: job.Total, Exact: job.Counted}), job.Counted
	p.ByStatus, p.LeftOut, p.Samples = []StatusCount{}, []LeftOut{}, []Message{}
	pace := float64(jobPace)
	if r.Rate > 0 {
		pace = min(pace, r.Rate)
	}
	p.Takes = time.Duration(float64(job.Total) / pace * float64(time.Second))
	page, err := s.store.ListMessages(ctx, job.Filter, "", 5)
	if err != nil {
		return p, err
	}
	for _, m := range page.Messages {
		p.Samples = append(p.Samples, newMessage(m))
	}
	if r.Kind == sql.JobReplay {
		return p, nil
	}
	return p, s.lookAround(ctx, r, &p, until)
}

// lookAround counts by status what matches but for its status.
func (s *Service) lookAround(ctx context.Context, r JobRequest, p *JobPreview, until time.Time) error {
	f := r.Filter
	f.Status = nil
	_, by, err := s.store.CountMessages(ctx, f.store(), max(time.Until(until), time.Millisecond))
	if err != nil {
		return err
	}
	for _, status := range messageStatuses {
		n := by[status]
		switch {
		case n == 0:
		case slices.Contains(r.Filter.Status, status):
			p.ByStatus = append(p.ByStatus, StatusCount{string(status), n})
		default:
			p.LeftOut = append(p.LeftOut, LeftOut{string(status), exactly(n), whyLeftOut(status)})
		}
	}
	return nil
}

func whyLeftOut(status relay.MessageStatus) string {
	switch status {
	case relay.MessageDone:
		return "ended_well"
	case relay.MessageCancelled:
		return "cancelled"
	case relay.MessagePending:
		return "pending"
	}
	return "not_asked_for"
}

// settled is the request with the statuses that its delivery statuses mean, judged.
func (r JobRequest) settled() (JobRequest, error) {
	if r.Kind != sql.JobReplay && len(r.Filter.Status) == 0 {
		for _, status := range r.Filter.DeliveryStatus {
			switch status {
			case relay.DeliveryDead:
				r.Filter.Status = append(r.Filter.Status, relay.MessageDead)
			case relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryCancelled:
				return r, invalid("delivery_status", "%s deliveries have ended: give a status of the messages", status)
			default:
				r.Filter.Status = append(r.Filter.Status, relay.MessageOpen)
			}
		}
		slices.Sort(r.Filter.Status)
		r.Filter.Status = slices.Compact(r.Filter.Status)
	}
	return r, r.judge()
}

// StartJobOnce makes a job that begins after UndoTime and counts its messages on its way. A second request with the
// same key returns the first one's job.
func (s *Service) StartJobOnce(ctx context.Context, actor Actor, r JobRequest, key string) (job Job, repeated bool, err error) {
	o, err := Once(key, r)
	if err != nil {
		return Job{}, false, err
	}
	if r, err = r.settled(); err != nil {
		return Job{}, false, err
	}
	f := r.Filter.store()
	f.ReplayTo = r.Subscription
	const counting = 100 * time.Millisecond
	plan, err := s.store.PlanJob(ctx, r.Kind, f, r.Rate, counting)
	if err != nil {
		return Job{}, false, refusedJob(err)
	}
	repeated, err = s.by(actor).StartJob(ctx, &plan, UndoTime, o)
	if err != nil {
		return Job{}, false, err
	}
	return newJob(plan), repeated, nil
}

// refusedJob tells in words why a job cannot be made.
func refusedJob(err error) error {
	if CodeOf(err) == CodeInternal && stateOf(err) == "" {
		return &Error{Code: CodeInvalid, Text: err.Error(), cause: err}
	}
	return err
}
