package api

import (
	"time"

	"relay/operate"
)

// Subscription is a subscription with its settings and how it stands.
type Subscription struct {
	Name     string             `json:"name"`
	BuiltIn  bool               `json:"built_in" doc:"It is direct or default, which are no rows of the table: there are no settings."`
	State    string             `json:"state" enum:"active,paused,invalid"`
	Invalid  string             `json:"invalid,omitempty" doc:"Why nothing can be sent to it."`
	Version  string             `json:"version,omitempty" doc:"Of the settings: If-Match wants it in quotes."`
	Settings *SubscriptionFacts `json:"settings,omitempty" doc:"Absent for direct and default."`
	Standing operate.Standing   `json:"standing"`
	Matches  []TopicMatch       `json:"matches" doc:"Topics seen within a day that its patterns match, at most 100. Filled for one subscription only."`
}

// SubscriptionFacts are the settings of a subscription without secrets.
type SubscriptionFacts struct {
	Topics            []string  `json:"topics" doc:"Patterns: * is one word, # any number of words."`
	Target            string    `json:"target" doc:"Without what may be secret."`
	Paused            bool      `json:"paused"`
	Ordered           bool      `json:"ordered" doc:"Messages of a key one after the other."`
	Broadcast         bool      `json:"broadcast" doc:"Each live instance gets every message."`
	Ack               string    `json:"ack" enum:"response,consumer" doc:"What says that a message was handled."`
	AckTimeoutMS      int64     `json:"ack_timeout_ms"`
	TimeoutMS         *int64    `json:"timeout_ms" doc:"null here and below: the variable's value, or no limit."`
	Concurrency       *int      `json:"concurrency"`
	RateLimit         *float64  `json:"rate_limit" doc:"Attempts per second."`
	MaxAttempts       *int      `json:"max_attempts"`
	MaxHandleAttempts *int      `json:"max_handle_attempts"`
	BackoffMS         []int64   `json:"backoff_ms" doc:"Empty: the variable's value. The last interval repeats."`
	OnDead            string    `json:"on_dead" enum:"continue,block"`
	Secrets           int       `json:"secrets" doc:"How many signing secrets there are, the newest first."`
	Headers           []string  `json:"headers" doc:"Names of the headers that are sent along."`
	CreatedAt         time.Time `json:"created_at"`
}

// TopicMatch is a topic that was seen and matches.
type TopicMatch struct {
	Topic    string `json:"topic"`
	Messages Count  `json:"messages" doc:"Within a day."`
}

// SubscriptionSettings is what a person sets. What is left out takes its default; secrets, headers without a value,
// and a target that is left out, keep what they have.
type SubscriptionSettings struct {
	Topics            []string      `json:"topics" minItems:"1" maxItems:"200" doc:"Topics, or patterns: * is one word, # any number of words."`
	Target            string        `json:"target,omitempty" maxLength:"8000" doc:"http://…, https://…, amqp:<exchange>/<routing key> or amqp:/<queue>. A new subscription needs it."`
	Paused            bool          `json:"paused,omitempty"`
	Ordered           *bool         `json:"ordered,omitempty" doc:"true if absent."`
	Broadcast         bool          `json:"broadcast,omitempty"`
	Ack               string        `json:"ack,omitempty" enum:"response,consumer" doc:"response if absent."`
	AckTimeoutMS      int64         `json:"ack_timeout_ms,omitempty" minimum:"1" maximum:"31536000000" doc:"1 minute if absent."`
	TimeoutMS         *int64        `json:"timeout_ms,omitempty" nullable:"true" minimum:"1" maximum:"86400000"`
	Concurrency       *int          `json:"concurrency,omitempty" nullable:"true" minimum:"1" maximum:"2147483647"`
	RateLimit         *float64      `json:"rate_limit,omitempty" nullable:"true" exclusiveMinimum:"0" maximum:"1000000000"`
	MaxAttempts       *int          `json:"max_attempts,omitempty" nullable:"true" minimum:"1" maximum:"2147483647"`
	MaxHandleAttempts *int          `json:"max_handle_attempts,omitempty" nullable:"true" minimum:"1" maximum:"2147483647"`
	BackoffMS         []int64       `json:"backoff_ms,omitempty" maxItems:"100" doc:"Milliseconds, each above 0; the last repeats."`
	OnDead            string        `json:"on_dead,omitempty" enum:"continue,block" doc:"continue if absent."`
	AddSecret         string        `json:"add_secret,omitempty" maxLength:"1024" doc:"A signing secret, whsec_ and base64, that becomes the newest."`
	RemoveSecrets     []int         `json:"remove_secrets,omitempty" maxItems:"100" doc:"Places of secrets to remove, from 0, the newest first, as they were before."`
	Headers           []HeaderValue `json:"headers,omitempty" maxItems:"100" doc:"Headers that are sent along. Those that are not named are removed; absent: all are kept."`
	Reason            string        `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

// HeaderValue sets one header of a subscription.
type HeaderValue struct {
	Name  string  `json:"name" minLength:"1" maxLength:"255"`
	Value *string `json:"value,omitempty" maxLength:"8000" doc:"Absent: the value that it has is kept."`
}

type listSubscriptionsInput struct {
	PageQuery
	Polled
}

type subscriptionInput struct {
	Name string `path:"name" maxLength:"255" doc:"Subscription."`
	Polled
}

type subscriptionOutput struct {
	ETag string `header:"ETag" doc:"Begins with the version of the settings: If-Match takes it as it is."`
	Body Subscription
}

type putSubscriptionInput struct {
	Name    string `path:"name" maxLength:"255" doc:"Subscription; without colon, slash and white space."`
	IfMatch string `header:"If-Match" maxLength:"255" doc:"The ETag or the version of what is changed, in quotes. A subscription that exists needs it; * overwrites whatever there is."`
	Body    SubscriptionSettings
}

// SubscriptionChanged says what a change of a subscription did.
type SubscriptionChanged struct {
	Name    string   `json:"name"`
	Created bool     `json:"created"`
	Changed []string `json:"changed" doc:"Names of the settings that are different now."`
	Version string   `json:"version,omitempty" doc:"Of the settings now."`
	Waiting Count    `json:"waiting" doc:"Deliveries that wait there."`
}

type subscriptionChangedOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   SubscriptionChanged
}

type deleteSubscriptionInput struct {
	Name              string `path:"name" maxLength:"255" doc:"Subscription."`
	IfMatch           string `header:"If-Match" maxLength:"255" doc:"The ETag or the version, in quotes, or *."`
	CancelOutstanding bool   `query:"cancel_outstanding" doc:"Cancel what has not ended there; otherwise that is refused with 409."`
	Reason            string `query:"reason" maxLength:"1000" doc:"For the audit."`
}

// SubscriptionDeleted says what a deletion did.
type SubscriptionDeleted struct {
	Name      string `json:"name"`
	Deleted   bool   `json:"deleted" doc:"False: cancelling was not finished in time. Ask again."`
	Cancelled int64  `json:"cancelled" doc:"Deliveries that this request cancelled."`
}

type deletedOutput struct {
	Status int
	Body   SubscriptionDeleted
}

// Because is a reason for the audit.
type Because struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type switchSubscriptionInput struct {
	Name string `path:"name" maxLength:"255" doc:"Subscription."`
	Body *Because
}

// Trial is a test message for one subscription.
type Trial struct {
	Topic  string `json:"topic,omitempty" maxLength:"255" doc:"relay.test if absent."`
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type trialInput struct {
	Name string `path:"name" maxLength:"255" doc:"Subscription."`
	Body *Trial
}
