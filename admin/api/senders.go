package api

import "time"

// Sender is a service that sends messages.
type Sender struct {
	Source         string       `json:"source" doc:"As rows name it; that of the relay for rows without one."`
	Topics         int          `json:"topics" doc:"Topics within the time that is looked at."`
	RatePerSecond  float64      `json:"rate_per_second" doc:"Over the last 5 minutes."`
	LastAt         *time.Time   `json:"last_at,omitempty" doc:"The last message, to the minute."`
	Today          Count        `json:"today" doc:"Messages within 24 hours."`
	Rejected       Count        `json:"rejected" doc:"Of these, the ones that could not be sent."`
	HandledShare   *float64     `json:"handled_share,omitempty" doc:"0 to 1: done, of the newest 1,000 messages within 24 hours."`
	OldestOpen     *time.Time   `json:"oldest_open,omitempty" doc:"Creation of the oldest of these that is not done."`
	Unheard        []string     `json:"unheard" doc:"Topics that no subscription matches, at most 20."`
	Spark          []float64    `json:"spark" doc:"Messages per minute over the last hour, the oldest first; 60 values."`
	Stages         []StageCount `json:"stages" doc:"Of the newest 1,000 messages within 24 hours."`
	TopicsInDetail []SentTopic  `json:"topic_list" doc:"Filled for one sender only; at most 500."`
}

// SentTopic is a topic of one sender.
type SentTopic struct {
	Topic         string     `json:"topic"`
	RatePerSecond float64    `json:"rate_per_second"`
	LastAt        *time.Time `json:"last_at,omitempty"`
	Today         Count      `json:"today"`
	Rejected      Count      `json:"rejected"`
	Subscriptions []string   `json:"subscriptions" doc:"Who receives it."`
	Unheard       bool       `json:"unheard" doc:"No subscription matches, and there is no default destination."`
}

type listSendersInput struct {
	PageQuery
	Polled
}

type senderInput struct {
	Source string `path:"source" maxLength:"255" doc:"Sending service."`
	Polled
}
