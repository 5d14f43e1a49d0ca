package operate

import (
	"context"
	"time"

	"relay"
	"relay/sql"
)

// Standing counts what has not ended well, as it stands in the tables.
type Standing struct {
	AsOf            time.Time       `json:"as_of"` // by the database's clock
	TookMS          float64         `json:"took_ms"`
	Pending         Count           `json:"pending"`
	Delayed         Count           `json:"delayed"` // pending too, but for later
	Open            Count           `json:"open"`
	Dead            Count           `json:"dead"`
	Rejected        Count           `json:"rejected"`
	Cancelled       Count           `json:"cancelled"`
	Done            Count           `json:"done"`
	OldestPendingAt *time.Time      `json:"oldest_pending_at,omitempty"`
	OldestOpenAt    *time.Time      `json:"oldest_open_at,omitempty"`
	Unfinished      []StandingGroup `json:"unfinished"`       // deliveries
	UnfinishedExact bool            `json:"unfinished_exact"` // false: there are more than were counted
	DeadDeliveries  []StandingGroup `json:"dead_deliveries"`
	DeadExact       bool            `json:"dead_exact"`
}

// StandingGroup counts deliveries that are alike.
type StandingGroup struct {
	Subscription string               `json:"subscription"`
	Status       relay.DeliveryStatus `json:"status"`
	Reason       relay.Reason         `json:"reason,omitempty"`
	Cause        relay.Cause          `json:"cause,omitempty"`
	N            int                  `json:"n"`
}

// Standing returns a recent count, which all who ask share.
func (s *Service) Standing(ctx context.Context) (Standing, error) {
	st, err := s.sampler.Standing(ctx)
	if err != nil {
		return Standing{}, err
	}
	done := countOf(st.Done)
	if !st.Done.Exact {
		done.Precision = About
	}
	return Standing{
		AsOf: st.At.UTC(), TookMS: milliseconds(st.Took), Pending: countOf(st.Pending), Delayed: countOf(st.Delayed), Open: countOf(st.Open),
		Dead: countOf(st.Dead), Rejected: countOf(st.Rejected), Cancelled: countOf(st.Cancelled), Done: done,
		OldestPendingAt: utc(st.OldestPending), OldestOpenAt: utc(st.OldestOpen),
		Unfinished: standingGroups(st.Unfinished), UnfinishedExact: st.UnfinishedExact,
		DeadDeliveries: standingGroups(st.DeadDeliveries), DeadExact: st.DeadExact,
	}, nil
}

func countOf(c sql.Count) Count {
	if c.Exact {
		return Count{N: c.N, Precision: Exact}
	}
	return Count{N: c.N, Precision: AtLeast}
}

func standingGroups(groups []sql.StandingGroup) []StandingGroup {
	shown := []StandingGroup{}
	for _, g := range groups {
		shown = append(shown, StandingGroup(g))
	}
	return shown
}

// Overview says who works on the outbox, and what is due next.
type Overview struct {
	AsOf        time.Time     `json:"as_of"` // by the database's clock
	Relays      []RelayStatus `json:"relays"`
	NextDueIn   *float64      `json:"next_due_in_seconds,omitempty"` // below 0: it is overdue
	Any         bool          `json:"any_messages"`                  // there is a message at all
	RunningJobs int           `json:"running_jobs"`
}

// Overview reads who works on the outbox, and what is due next.
func (s *Service) Overview(ctx context.Context) (Overview, error) {
	o, err := s.store.Overview(ctx)
	if err != nil {
		return Overview{}, err
	}
	shown := Overview{AsOf: o.At.UTC(), Relays: relayStatuses(o.Relays), NextDueIn: seconds(o.NextDue), Any: o.Any, RunningJobs: o.RunningJobs}
	return shown, nil
}

// PulsePoint is what all relays together have counted within a step. Counts are of the step, not per second.
type PulsePoint struct {
	At           time.Time `json:"at"` // when the step begins
	Received     int64     `json:"received"`
	Accepted     int64     `json:"accepted"`
	Handled      int64     `json:"handled"`
	PushFailed   int64     `json:"push_failed"`
	HandleFailed int64     `json:"handle_failed"`
	Dead         int64     `json:"dead"`
	WaitP50MS    float64   `json:"wait_p50_ms"` // from due to accepted
	WaitP99MS    float64   `json:"wait_p99_ms"`
	TotalP50MS   float64   `json:"total_p50_ms"` // from due to handled
	TotalP99MS   float64   `json:"total_p99_ms"`
}

// Pulse reads rates and latencies in steps of whole minutes, the oldest first; steps in which nothing was counted are
// left out. An empty subscription is all together.
func (s *Service) Pulse(ctx context.Context, subscription string, from, to time.Time, step time.Duration) ([]PulsePoint, error) {
	if !from.Before(to) {
		return nil, invalid("from", "it is not before to")
	}
	if err := storable("subscription", subscription); err != nil {
		return nil, err
	}
	points, err := s.store.Pulse(ctx, sql.PulseQuery{Subscription: subscription, From: from, To: to, Step: step})
	if err != nil {
		return nil, err
	}
	shown := []PulsePoint{}
	for _, p := range points {
		shown = append(shown, PulsePoint{
			At: p.At.UTC(), Received: p.Received, Accepted: p.Accepted, Handled: p.Handled, PushFailed: p.PushFailed, HandleFailed: p.HandleFailed, Dead: p.Dead,
			WaitP50MS: milliseconds(p.Wait.Quantile(.5)), WaitP99MS: milliseconds(p.Wait.Quantile(.99)),
			TotalP50MS: milliseconds(p.Total.Quantile(.5)), TotalP99MS: milliseconds(p.Total.Quantile(.99)),
		})
	}
	return shown, nil
}

// Sender is what one source sent under one topic.
type Sender struct {
	Source   string    `json:"source,omitempty"` // none: the relay's own
	Topic    string    `json:"topic"`
	Taken    int64     `json:"taken"`
	Rejected int64     `json:"rejected"`
	Bytes    int64     `json:"bytes"`
	LastAt   time.Time `json:"last_at"` // the insertion of the youngest
}

// SenderLimit is the most pairs of source and topic that are listed.
const SenderLimit = 1000

// Senders lists sources with their topics since a time; those of one source if it is not nil.
func (s *Service) Senders(ctx context.Context, since time.Time, source *string) (Page[Sender], error) {
	list, err := s.store.Senders(ctx, since, source, SenderLimit)
	if err != nil {
		return Page[Sender]{}, err
	}
	var items []Sender
	for _, x := range list {
		x.LastAt = x.LastAt.UTC()
		items = append(items, Sender(x))
	}
	page := newPage(items, "")
	page.Complete = len(items) < SenderLimit
	return page, nil
}
