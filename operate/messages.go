package operate

import (
	"context"
	"errors"
	"strconv"
	"time"

	"relay"
	"relay/sql"
)

// Message is one message as a list shows it.
type Message struct {
	ID          string              `json:"id"`
	CreatedAt   time.Time           `json:"created_at"`
	Status      relay.MessageStatus `json:"status"`
	Topic       string              `json:"topic"`
	Key         string              `json:"key,omitempty"`
	Source      string              `json:"source,omitempty"`
	Destination string              `json:"destination,omitempty"` // as relay.ShownTarget has it
	DeliverAt   *time.Time          `json:"deliver_at,omitempty"`
	FinishedAt  *time.Time          `json:"finished_at,omitempty"`
	LastError   string              `json:"last_error,omitempty"`
	Outstanding int                 `json:"outstanding"`     // deliveries that have not ended
	SizeBytes   int64               `json:"size_bytes"`      // of payload or body
	Seq         string              `json:"seq"`             // order of insertion
	Cause       relay.Cause         `json:"cause,omitempty"` // of a rejected message, or of its worst delivery
	Tried       int                 `json:"attempt_count"`   // attempts of all deliveries
	Counts      []StatusCount       `json:"deliveries_by_status"`
}

// StatusCount is how many deliveries, or messages, have one status.
type StatusCount struct {
	Status string `json:"status" doc:"Status of a delivery, or of a message."`
	N      int64  `json:"n"`
}

func newMessage(m sql.MessageSummary) Message {
	counts := []StatusCount{}
	for _, c := range m.Deliveries {
		counts = append(counts, StatusCount{c.Status, int64(c.Count)})
	}
	return Message{
		Seq: strconv.FormatInt(m.Seq, 10), Cause: m.Cause, Tried: m.Attempts, Counts: counts,
		ID: m.ID.String(), CreatedAt: m.CreatedAt.UTC(), Status: m.Status, Topic: m.Topic, Key: m.Key, Source: m.Source,
		Destination: relay.ShownTarget(m.Destination), DeliverAt: utc(m.DeliverAt), FinishedAt: utc(m.FinishedAt), LastError: m.Error,
		Outstanding: m.Outstanding, SizeBytes: m.Size,
	}
}

// MessageLimit is the most messages that one page may have.
const MessageLimit = sql.FindWindow

// Messages lists messages, the youngest first, for at most the time given. A search that reaches it returns what it
// has found, and where to go on.
func (s *Service) Messages(ctx context.Context, f Filter, at At, limit time.Duration) (Page[Message], error) {
	return s.MessagesAt(ctx, f, "", at, limit)
}

// MessagesAt is Messages with those alone that are at a stage; an empty one is any.
func (s *Service) MessagesAt(ctx context.Context, f Filter, stage Stage, at At, limit time.Duration) (Page[Message], error) {
	f, possible := stage.narrow(f)
	if err := f.Validate(); err != nil || !possible {
		return newPage[Message](nil, ""), err
	}
	most, err := at.limit(MessageLimit)
	if err != nil {
		return Page[Message]{}, err
	}
	var found sql.MessagePage
	var items []Message
	var looked int64
	next := at
	for until := time.Now().Add(limit); ; {
		next.Limit = most - len(items)
		if found, err = s.search(ctx, f, next, time.Until(until)); err != nil {
			return Page[Message]{}, err
		}
		looked += max(found.Looked, int64(len(found.Messages)))
		for _, m := range found.Messages {
			if one := newMessage(m); stage == "" || one.Stage() == stage {
				items = append(items, one)
			}
		}
		next.Cursor = string(found.Next)
		if len(items) == most || next.Cursor == "" || !found.Complete || time.Now().After(until) {
			break
		}
	}
	page := newPage(items, next.Cursor)
	page.Complete, page.LookedAt = len(items) == most || next.Cursor == "", looked
	if !found.SearchedTo.IsZero() {
		page.SearchedTo = utc(&found.SearchedTo)
	}
	return page, nil
}

// search finds up to as many messages as are wanted, or as there are, or as the time allows.
func (s *Service) search(ctx context.Context, f Filter, at At, limit time.Duration) (found sql.MessagePage, err error) {
	if err := f.Validate(); err != nil {
		return found, err
	}
	most, err := at.limit(MessageLimit)
	if err != nil {
		return found, err
	}
	found.Next = sql.Cursor(at.Cursor)
	for until := time.Now().Add(limit); ; {
		page, err := s.store.ListMessages(ctx, f.store(), found.Next, most-len(found.Messages))
		if err != nil {
			return found, cursorError(err)
		}
		page.Messages = append(found.Messages, page.Messages...)
		page.Looked += found.Looked
		if found = page; found.Complete || found.Next == "" || time.Now().After(until) {
			return found, nil
		}
	}
}

// cursorError names the field where a cursor is no cursor.
func cursorError(err error) error {
	if errors.Is(err, sql.ErrCursor) {
		return &Error{Code: CodeInvalid, Field: "after", Text: "this is no place of this list: begin again without it", cause: err}
	}
	return err
}
