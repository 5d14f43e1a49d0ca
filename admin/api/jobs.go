package api

import (
	"time"

	"relay/operate"
)

// Job is work that a person asked for and a relay does in the background.
type Job struct {
	ID         string     `json:"id" format:"uuid"`
	Kind       string     `json:"kind" enum:"retry,cancel,replay"`
	Filter     Filter     `json:"filter" doc:"Which messages. Times are absolute."`
	ReplayTo   string     `json:"replay_to,omitempty" doc:"Of a replay: the subscription."`
	Rate       *float64   `json:"rate,omitempty" doc:"Messages per second, at most. Absent: no limit."`
	Status     string     `json:"status" enum:"running,stopped,done,failed" doc:"running also before it starts."`
	Total      *Count     `json:"total,omitempty" doc:"How many messages match. Absent: not counted yet."`
	Done       int64      `json:"done" doc:"Messages that became what was wanted."`
	Failed     int64      `json:"failed" doc:"Messages that did not; their results say why."`
	Error      string     `json:"error,omitempty" doc:"Why it failed."`
	By         string     `json:"by,omitempty" doc:"The name that its maker gave."`
	Reason     string     `json:"reason,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	StartsAt   time.Time  `json:"starts_at" doc:"Until then it can be stopped before it has done anything."`
	UpdatedAt  time.Time  `json:"updated_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	EndsAt     *time.Time `json:"ends_at,omitempty" doc:"When it will end at the rate of now; an estimate."`
}

// NewJob is a job that a person asks for.
type NewJob struct {
	Kind     string   `json:"kind" enum:"retry,cancel,replay" doc:"retry: send again what did not end well; cancel; replay: send what is past to one subscription."`
	Filter   Filter   `json:"filter" doc:"Which messages. A retry or cancel needs a status, or a delivery_status that has not ended well; stage stands in no filter of a job."`
	ReplayTo string   `json:"replay_to,omitempty" maxLength:"255" doc:"Of a replay: the subscription."`
	Rate     *float64 `json:"rate,omitempty" exclusiveMinimum:"0" maximum:"1000000" doc:"Messages per second, at most. Absent: as fast as it goes, and 100 while new messages arrive."`
	Reason   string   `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type startJobInput struct {
	Preview        bool   `query:"preview" doc:"Count and show what the job would do, and make none."`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A request with the same key and content is answered as the first one was, and makes no second job."`
	Body           NewJob
}

// JobAnswer is a job, or the preview of one.
type JobAnswer struct {
	Job     *Job        `json:"job,omitempty" doc:"The job that was made, or that an earlier request with the same Idempotency-Key made."`
	Created bool        `json:"created" doc:"This request made it."`
	Preview *JobPreview `json:"preview,omitempty" doc:"With preview=true."`
}

type startJobOutput struct {
	Status   int
	Location string `header:"Location" doc:"Path of the job."`
	Body     JobAnswer
}

// JobPreview is what a job would do. It need not be complete before the job is started.
type JobPreview struct {
	Count       Count             `json:"count" doc:"Messages that match, as far as they were counted."`
	Complete    bool              `json:"complete" doc:"Everything was counted. If not, the job finds the rest on its way."`
	ByStatus    []StatusCount     `json:"by_status" doc:"Of the messages that were counted."`
	Samples     []MessageItem     `json:"samples" doc:"The newest that match, at most 5."`
	LeftOut     []operate.LeftOut `json:"left_out" doc:"What is near and is not touched, and why."`
	EstimatedMS *int64            `json:"estimated_ms,omitempty" doc:"How long it would take."`
	AsOf        time.Time         `json:"as_of"`
	TookMS      float64           `json:"took_ms"`
}

type listJobsInput struct {
	PageQuery
	Polled
}

type jobInput struct {
	ID string `path:"id" maxLength:"36" doc:"Id of the job."`
	Polled
}

type switchJobInput struct {
	ID   string `path:"id" maxLength:"36" doc:"Id of the job."`
	Body *Because
}

// Resume is how a job goes on.
type Resume struct {
	Rate   *float64 `json:"rate,omitempty" minimum:"0" maximum:"1000000" doc:"Messages per second from now on; 0: as fast as it goes; absent: as before."`
	Reason string   `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type resumeJobInput struct {
	ID   string `path:"id" maxLength:"36" doc:"Id of the job."`
	Body *Resume
}

// Rate is how fast a job goes.
type Rate struct {
	Rate   float64 `json:"rate" minimum:"0" maximum:"1000000" doc:"Messages per second; 0: as fast as it goes."`
	Reason string  `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type rateJobInput struct {
	ID   string `path:"id" maxLength:"36" doc:"Id of the job."`
	Body Rate
}

type jobResultsInput struct {
	ID string `path:"id" maxLength:"36" doc:"Id of the job."`
	PageQuery
	Failed bool `query:"failed" doc:"Only messages that did not become what was wanted."`
	Polled
}

// JobResult is what a job did to one message.
type JobResult struct {
	Result
	At time.Time `json:"at"`
}
