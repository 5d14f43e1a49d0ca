package operate

import (
	"context"
	"errors"
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
	Outstanding int                 `json:"outstanding"` // deliveries that have not ended
	SizeBytes   int64               `json:"size_bytes"`  // of payload or body
}

func newMessage(m sql.MessageSummary) Message {
	return Message{
		ID: m.ID.String(), CreatedAt: m.CreatedAt.UTC(), Status: m.Status, Topic: m.Topic, Key: m.Key, Source: m.Source,
		Destination: relay.ShownTarget(m.Destination), DeliverAt: utc(m.DeliverAt), FinishedAt: utc(m.FinishedAt), LastError: m.Error,
		Outstanding: m.Outstanding, SizeBytes: m.Size,
	}
}

// MessageLimit is the most messages that one page may have.
const MessageLimit = sql.FindWindow

// errSearchLimit is the cause with which a search ends that has taken too long.
var errSearchLimit = errors.New("the search took too long")

// Messages lists messages, the youngest first, for at most the time given. A search that reaches it returns what it
// has found, and where to go on.
func (s *Service) Messages(ctx context.Context, f Filter, at At, limit time.Duration) (Page[Message], error) {
	if err := f.Validate(); err != nil {
		return Page[Message]{}, err
	}
	if len(f.Status) > 1 {
		return Page[Message]{}, invalid("status", "one status at a time")
	}
	most, err := at.limit(MessageLimit)
	if err != nil {
		return Page[Message]{}, err
	}
	var after relay.ID
	if at.Cursor != "" {
		if after, err = relay.ParseID(at.Cursor); err != nil {
			return Page[Message]{}, invalid("cursor", "%s", err)
		}
	}
	found, err := s.search(ctx, f.store(), after, most, limit)
	if err != nil {
		return Page[Message]{}, err
	}
	next := ""
	if found.More {
		next = found.Next.String()
	}
	var items []Message
	for _, m := range found.Messages {
		items = append(items, newMessage(m))
	}
	return newPage(items, next), nil
}

// search finds up to most messages, or as many as there are, or as the time allows.
func (s *Service) search(ctx context.Context, f sql.MessageFilter, after relay.ID, most int, limit time.Duration) (found sql.MessagePage, err error) {
	const perStatement = 10_000
	limited, cancel := context.WithTimeoutCause(ctx, limit, errSearchLimit)
	defer cancel()
	found.More, found.Next = true, after
	for found.More && len(found.Messages) < most {
		page, err := s.store.FindMessages(limited, f, found.Next, min(perStatement, most-len(found.Messages)))
		switch {
		case err != nil && errors.Is(context.Cause(limited), errSearchLimit) && found.Next != after:
			return found, nil
		case err != nil && errors.Is(context.Cause(limited), errSearchLimit):
			return found, refused(CodeSearchLimit, err, "the search took longer than %s: name a status, a key or a shorter range of time", limit)
		case err != nil:
			return found, err
		}
		found.Messages = append(found.Messages, page.Messages...)
		found.More, found.Next = page.More, page.Next
	}
	return found, nil
}
