package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"relay"
	"relay/sql"
)

// payloadMost is how much of a payload is shown, in bytes.
const payloadMost = 64 << 10

// MessagesShowCmd is `relay messages show ID`.
type MessagesShowCmd struct {
	ID      string `arg:"" name:"id" help:"Message id."`
	Payload bool   `name:"payload" help:"Show the payload too, at most its first 64 KiB; what is no text, in hexadecimal."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Run shows one message.
func (c MessagesShowCmd) Run(ctx context.Context, app *App) error {
	id, err := relay.ParseID(c.ID)
	if err != nil {
		return err
	}
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	payload := 0
	if c.Payload {
		payload = payloadMost
	}
	m, err := store.ShowMessage(ctx, id, payload)
	if err != nil {
		return err
	}
	s := newShown(m, c.Payload)
	if c.JSON {
		return printJSON(app.Stdout, s)
	}
	_, err = io.WriteString(app.Stdout, s.text())
	return err
}

// shown is one message as it is shown.
type shown struct {
	listed
	Seq         int64           `json:"seq"`
	Shard       int16           `json:"shard"`
	ContentType string          `json:"content_type"`
	Headers     json.RawMessage `json:"headers"`
	Payload     *content        `json:"payload,omitempty"`
	Deliveries  []shownDelivery `json:"deliveries"`
	Attempts    []shownAttempt  `json:"attempts"`
}

// content is the beginning of what was sent or answered.
type content struct {
	Text string `json:"text,omitempty"`
	Hex  string `json:"hex,omitempty"`  // instead of Text, of what is no text
	More int64  `json:"more,omitempty"` // bytes that are not shown
}

type shownDelivery struct {
	Subscription   string               `json:"subscription"`
	Instance       string               `json:"instance,omitempty"`
	Target         string               `json:"target"` // as relay.ShownTarget has it
	Status         relay.DeliveryStatus `json:"status"`
	Reason         string               `json:"reason,omitempty"`
	Attempts       int                  `json:"attempts"`
	HandleAttempts int                  `json:"handle_attempts"`
	NextAttemptAt  *time.Time           `json:"next_attempt_at,omitempty"`
	Code           int                  `json:"response_code,omitempty"`
	Error          string               `json:"error,omitempty"`
	DeliveredAt    *time.Time           `json:"delivered_at,omitempty"`
	HandledAt      *time.Time           `json:"handled_at,omitempty"`
	UpdatedAt      time.Time            `json:"updated_at"`
}

type shownAttempt struct {
	Subscription string               `json:"subscription"`
	Instance     string               `json:"instance,omitempty"`
	Attempt      int                  `json:"attempt"`
	StartedAt    time.Time            `json:"started_at"`
	DurationMS   float64              `json:"duration_ms"`
	Outcome      relay.DeliveryStatus `json:"outcome"`
	Code         int                  `json:"response_code,omitempty"`
	Error        string               `json:"error,omitempty"`
	Response     *content             `json:"response,omitempty"`
}

func newShown(m sql.MessageDetail, payload bool) shown {
	s := shown{
		listed: newListed(m.MessageSummary), Seq: m.Seq, Shard: m.Shard, ContentType: m.ContentType, Headers: m.Headers,
		Deliveries: []shownDelivery{}, Attempts: []shownAttempt{},
	}
	if payload {
		s.Payload = newContent(m.Payload, m.Size, m.Binary)
	}
	for _, d := range m.Deliveries {
		s.Deliveries = append(s.Deliveries, shownDelivery{
			Subscription: d.Subscription, Instance: relay.ShownTarget(d.Instance), Target: relay.ShownTarget(d.Target), Status: d.Status,
			Reason: d.Reason, Attempts: d.Attempts, HandleAttempts: d.HandleAttempts, NextAttemptAt: d.NextAttemptAt,
			Code: d.Code, Error: d.Error, DeliveredAt: d.DeliveredAt, HandledAt: d.HandledAt, UpdatedAt: d.UpdatedAt,
		})
	}
	for _, a := range m.Attempts {
		one := shownAttempt{
			Subscription: a.Subscription, Instance: relay.ShownTarget(a.Instance), Attempt: a.Number, StartedAt: a.StartedAt,
			DurationMS: float64(a.Micros) / 1000, Outcome: a.Outcome, Code: a.Code, Error: a.Error,
		}
		if len(a.Response) > 0 {
			one.Response = newContent(a.Response, int64(len(a.Response)), false)
		}
		s.Attempts = append(s.Attempts, one)
	}
	return s
}

// newContent makes the beginning of size bytes fit to be printed. A character that the bound
// cuts through is left out.
func newContent(b []byte, size int64, binary bool) *content {
	whole := b
	for i := 0; i < utf8.UTFMax && int64(len(b)) < size && !utf8.Valid(whole); i++ {
		whole = whole[:max(len(whole)-1, 0)]
	}
	if binary || !utf8.Valid(whole) {
		return &content{Hex: hex.EncodeToString(b), More: size - int64(len(b))}
	}
	return &content{Text: string(whole), More: size - int64(len(whole))}
}

// text is the content for a terminal.
func (c content) text() string {
	text := c.Hex
	if text == "" {
		text = strings.Map(func(r rune) rune {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				return '·'
			}
			return r
		}, c.Text)
	}
	if c.More > 0 {
		text += fmt.Sprintf("… and %d more bytes", c.More)
	}
	return text
}
