package operate

import (
	"slices"
	"strings"

	"relay"
	"relay/sql"
)

// Filter says which messages are meant. An empty field matches all.
type Filter struct {
	Status       []relay.MessageStatus `json:"status,omitempty"`       // one of these
	Topic        string                `json:"topic,omitempty"`        // or a pattern: * is one word, # any number of words
	Key          string                `json:"key,omitempty"`          // ordering key
	Source       string                `json:"source,omitempty"`       // sending service, as the row names it
	Subscription string                `json:"subscription,omitempty"` // a subscriber; with the status dead or open, the one where it is dead or open
	Error        string                `json:"error,omitempty"`        // a part of the last error, in either case
	Since        Moment                `json:"since,omitzero"`         // inserted at or after
	Until        Moment                `json:"until,omitzero"`         // inserted before
}

// Empty reports whether the filter matches all messages.
func (f Filter) Empty() bool {
	return len(f.Status) == 0 && f.Topic == "" && f.Key == "" && f.Source == "" && f.Subscription == "" && f.Error == "" &&
		f.Since.IsZero() && f.Until.IsZero()
}

// messageStatuses are the states of a message, in the order of its life.
var messageStatuses = []relay.MessageStatus{
	relay.MessagePending, relay.MessageOpen, relay.MessageDone, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled,
}

// Validate says which value of the filter makes no sense.
func (f Filter) Validate() error {
	for _, status := range f.Status {
		if !slices.Contains(messageStatuses, status) {
			return invalid("status", "%s is none of pending, open, done, dead, rejected and cancelled", quote(string(status)))
		}
	}
	if err := relay.CheckTopicFilter(f.Topic); err != nil {
		return invalid("topic", "%s", err)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until.Time) {
		return invalid("since", "it is not before until")
	}
	for field, value := range map[string]string{"topic": f.Topic, "key": f.Key, "source": f.Source, "subscription": f.Subscription, "error": f.Error} {
		if err := storable(field, value); err != nil {
			return err
		}
	}
	return nil
}

// storable refuses text that PostgreSQL cannot hold or compare.
func storable(field, value string) error {
	if strings.ContainsRune(value, 0) || strings.ToValidUTF8(value, "") != value {
		return invalid(field, "it holds a NUL or is not UTF-8")
	}
	return nil
}

// one is the filter's only status, or none.
func (f Filter) one() relay.MessageStatus {
	if len(f.Status) == 0 {
		return ""
	}
	return f.Status[0]
}

func (f Filter) store() sql.MessageFilter {
	return sql.MessageFilter{
		Status: f.one(), Topic: f.Topic, Key: f.Key, Source: f.Source, Subscription: f.Subscription, Cause: f.Error,
		Since: f.Since.Time, Until: f.Until.Time,
	}
}

// filterOf is the filter of a job as a view.
func filterOf(f sql.MessageFilter) Filter {
	shown := Filter{
		Topic: f.Topic, Key: f.Key, Source: f.Source, Subscription: f.Subscription, Error: f.Cause,
		Since: Moment{f.Since}, Until: Moment{f.Until},
	}
	if f.Status != "" {
		shown.Status = []relay.MessageStatus{f.Status}
	}
	return shown
}
