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
	Cause       relay.Cause         `json:"cause,omitempty"` // of a rejected message, or in a list of the worst delivery
	Outstanding int                 `json:"outstanding"`     // deliveries that have not ended
	SizeBytes   int64               `json:"size_bytes"`      // of payload or body
	// ByStatus counts its deliveries by status, and Tries their attempts. Only in lists.
	ByStatus map[string]int `json:"deliveries_by_status,omitempty"`
	Tries    int            `json:"attempts_total,omitempty"`
}

func newMessage(m sql.MessageSummary) Message {
	var by map[string]int
	for _, c := range m.Deliveries {
		if by == nil {
			by = map[string]int{}
		}
		by[c.Status] = c.Count
	}
	return Message{
		Cause: m.Cause, ByStatus: by, Tries: m.Attempts, ID: m.ID.String(), CreatedAt: m.CreatedAt.UTC(), Status: m.Status, Topic: m.Topic, Key: m.Key, Source: m.Source,
		Destination: relay.ShownTarget(m.Destination), DeliverAt: utc(m.DeliverAt), FinishedAt: utc(m.FinishedAt), LastError: m.Error,
		Outstanding: m.Outstanding, SizeBytes: m.Size,
	}
}

// MessageLimit is the most messages that one page may have.
const MessageLimit = sql.FindWindow

// Messages lists messages, the youngest first, for at most the time given. A search that reaches it returns what it
// has found, and where to go on.
func (s *Service) Messages(ctx context.Context, f Filter, at At, limit time.Duration) (Page[Message], error) {
	found, err := s.search(ctx, f, at, limit)
	if err != nil {
		return Page[Message]{}, err
	}
	var items []Message
	for _, m := range found.Messages {
		items = append(items, newMessage(m))
	}
	page := newPage(items, string(found.Next))
	page.Complete = found.Complete
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
