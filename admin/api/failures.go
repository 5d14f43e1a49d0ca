package api

import "time"

// FailureGroup is what failed at one subscriber for one cause.
type FailureGroup struct {
	State        string        `json:"state" enum:"dead,failing,rejected" doc:"dead: needs a person; failing: goes by itself; rejected: could not be sent at all."`
	Subscription string        `json:"subscription,omitempty" doc:"Absent for rejected."`
	Cause        string        `json:"cause" doc:"Cause class. Empty: not known, from before causes were stored."`
	Class        string        `json:"class" enum:"push,handle,send,unknown" doc:"push: it did not reach the receiver; handle: the receiver's logic failed; send: it could not be sent at all."`
	Count        Count         `json:"count"`
	FirstAt      *time.Time    `json:"first_at,omitempty" doc:"The oldest of these."`
	LastAt       *time.Time    `json:"last_at,omitempty" doc:"The newest of these."`
	Trend        []int64       `json:"trend" doc:"Failures per hour over the last 24, the oldest first; 24 values. Of the subscription, all causes together."`
	OldestID     string        `json:"oldest_id,omitempty" format:"uuid" doc:"The message that has waited the longest."`
	NewestID     string        `json:"newest_id,omitempty" format:"uuid"`
	Error        string        `json:"error,omitempty" doc:"The newest error."`
	Guide        string        `json:"guide,omitempty" doc:"Anchor of the paragraph in docs/troubleshooting.md."`
	Note         *Note         `json:"note,omitempty"`
	Job          *JobReference `json:"job,omitempty" doc:"A job that runs on this group."`
}

// JobReference is a job in short.
type JobReference struct {
	ID    string `json:"id" format:"uuid"`
	Kind  string `json:"kind" enum:"retry,cancel,replay"`
	Done  int64  `json:"done"`
	Total *Count `json:"total,omitempty"`
}

// Note is what a person wrote at a group of failures.
type Note struct {
	Text string    `json:"text"`
	By   string    `json:"by,omitempty"`
	At   time.Time `json:"at"`
}

type listFailuresInput struct {
	State        string `query:"state" enum:"dead,failing,rejected" default:"dead" doc:"Which failures."`
	Subscription string `query:"subscription" maxLength:"255" doc:"Of this subscriber alone."`
	Cause        string `query:"cause" maxLength:"64" doc:"Of this cause class alone."`
	Polled
}

type failureInput struct {
	State        string `query:"state" enum:"dead,failing,rejected" default:"dead" doc:"Which failures."`
	Subscription string `query:"subscription" maxLength:"255" doc:"Subscriber; none for rejected."`
	Cause        string `query:"cause" maxLength:"64" doc:"Cause class."`
	Polled
}

// FailureSample is a closer look at one group of failures.
type FailureSample struct {
	Sampled  int64           `json:"sampled" doc:"So many of the newest errors were looked at, 1,000 at most."`
	Patterns []ErrorPattern  `json:"patterns" doc:"Errors that are the same but for numbers, ids and quoted words; the most frequent first."`
	Messages []MessageItem   `json:"messages" doc:"The newest, at most 5."`
	Answer   *ReceiverAnswer `json:"answer,omitempty" doc:"The receiver's last answer. Absent if hidden."`
	Guide    string          `json:"guide,omitempty" doc:"Anchor of the paragraph in docs/troubleshooting.md."`
	AsOf     time.Time       `json:"as_of"`
}

// ErrorPattern is the text that several errors have in common.
type ErrorPattern struct {
	Pattern string `json:"pattern" doc:"Each * stands for what differs."`
	N       int64  `json:"n" doc:"In the sample."`
	Example string `json:"example" doc:"The newest of these errors."`
	ID      string `json:"message_id" format:"uuid" doc:"Its message."`
}

// ReceiverAnswer is what a receiver answered.
type ReceiverAnswer struct {
	MessageID string    `json:"message_id" format:"uuid"`
	Code      int       `json:"response_code,omitempty"`
	At        time.Time `json:"at"`
	Response  []byte    `json:"response" doc:"The first 4 KB, base64."`
}

// NewNote is a note for a group of failures.
type NewNote struct {
	Subscription string `json:"subscription,omitempty" maxLength:"255" doc:"Absent for rejected."`
	Cause        string `json:"cause" maxLength:"64"`
	Text         string `json:"text" maxLength:"1000" doc:"Empty removes the note."`
}

type noteInput struct {
	Body NewNote
}
