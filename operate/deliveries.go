package operate

import (
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// DeliveryFilter says which deliveries of a subscriber are meant. An empty field matches all.
type DeliveryFilter struct {
	Subscription string
	Status       []relay.DeliveryStatus
	Stage        Stage
	Reason       relay.Reason
	Causes       []relay.Cause
	Topic, Key   string
	Code         int // of the last answer; zero: any
	Since, Until Moment
}

// ListedDelivery is a delivery with what a list shows of its message.
type ListedDelivery struct {
	Delivery
	MessageID      string    `json:"message_id"`
	Topic          string    `json:"topic"`
	Key            string    `json:"key,omitempty"`
	CreatedAt      time.Time `json:"created_at"`                 // of the message
	LastDurationMS *float64  `json:"last_duration_ms,omitempty"` // of the last attempt; nil: none is recorded
}

// Deliveries lists the deliveries of a subscriber, the youngest message first.
func (s *Service) Deliveries(ctx context.Context, f DeliveryFilter, at At) (Page[ListedDelivery], error) {
	most, err := at.limit(MessageLimit)
	if err != nil {
		return Page[ListedDelivery]{}, err
	}
	if f.Subscription == "" {
		return Page[ListedDelivery]{}, invalid("subscription", "the subscriber is needed")
	}
	own := Filter{Subscription: f.Subscription, DeliveryStatus: f.Status, Causes: f.Causes, Topic: f.Topic, Key: f.Key, Since: f.Since, Until: f.Until}
	if err := own.Validate(); err != nil {
		return Page[ListedDelivery]{}, err
	}
	statuses := f.Status
	if f.Stage != "" {
		statuses = deliveryStatusesAt(f.Stage)
		if len(f.Status) > 0 {
			statuses = slices.DeleteFunc(statuses, func(one relay.DeliveryStatus) bool { return !slices.Contains(f.Status, one) })
		}
		if len(statuses) == 0 {
			return newPage[ListedDelivery](nil, ""), nil
		}
	}
	found, err := s.store.ListDeliveries(ctx, sql.DeliveryFilter{
		Subscription: f.Subscription, Status: statuses, Reason: f.Reason, Causes: f.Causes, Topic: f.Topic, Key: f.Key,
		Since: f.Since.Time, Until: f.Until.Time,
	}, sql.Cursor(at.Cursor), most)
	if err != nil {
		return Page[ListedDelivery]{}, cursorError(err)
	}
	var items []ListedDelivery
	for _, d := range found.Deliveries {
		if (f.Code == 0 || d.Code == f.Code) && (f.Stage == "" || DeliveryStage(d.Status, d.Cause) == f.Stage) {
			items = append(items, newListedDelivery(d))
		}
	}
	page := newPage(items, string(found.Next))
	page.Complete, page.LookedAt = found.Complete, found.Looked
	if !found.SearchedTo.IsZero() {
		page.SearchedTo = utc(&found.SearchedTo)
	}
	return page, nil
}

func newListedDelivery(d sql.ListedDelivery) ListedDelivery {
	l := ListedDelivery{Delivery: newDelivery(d.DeliveryDetail), MessageID: d.Message.String(), Topic: d.Topic, Key: d.Key, CreatedAt: d.CreatedAt.UTC()}
	if d.LastDuration > 0 {
		ms := milliseconds(d.LastDuration)
		l.LastDurationMS = &ms
	}
	return l
}
