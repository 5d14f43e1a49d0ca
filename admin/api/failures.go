package api

import (
	"time"

	"relay/operate"
)

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
	Sampled  int64                  `json:"sampled" doc:"The number of the newest errors that were looked at, 1,000 at most."`
	Patterns []operate.ErrorPattern `json:"patterns" doc:"Errors that are the same but for numbers, ids and quoted words; the most frequent first."`
	Messages []MessageItem          `json:"messages" doc:"The newest, at most 5."`
	Answer   *ReceiverAnswer        `json:"answer,omitempty" doc:"The receiver's last answer. Absent if hidden."`
	Guide    string                 `json:"guide,omitempty" doc:"Anchor of the paragraph in docs/troubleshooting.md."`
	AsOf     time.Time              `json:"as_of"`
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
