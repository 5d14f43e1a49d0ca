package operate

import (
	"context"
	"time"

	"relay"
	"relay/sql"
)

// Trace is what is known about a message besides itself.
type Trace struct {
	Before     *Message     `json:"before,omitempty"` // in its key, in the order of insertion
	After      *Message     `json:"after,omitempty"`
	OriginalID string       `json:"relay_original_id,omitempty"` // of which it is a copy
	Copies     []string     `json:"copies"`
	Jobs       []JobTouch   `json:"jobs"` // that changed it, the youngest first
	Audit      []AuditEntry `json:"audit"`
}

// JobTouch is what a job did to one message.
type JobTouch struct {
	JobID     string      `json:"job_id"`
	Kind      sql.JobKind `json:"kind"`
	Result    sql.Effect  `json:"result"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// Trace reads the neighbours of a message in its key, its original and copies, and who changed it.
func (s *Service) Trace(ctx context.Context, id string) (Trace, error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return Trace{}, err
	}
	t, err := s.store.TraceMessage(ctx, parsed)
	if err != nil {
		return Trace{}, err
	}
	shown := Trace{Before: neighbour(t.Before), After: neighbour(t.After), Copies: []string{}, Jobs: []JobTouch{}, Audit: newAudit(t.Audit)}
	if t.Original != nil {
		shown.OriginalID = t.Original.String()
	}
	for _, c := range t.Copies {
		shown.Copies = append(shown.Copies, c.String())
	}
	for _, j := range t.Jobs {
		shown.Jobs = append(shown.Jobs, JobTouch{JobID: j.Job.String(), Kind: j.Kind, Result: j.Effect, UpdatedAt: j.At.UTC()})
	}
	return shown, nil
}

func neighbour(m *sql.MessageSummary) *Message {
	if m == nil {
		return nil
	}
	shown := newMessage(*m)
	return &shown
}

// Payload is the body of a message, byte for byte.
type Payload struct {
	ContentType string
	Binary      bool // it comes from the column body
	Body        []byte
}

// Payload reads the whole body of a message, of at most so many bytes; a larger one is CodeTooLarge.
func (s *Service) Payload(ctx context.Context, id string, most int64) (Payload, error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return Payload{}, err
	}
	p, err := s.store.MessagePayload(ctx, parsed, most)
	return Payload(p), err
}

// DeliveryFilter says which deliveries of a subscriber are meant. An empty field matches all.
type DeliveryFilter struct {
	Subscription string // also direct and default; it is needed
	Status       []relay.DeliveryStatus
	Reason       relay.Reason
	Causes       []relay.Cause
	Topic        string // or a pattern
	Key          string
	Since, Until Moment // of the message's insertion
}

// ListedDelivery is one delivery with what a list shows of its message.
type ListedDelivery struct {
	MessageID string    `json:"message_id"`
	Topic     string    `json:"topic"`
	Key       string    `json:"key,omitempty"`
	Source    string    `json:"source,omitempty"`
	CreatedAt time.Time `json:"created_at"` // of the message
	Delivery
	LastStartedAt  *time.Time `json:"last_started_at,omitempty"` // of the last attempt
	LastDurationMS *float64   `json:"last_duration_ms,omitempty"`
}

// DeliveryLimit is the most messages that one page of deliveries may have.
const DeliveryLimit = 1000

// Deliveries lists the deliveries of a subscriber, those of the youngest message first.
func (s *Service) Deliveries(ctx context.Context, f DeliveryFilter, at At) (Page[ListedDelivery], error) {
	if f.Subscription == "" {
		return Page[ListedDelivery]{}, invalid("subscription", "a subscriber is needed")
	}
	messages := Filter{Subscription: f.Subscription, DeliveryStatus: f.Status, Causes: f.Causes, Topic: f.Topic, Key: f.Key, Since: f.Since, Until: f.Until}
	if err := messages.Validate(); err != nil {
		return Page[ListedDelivery]{}, err
	}
	most, err := at.limit(DeliveryLimit)
	if err != nil {
		return Page[ListedDelivery]{}, err
	}
	found, err := s.store.ListDeliveries(ctx, sql.DeliveryFilter{
		Subscription: f.Subscription, Status: f.Status, Reason: f.Reason, Causes: f.Causes, Topic: f.Topic, Key: f.Key, Since: f.Since.Time, Until: f.Until.Time,
	}, sql.Cursor(at.Cursor), most)
	if err != nil {
		return Page[ListedDelivery]{}, cursorError(err)
	}
	var items []ListedDelivery
	for _, d := range found.Deliveries {
		items = append(items, newListedDelivery(d))
	}
	page := newPage(items, string(found.Next))
	page.Complete = found.Complete
	if !found.SearchedTo.IsZero() {
		page.SearchedTo = utc(&found.SearchedTo)
	}
	return page, nil
}

func newListedDelivery(d sql.ListedDelivery) ListedDelivery {
	shown := ListedDelivery{
		MessageID: d.Message.String(), Topic: d.Topic, Key: d.Key, Source: d.Source, CreatedAt: d.CreatedAt.UTC(),
		Delivery: newDelivery(d.DeliveryDetail), LastStartedAt: utc(d.LastStarted),
	}
	if d.LastStarted != nil {
		ms := milliseconds(d.LastDuration)
		shown.LastDurationMS = &ms
	}
	return shown
}
