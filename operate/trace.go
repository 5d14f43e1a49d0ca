package operate

import (
	"context"
	"time"

	"relay"
	"relay/sql"
)

// Trace is what surrounds a message.
type Trace struct {
	Previous, Next *Neighbour // of the same key; nil: there is none
	OriginalID     string     // the message that this one is a copy of; empty if it is no copy
	Copies         []string
	Jobs           []MessageInJob
}

// Neighbour is a message before or after another one of the same key.
type Neighbour struct {
	ID     string              `json:"id" format:"uuid"`
	Status relay.MessageStatus `json:"status" enum:"pending,open,done,dead,rejected,cancelled"`
}

// MessageInJob is what a job did to a message.
type MessageInJob struct {
	JobID  string      `json:"job_id" format:"uuid"`
	Kind   sql.JobKind `json:"kind" enum:"retry,cancel,replay"`
	Effect string      `json:"effect"`
	At     time.Time   `json:"at"`
}

// Trace reads what surrounds a message.
func (s *Service) Trace(ctx context.Context, id string) (t Trace, err error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return t, err
	}
	found, err := s.store.TraceMessage(ctx, parsed)
	if err != nil {
		return t, err
	}
	t = Trace{Previous: neighbour(found.Before), Next: neighbour(found.After), Copies: []string{}, Jobs: []MessageInJob{}}
	if found.Original != nil {
		t.OriginalID = found.Original.String()
	}
	for _, c := range found.Copies {
		t.Copies = append(t.Copies, c.String())
	}
	for _, j := range found.Jobs {
		t.Jobs = append(t.Jobs, MessageInJob{JobID: j.Job.String(), Kind: j.Kind, Effect: string(j.Effect), At: j.At.UTC()})
	}
	return t, nil
}

func neighbour(m *sql.MessageSummary) *Neighbour {
	if m == nil {
		return nil
	}
	return &Neighbour{ID: m.ID.String(), Status: m.Status}
}

// Payload reads the whole body of a message as it is sent. A body of more than most bytes is an error.
func (s *Service) Payload(ctx context.Context, id string, most int64) (sql.Payload, error) {
	parsed, err := parseID("id", id)
	if err != nil {
		return sql.Payload{}, err
	}
	return s.store.MessagePayload(ctx, parsed, most)
}

// Counted is how many messages match a filter.
type Counted struct {
	Count    Count
	ByStatus []StatusCount
}

// Count counts the messages that match, for at most the time given; zero: to the end.
func (s *Service) Count(ctx context.Context, f Filter, stage Stage, limit time.Duration) (Counted, error) {
	f, possible := stage.narrow(f)
	if err := f.Validate(); err != nil || !possible {
		return Counted{Count: exactly(0), ByStatus: []StatusCount{}}, err
	}
	n, by, err := s.store.CountMessages(ctx, f.store(), limit)
	if err != nil {
		return Counted{}, err
	}
	c := Counted{Count: counted(n), ByStatus: []StatusCount{}}
	for _, status := range messageStatuses {
		if by[status] > 0 {
			c.ByStatus = append(c.ByStatus, StatusCount{string(status), by[status]})
		}
	}
	if stage == StagePushFailed || stage == StageHandleFailed || stage == StageCommitted && by[relay.MessageOpen] > 0 {
		c.Count.Precision = About // deliveries decide, and the count does not look at deliveries
	}
	return c, nil
}
