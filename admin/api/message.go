package api

import (
	"time"

	"relay/operate"
)

type messageInput struct {
	ID string `path:"id" maxLength:"36" doc:"Id of the message."`
	Polled
}

// Message is all that the tables hold of a message.
type Message struct {
	MessageItem
	Shard       int                    `json:"shard" doc:"0 to 63."`
	ContentType string                 `json:"content_type"`
	Binary      bool                   `json:"binary" doc:"The payload stands in the column body."`
	Hidden      bool                   `json:"hidden" doc:"Payload, headers and answers are hidden for viewers (RELAY_HIDE_PAYLOADS)."`
	Headers     []Header               `json:"headers" doc:"The row's own, in the order in which it has them. Empty if hidden."`
	HeadersCut  bool                   `json:"headers_cut" doc:"They are too large to be shown."`
	Deliveries  []Delivery             `json:"deliveries" doc:"One for each subscriber and instance, at most 1,000."`
	Attempts    []Attempt              `json:"attempts" doc:"Failed attempts and the last of each delivery, in the order of time, at most the last 1,000."`
	Timeline    []operate.Lane         `json:"timeline" doc:"From the commit to the end, one lane for each subscriber and instance."`
	Previous    *operate.Neighbour     `json:"previous,omitempty" doc:"The message of the same key that was inserted before."`
	Next        *operate.Neighbour     `json:"next,omitempty" doc:"The message of the same key that was inserted after."`
	OriginalID  string                 `json:"original_id,omitempty" format:"uuid" doc:"The message of which this one is a copy."`
	Copies      []string               `json:"copies" doc:"Ids of copies, at most 100."`
	Jobs        []operate.MessageInJob `json:"jobs" doc:"Jobs that touched it, the newest first, at most 100."`
}

// Header is one header of a message.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attempt is one attempt of a delivery.
type Attempt struct {
	Subscription string    `json:"subscription"`
	Instance     string    `json:"instance,omitempty" doc:"Without what may be secret."`
	Attempt      int       `json:"attempt" doc:"From 1."`
	StartedAt    time.Time `json:"started_at"`
	DurationMS   float64   `json:"duration_ms"`
	Outcome      string    `json:"outcome" enum:"waiting,push_failed,handle_failed,awaiting_ack,delivered,handled,dead,cancelled"`
	Code         int       `json:"response_code,omitempty" doc:"Of HTTP or AMQP."`
	Cause        string    `json:"cause,omitempty" doc:"Cause class of the failure."`
	Error        string    `json:"error,omitempty"`
	Response     []byte    `json:"response,omitempty" doc:"The first 4 KB of the answer, base64. Absent if hidden or empty."`
}

type payloadInput struct {
	ID    string `path:"id" maxLength:"36" doc:"Id of the message."`
	First int64  `query:"first" minimum:"0" maximum:"1073741824" doc:"The number of bytes to return, from the beginning; 0 returns all."`
	Polled
}

type payloadOutput struct {
	ContentType string `header:"Content-Type" doc:"Always application/octet-stream: what applications wrote is never rendered."`
	Disposition string `header:"Content-Disposition"`
	Original    string `header:"Relay-Content-Type" doc:"The message's content type."`
	Size        string `header:"Relay-Size" doc:"Bytes of the whole payload."`
	Body        []byte
}

type changeInput struct {
	ID   string `path:"id" maxLength:"36" doc:"Id of the message."`
	Body *Change
}

// Copy is how a message is to be copied.
type Copy struct {
	Destination string `json:"destination,omitempty" maxLength:"2048" doc:"Destination of the copy. Absent: that of the original."`
	Reason      string `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type copyInput struct {
	ID   string `path:"id" maxLength:"36" doc:"Id of the message."`
	Body *Copy
}
