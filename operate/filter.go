package operate

import (
	"slices"
	"strings"

	"relay"
	"relay/sql"
)

// Filter says which messages are meant. An empty field matches all.
type Filter struct {
	IDs          []string              `json:"ids,omitempty"`
	Status       []relay.MessageStatus `json:"status,omitempty"`       // one of these
	Topic        string                `json:"topic,omitempty"`        // or a pattern: * is one word, # any number of words
	Key          string                `json:"key,omitempty"`          // ordering key
	Source       string                `json:"source,omitempty"`       // sending service, as the row names it
	Subscription string                `json:"subscription,omitempty"` // a subscriber; with the status dead or open, the one where it is dead or open
	Error        string                `json:"error,omitempty"`        // a part of the last error, in either case
	// DeliveryStatus and Causes are those of a delivery: to the subscription, or to any if that is empty. A rejected
	// message has a cause of its own.
	DeliveryStatus []relay.DeliveryStatus `json:"delivery_status,omitempty"`
	Causes         []relay.Cause          `json:"causes,omitempty"`
	Text           string                 `json:"text,omitempty"`         // a part of the payload or of the last error, in either case
	Since          Moment                 `json:"since,omitzero"`         // inserted at or after
	Until          Moment                 `json:"until,omitzero"`         // inserted before
	UpdatedSince   Moment                 `json:"updated_since,omitzero"` // ended, or a delivery changed, at or after
	UpdatedUntil   Moment                 `json:"updated_until,omitzero"` // ended, or a delivery changed, before
}

// Empty reports whether the filter matches all messages.
func (f Filter) Empty() bool {
	return len(f.IDs) == 0 && len(f.DeliveryStatus) == 0 && len(f.Causes) == 0 && f.Text == "" && f.UpdatedSince.IsZero() && f.UpdatedUntil.IsZero() &&
		len(f.Status) == 0 && f.Topic == "" && f.Key == "" && f.Source == "" && f.Subscription == "" && f.Error == "" &&
		f.Since.IsZero() && f.Until.IsZero()
}

// messageStatuses are the states of a message, in the order of its life.
var messageStatuses = []relay.MessageStatus{
	relay.MessagePending, relay.MessageOpen, relay.MessageDone, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled,
}

// deliveryStatuses are the states of a delivery, in the order of its life.
var deliveryStatuses = []relay.DeliveryStatus{
	relay.DeliveryWaiting, relay.DeliveryPushFailed, relay.DeliveryHandleFailed, relay.DeliveryAwaitingAck,
	relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryDead, relay.DeliveryCancelled,
}

// Validate says which value of the filter makes no sense.
func (f Filter) Validate() error {
	for _, status := range f.Status {
		if !slices.Contains(messageStatuses, status) {
			return invalid("status", "%s is none of pending, open, done, dead, rejected and cancelled", quote(string(status)))
		}
	}
	for _, status := range f.DeliveryStatus {
		if !slices.Contains(deliveryStatuses, status) {
			return invalid("delivery_status", "%s is none of waiting, push_failed, handle_failed, awaiting_ack, delivered, handled, dead and cancelled", quote(string(status)))
		}
	}
	for _, cause := range f.Causes {
		if !cause.Known() {
			return invalid("cause", "it is none of the causes that docs/troubleshooting.md lists")
		}
	}
	if _, err := parseIDsOrNone(f.IDs); err != nil {
		return err
	}
	if err := relay.CheckTopicFilter(f.Topic); err != nil {
		return invalid("topic", "%s", err)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until.Time) {
		return invalid("since", "it is not before until")
	}
	for field, value := range map[string]string{"text": f.Text, "topic": f.Topic, "key": f.Key, "source": f.Source, "subscription": f.Subscription, "error": f.Error} {
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
	ids, _ := parseIDsOrNone(f.IDs) // Validate has read them
	return sql.MessageFilter{
		IDs: ids, Status: f.Status, Topic: f.Topic, Key: f.Key, Source: f.Source, Subscription: f.Subscription, Error: f.Error, Text: f.Text,
		DeliveryStatus: f.DeliveryStatus, Causes: f.Causes, Since: f.Since.Time, Until: f.Until.Time,
		UpdatedSince: f.UpdatedSince.Time, UpdatedUntil: f.UpdatedUntil.Time,
	}
}

// parseIDsOrNone reads ids, each once.
func parseIDsOrNone(texts []string) ([]relay.ID, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	return parseIDs(texts)
}

// filterOf is the filter of a job as a view.
func filterOf(f sql.MessageFilter) Filter {
	shown := Filter{
		Status: f.Status, Topic: f.Topic, Key: f.Key, Source: f.Source, Subscription: f.Subscription, Error: f.Error, Text: f.Text,
		DeliveryStatus: f.DeliveryStatus, Causes: f.Causes, Since: Moment{f.Since}, Until: Moment{f.Until},
		UpdatedSince: Moment{f.UpdatedSince}, UpdatedUntil: Moment{f.UpdatedUntil},
	}
	for _, id := range f.IDs {
		shown.IDs = append(shown.IDs, id.String())
	}
	return shown
}
