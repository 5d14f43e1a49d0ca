package sql

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"relay"
)

// Statuses are statuses of messages. One of them has to match; an empty list matches all.
type Statuses []relay.MessageStatus

// UnmarshalJSON reads a list, or the single status of jobs that an earlier version made.
func (s *Statuses) UnmarshalJSON(text []byte) error {
	var one relay.MessageStatus
	if json.Unmarshal(text, &one) == nil {
		*s = nil
		if one != "" {
			*s = Statuses{one}
		}
		return nil
	}
	return json.Unmarshal(text, (*[]relay.MessageStatus)(s))
}

// among reports whether there are statuses, and all are some of these.
func (s Statuses) among(some ...relay.MessageStatus) bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(one relay.MessageStatus) bool { return !slices.Contains(some, one) })
}

// Only returns the status if there is exactly one, and else the empty one.
func (s Statuses) Only() relay.MessageStatus {
	if len(s) == 1 {
		return s[0]
	}
	return ""
}

// MessageFilter says which messages are looked for. An empty field matches all.
type MessageFilter struct {
	IDs    []relay.ID `json:"ids,omitempty"`
	Status Statuses   `json:"status,omitempty"`
	// Topic is a topic, or a pattern as AMQP has them: * stands for one word, # for any
	// number of them.
	Topic string `json:"topic,omitempty"`
	Key   string `json:"key,omitempty"`
	// Source is the row's own; that of the relay stands in no row.
	Source string `json:"source,omitempty"`
	// Subscription is a subscriber of the message. Together with the status dead or open, it
	// is the one whose delivery is dead or has not ended; a message that is dead there may
	// be open still, for the sake of others.
	Subscription string `json:"subscription,omitempty"`
	// DeliveryStatus and Causes are those of a delivery: to Subscription, or to any subscriber if that is empty.
	// A rejected message has a cause of its own.
	DeliveryStatus []relay.DeliveryStatus `json:"delivery_status,omitempty"`
	Causes         []relay.Cause          `json:"causes,omitempty"`
	// Error is a part of the last error, in either case: of the delivery to Subscription, or
	// of the message if that is empty.
	Error string `json:"cause,omitempty"`
	// Text is a part of the payload or of the message's last error, in either case. Payloads
	// above MaxSearched bytes and binary bodies are not looked into.
	Text  string    `json:"text,omitempty"`
	Since time.Time `json:"since,omitzero"` // of the insertion
	Until time.Time `json:"until,omitzero"` // of the insertion; excluded
	// UpdatedSince and UpdatedUntil are about the last change of a delivery, or the message's end.
	UpdatedSince time.Time `json:"updated_since,omitzero"`
	UpdatedUntil time.Time `json:"updated_until,omitzero"` // excluded
	// ReplayTo is a subscription to which messages are replayed: those with one of the Topics
	// or with its name as their destination, whatever became of them, if they were taken up
	// and not cancelled.
	ReplayTo string   `json:"replay_to,omitempty"`
	Topics   []string `json:"topics,omitempty"` // patterns; for ReplayTo alone
	// AsOf leaves out what a job did not count: what has ended, or has been sent to
	// ReplayTo or Subscription, since then.
	AsOf time.Time `json:"as_of,omitzero"`
}

// MaxSearched is the size of payloads up to which MessageFilter.Text looks into them, in bytes.
const MaxSearched = 1 << 20

// unfinished are the delivery statuses from which an attempt follows by itself.
var unfinished = []relay.DeliveryStatus{relay.DeliveryWaiting, relay.DeliveryPushFailed, relay.DeliveryHandleFailed, relay.DeliveryAwaitingAck}

// arguments are those of judgeMessages: at most window messages after a place.
func (f MessageFilter) arguments(after position, window int) []any {
	exact, pattern := f.Topic, ""
	if strings.ContainsAny(f.Topic, "*#") {
		exact, pattern = "", topicExpression(f.Topic)
	}
	topics := make([]string, len(f.Topics))
	for i, t := range f.Topics {
		topics[i] = subscribed(t)
	}
	since := f.Since
	if since.IsZero() {
		since = startOfTime
	}
	return []any{finite(after.created), after.seq, [16]byte(after.id), window, finite(since), words(f.Status), exact, pattern, f.Key, f.Source,
		f.Error, f.Subscription, words(f.Causes), words(f.DeliveryStatus), timeOrNil(f.AsOf), f.ReplayTo, topics, f.Text,
		timeOrNil(f.UpdatedSince), timeOrNil(f.UpdatedUntil), timeOrNil(f.Until), uuids(f.IDs), MaxSearched}
}

// words makes an array of texts, which is never nil.
func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = string(one)
	}
	return out
}

// finite writes a time as it was read: what stands for an infinite one is infinite.
func finite(t time.Time) pgtype.Timestamptz {
	switch {
	case !t.Before(endOfTime):
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	case !t.After(startOfTime):
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: t, Valid: true}
}

// timeOrNil makes a zero time none.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
