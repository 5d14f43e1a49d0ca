package api

import "time"

// Delivery is a message for one subscriber and instance.
type Delivery struct {
	MessageID      string     `json:"message_id" format:"uuid"`
	Subscription   string     `json:"subscription"`
	Instance       string     `json:"instance,omitempty" doc:"Without what may be secret."`
	Target         string     `json:"target,omitempty" doc:"Where it goes, without what may be secret."`
	Status         string     `json:"status" enum:"waiting,push_failed,handle_failed,awaiting_ack,delivered,handled,dead,cancelled"`
	Stage          string     `json:"stage" enum:"committed,push_failed,handle_failed,delivered,handled,cancelled" doc:"The stage as the receiver sees it."`
	Reason         string     `json:"reason,omitempty" doc:"Why it waits: key_blocked, paused, circuit_open, full, no_resources."`
	Topic          string     `json:"topic"`
	Key            string     `json:"key,omitempty"`
	CreatedAt      time.Time  `json:"created_at" doc:"Of the message."`
	UpdatedAt      time.Time  `json:"updated_at"`
	DueAt          *time.Time `json:"due_at,omitempty" doc:"Since when it is or will be due."`
	Attempts       int        `json:"attempts"`
	HandleAttempts int        `json:"handle_attempts" doc:"Of these, the ones that failed in the receiver's logic."`
	NextAttemptAt  *time.Time `json:"next_attempt_at,omitempty"`
	LastDurationMS *float64   `json:"last_duration_ms,omitempty" doc:"Of the last attempt."`
	Code           int        `json:"response_code,omitempty" doc:"Of the last answer."`
	Cause          string     `json:"cause,omitempty" doc:"Cause class of the last failure."`
	Error          string     `json:"error,omitempty" doc:"The last one."`
	DeliveredAt    *time.Time `json:"delivered_at,omitempty"`
	HandledAt      *time.Time `json:"handled_at,omitempty"`
}

type listDeliveriesInput struct {
	Name string `path:"name" maxLength:"255" doc:"Subscription; direct and default are two."`
	PageQuery
	Since  Moment   `query:"since" doc:"The message was created at or after this time: RFC 3339, or a time span before now."`
	Until  Moment   `query:"until" doc:"The message was created before this time."`
	Status []string `query:"status" maxItems:"8" enum:"waiting,push_failed,handle_failed,awaiting_ack,delivered,handled,dead,cancelled" doc:"Several match any."`
	Stage  string   `query:"stage" enum:"committed,push_failed,handle_failed,delivered,handled,cancelled" doc:"The stage as the receiver sees it."`
	Reason string   `query:"reason" enum:"key_blocked,paused,circuit_open,full,no_resources" doc:"Why it waits."`
	Cause  []string `query:"cause" maxItems:"64" doc:"Cause class of the last failure; several match any."`
	Topic  string   `query:"topic" maxLength:"255" doc:"Topic, or a pattern."`
	Key    string   `query:"key" maxLength:"1024" doc:"Ordering key."`
	Code   int      `query:"response_code" minimum:"0" maximum:"999" doc:"Of the last answer; 0: any."`
	Polled
}

// ChangeDeliveries is what a person wants done to deliveries of one subscriber.
type ChangeDeliveries struct {
	Subscription string   `json:"subscription" minLength:"1" maxLength:"255"`
	IDs          []string `json:"ids" minItems:"1" maxItems:"500" doc:"Ids of messages, each once."`
	Force        bool     `json:"force,omitempty" doc:"Retry also what ended well: the receiver gets it again under the same id."`
	Reason       string   `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type changeDeliveriesInput struct {
	Body ChangeDeliveries
}

// Acknowledge is the consumer's word, given by a person.
type Acknowledge struct {
	Subscription string   `json:"subscription" minLength:"1" maxLength:"255"`
	IDs          []string `json:"ids" minItems:"1" maxItems:"500" doc:"Ids of messages, each once."`
	Reason       string   `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type acknowledgeInput struct {
	Body Acknowledge
}
