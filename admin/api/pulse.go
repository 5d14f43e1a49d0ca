package api

import "time"

type pulseInput struct {
	Subscription string `query:"subscription" maxLength:"255" doc:"Deliveries to this subscriber alone; absent: all."`
	Source       string `query:"source" maxLength:"255" doc:"Messages of this sender alone; absent: all."`
	Topic        string `query:"topic" maxLength:"255" doc:"Messages of this topic alone; absent: all."`
	From         Moment `query:"from" doc:"Begin: RFC 3339, or a time span before now. 1h if absent."`
	To           Moment `query:"to" doc:"End. Now if absent."`
	Step         int    `query:"step" minimum:"60" maximum:"86400" doc:"Seconds of one point, a multiple of 60. Chosen to give at most 180 points if absent."`
	Polled
}

// Pulse is a history of rates and latencies.
type Pulse struct {
	From   time.Time    `json:"from"`
	To     time.Time    `json:"to"`
	Step   int          `json:"step" doc:"Seconds of one point."`
	Points []PulsePoint `json:"points" doc:"The oldest first, without gaps."`
	Since  *time.Time   `json:"since,omitempty" doc:"The oldest minute that is kept."`
	AsOf   time.Time    `json:"as_of"`
}

// PulsePoint is one step of a history. Counts are of the step, not per second.
type PulsePoint struct {
	At           time.Time `json:"at" doc:"Its begin."`
	Received     int64     `json:"received" doc:"Messages that were taken up."`
	Rejected     int64     `json:"rejected"`
	Accepted     int64     `json:"accepted" doc:"Deliveries that the receiver took."`
	Handled      int64     `json:"handled"`
	PushFailed   int64     `json:"push_failed" doc:"Attempts."`
	HandleFailed int64     `json:"handle_failed" doc:"Attempts."`
	Dead         int64     `json:"dead"`
	WaitP50      *float64  `json:"wait_p50_ms" doc:"From due to accepted. null: nothing was accepted."`
	WaitP99      *float64  `json:"wait_p99_ms"`
	TotalP50     *float64  `json:"total_p50_ms" doc:"From due to handled."`
	TotalP99     *float64  `json:"total_p99_ms"`
}
