package operate

import (
	"context"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"relay"
	"relay/sql"
)

// PayloadShown is how much of a payload is shown with its message, in bytes.
const PayloadShown = 64 << 10

// MessageDetail is one message with its deliveries and attempts.
type MessageDetail struct {
	Message
	DestinationHidden string            `json:"destination_hidden,omitempty"` // why the destination is not shown whole
	Binary            bool              `json:"binary"`                       // the payload stands in the column body
	Shard             int16             `json:"shard"`
	ContentType       string            `json:"content_type"`
	Headers           map[string]string `json:"headers"`                   // credentials are hidden
	HeadersTooLarge   bool              `json:"headers_too_large"`         // they are left out
	Payload           *Content          `json:"payload,omitempty"`         // its beginning, if it was asked for
	PayloadsHidden    bool              `json:"payloads_hidden,omitempty"` // payload, headers and answers are left out
	Deliveries        []Delivery        `json:"deliveries"`
	Attempts          []Attempt         `json:"attempts"`
}

// Content is the beginning of what was sent or answered.
type Content struct {
	Text string `json:"text,omitempty"`
	Hex  string `json:"hex,omitempty"`        // instead of Text, of what is no text
	More int64  `json:"more_bytes,omitempty"` // that are not shown
}

// Delivery is one message for one subscriber and instance.
type Delivery struct {
	Subscription   string               `json:"subscription"`
	Instance       string               `json:"instance,omitempty"`
	Target         string               `json:"target"`                  // as relay.ShownTarget has it
	TargetHidden   string               `json:"target_hidden,omitempty"` // why the target is not shown whole
	Status         relay.DeliveryStatus `json:"status"`
	Reason         relay.Reason         `json:"reason,omitempty"`
	Attempts       int                  `json:"attempts"`
	HandleAttempts int                  `json:"handle_attempts"`
	NextAttemptAt  *time.Time           `json:"next_attempt_at,omitempty"`
	ResponseCode   int                  `json:"response_code,omitempty"`
	LastError      string               `json:"last_error,omitempty"`
	DeliveredAt    *time.Time           `json:"delivered_at,omitempty"`
	HandledAt      *time.Time           `json:"handled_at,omitempty"`
	UpdatedAt      *time.Time           `json:"updated_at,omitempty"`
	Cause          relay.Cause          `json:"cause,omitempty"`
	DueAt          *time.Time           `json:"due_at,omitempty"` // when it was to be sent first
}

// Attempt is one attempt at a delivery.
type Attempt struct {
	Subscription string               `json:"subscription"`
	Instance     string               `json:"instance,omitempty"`
	Attempt      int                  `json:"attempt"` // from 1
	StartedAt    time.Time            `json:"started_at"`
	DurationMS   float64              `json:"duration_ms"`
	Outcome      relay.DeliveryStatus `json:"outcome"`
	ResponseCode int                  `json:"response_code,omitempty"`
	Error        string               `json:"error,omitempty"`
	Response     *Content             `json:"response,omitempty"`
	Cause        relay.Cause          `json:"cause,omitempty"`
	Answer       []byte               `json:"-"` // what Response shows
}

// Message reads one message with its deliveries and attempts, and the beginning of its payload if that is asked for.
func (s *Service) Message(ctx context.Context, id string, payload bool) (MessageDetail, error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return MessageDetail{}, err
	}
	most := 0
	if payload {
		most = PayloadShown
	}
	m, err := s.store.ShowMessage(ctx, parsed, most)
	if err != nil {
		return MessageDetail{}, err
	}
	return newMessageDetail(m, payload), nil
}

// parseID reads the id of a field.
func parseID(field, text string) (relay.ID, error) {
	id, err := relay.ParseID(text)
	if err != nil {
		return id, invalid(field, "%s is not a UUID", quote(text))
	}
	return id, nil
}

func newMessageDetail(m sql.MessageDetail, payload bool) MessageDetail {
	d := MessageDetail{
		Message: newMessage(m.MessageSummary), DestinationHidden: whyHidden(m.Destination), Binary: m.Binary, Shard: m.Shard,
		ContentType: m.ContentType, Headers: shownHeaders(m.Headers), HeadersTooLarge: m.Headers == nil,
		Deliveries: []Delivery{}, Attempts: []Attempt{},
	}
	if payload {
		d.Payload = newContent(m.Payload, m.Size, m.Binary)
	}
	for _, x := range m.Deliveries {
		d.Deliveries = append(d.Deliveries, newDelivery(x))
	}
	for _, a := range m.Attempts {
		d.Attempts = append(d.Attempts, newAttempt(a))
	}
	return d
}

func newDelivery(d sql.DeliveryDetail) Delivery {
	return Delivery{
		Subscription: d.Subscription, Instance: relay.ShownTarget(d.Instance), Target: relay.ShownTarget(d.Target), TargetHidden: whyHidden(d.Target),
		Status: d.Status, Reason: relay.Reason(d.Reason), Attempts: d.Attempts, HandleAttempts: d.HandleAttempts,
		NextAttemptAt: utc(d.NextAttemptAt), ResponseCode: d.Code, LastError: d.Error, DeliveredAt: utc(d.DeliveredAt),
		HandledAt: utc(d.HandledAt), UpdatedAt: utc(&d.UpdatedAt), Cause: d.Cause, DueAt: utc(&d.DueAt),
	}
}

func newAttempt(a sql.AttemptDetail) Attempt {
	shown := Attempt{
		Subscription: a.Subscription, Instance: relay.ShownTarget(a.Instance), Attempt: a.Number, StartedAt: a.StartedAt.UTC(),
		DurationMS: milliseconds(time.Duration(a.Micros) * time.Microsecond), Outcome: a.Outcome, ResponseCode: a.Code, Error: a.Error, Cause: a.Cause,
	}
	if len(a.Response) > 0 {
		shown.Answer = a.Response
		shown.Response = newContent(a.Response, int64(len(a.Response)), false)
	}
	return shown
}

// newContent makes the beginning of size bytes fit to be shown. A character that the bound cuts through is left out.
func newContent(b []byte, size int64, binary bool) *Content {
	whole := b
	for i := 0; i < utf8.UTFMax && int64(len(b)) < size && !utf8.Valid(whole); i++ {
		whole = whole[:max(len(whole)-1, 0)]
	}
	if binary || !utf8.Valid(whole) {
		return &Content{Hex: hex.EncodeToString(b), More: size - int64(len(b))}
	}
	return &Content{Text: string(whole), More: size - int64(len(whole))}
}

// HidePayloads leaves out what a viewer may not see where RELAY_HIDE_PAYLOADS is set: payload, headers and answers.
func (d *MessageDetail) HidePayloads() {
	d.PayloadsHidden, d.Payload, d.Headers = true, nil, map[string]string{}
	d.LastError = WithoutAnswer(d.LastError)
	for i := range d.Deliveries {
		d.Deliveries[i].LastError = WithoutAnswer(d.Deliveries[i].LastError)
	}
	for i := range d.Attempts {
		a := &d.Attempts[i]
		a.Response, a.Answer, a.Error = nil, nil, WithoutAnswer(a.Error)
	}
}

// WithoutAnswer is an error without what it quotes of the receiver's answer.
func WithoutAnswer(text string) string {
	before, _, _ := strings.Cut(text, ": ")
	return before
}
