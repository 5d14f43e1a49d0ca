package operate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// Draft is a message to be inserted. Empty fields take the columns' defaults.
type Draft struct {
	ID          string
	Topic       string
	Key         string
	Payload     *string // text; nil: none
	Body        []byte  // binary, instead of Payload; nil: none
	ContentType string  // empty: application/json, or application/octet-stream with Body
	Headers     map[string]string
	Source      string
	Destination string
	DeliverAt   time.Time
	Delay       time.Duration // from now, instead of DeliverAt
}

// Once makes a key by which a repeated request changes nothing twice; the request is all that tells it from another
// one. An empty key is none.
func Once(key string, request any) (sql.Once, error) {
	if key == "" {
		return sql.Once{}, nil
	}
	text, err := json.Marshal(request)
	if err != nil {
		return sql.Once{}, invalid("Idempotency-Key", "%s", err)
	}
	return sql.Once{Key: key, Digest: sha256.Sum256(text)}, storable("Idempotency-Key", key)
}

// Send inserts one message through the outbox, as an application does, and returns its id. Any role that may insert
// can, so that nothing is noted in the audit.
func (s *Service) Send(ctx context.Context, d Draft) (Sent, error) {
	draft, err := d.store()
	if err != nil {
		return Sent{}, err
	}
	id, err := s.store.Send(ctx, draft)
	if err != nil {
		return Sent{}, err
	}
	return Sent{ID: id.String()}, nil
}

// Insert is Send for an actor, noted in the audit. If the same request with the same key came before, that one's
// message is returned, and repeated is true.
func (s *Service) Insert(ctx context.Context, actor Actor, d Draft, key string) (sent Sent, repeated bool, err error) {
	draft, err := d.store()
	if err != nil {
		return Sent{}, false, err
	}
	once, err := Once(key, d)
	if err != nil {
		return Sent{}, false, err
	}
	id, repeated, err := s.by(actor).SendOnce(ctx, draft, once)
	if err != nil {
		return Sent{}, false, refusedInsert(err)
	}
	return Sent{ID: id.String()}, repeated, nil
}

// store judges the draft as the relay would before it sends.
func (d Draft) store() (draft sql.Draft, err error) {
	draft = sql.Draft{
		Topic: d.Topic, Key: d.Key, Payload: d.Payload, Body: d.Body, ContentType: d.ContentType, Headers: d.Headers, Source: d.Source,
		DeliverAt: d.DeliverAt, Delay: d.Delay,
	}
	switch {
	case d.Payload != nil && d.Body != nil:
		return draft, invalid("payload", "give a payload or a binary body, not both")
	case !d.DeliverAt.IsZero() && d.Delay != 0:
		return draft, invalid("deliver_at", "give a time or a delay, not both")
	case d.Delay < 0:
		return draft, invalid("delay", "a time that has passed already")
	}
	if d.Body != nil && d.ContentType == "" {
		draft.ContentType = "application/octet-stream"
	}
	if d.Destination != "" {
		target, err := relay.ParseTarget(d.Destination)
		if err != nil {
			return draft, invalid("destination", "%s", err)
		}
		draft.Destination = target.Raw
	}
	if d.ID != "" {
		if draft.ID, err = parseID("id", d.ID); err != nil {
			return draft, err
		}
	}
	return draft, checkHeaders(d.Headers)
}

// checkHeaders judges headers as the relay would before it sends.
func checkHeaders(headers map[string]string) error {
	if len(headers) == 0 {
		return nil
	}
	raw, err := json.Marshal(headers)
	if err != nil {
		return invalid("headers", "%s", err)
	}
	if _, err := relay.ParseHeaders(raw); err != nil {
		return invalid("headers", "%s", strings.TrimPrefix(err.Error(), "headers: "))
	}
	return nil
}

// Sent is a message that was inserted, and how it stands if that was asked for.
type Sent struct {
	ID string `json:"id"`
	// Status and the rest are there only if the message was waited for.
	Status     relay.MessageStatus `json:"status,omitempty"`
	LastError  string              `json:"last_error,omitempty"`
	Deliveries []Delivery          `json:"deliveries,omitempty"`
}

// Await returns how a message stands once it has ended, or after the time that it is waited for.
func (s *Service) Await(ctx context.Context, id string, wait time.Duration) (Sent, error) {
	const every = 50 * time.Millisecond
	parsed, err := parseID("id", id)
	if err != nil {
		return Sent{}, err
	}
	for until := time.Now().Add(wait); ; {
		p, err := s.store.Progress(ctx, parsed)
		if err != nil {
			return Sent{}, err
		}
		sent := newSent(parsed, p)
		if !sent.GoesOn() || time.Now().After(until) {
			return sent, nil
		}
		if err := pause(ctx, min(every, time.Until(until))); err != nil {
			return sent, err
		}
	}
}

// GoesOn reports whether the message has not ended.
func (s Sent) GoesOn() bool {
	return s.Status == relay.MessagePending || s.Status == relay.MessageOpen
}

// standing says how the deliveries of a message to a subscription stand, or to all subscribers if the name is empty.
func (s Sent) standing(subscription string) string {
	const most = 5
	var words []string
	for _, d := range s.Deliveries {
		if subscription == "" || d.Subscription == subscription {
			words = append(words, string(d.Status)+" by "+d.Subscription)
		}
	}
	switch {
	case len(words) == 0 && subscription != "":
		return "it was not sent to " + subscription
	case len(words) > most:
		words = append(words[:most], "…")
	}
	return strings.Join(words, ", ")
}

func newSent(id relay.ID, p sql.Progress) Sent {
	s := Sent{ID: id.String(), Status: p.Status, LastError: p.Error}
	for _, d := range p.Deliveries {
		s.Deliveries = append(s.Deliveries, Delivery{
			Subscription: d.Subscription, Target: relay.ShownTarget(d.Target), TargetHidden: whyHidden(d.Target), Status: d.Status,
			Reason: relay.Reason(d.Reason), Attempts: d.Attempts, ResponseCode: d.Code, LastError: d.Error,
		})
	}
	return s
}
