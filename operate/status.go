package operate

import (
	"context"
	"time"

	"relay/sql"
)

// Status is how a system stands, as the database knows it.
type Status struct {
	Schema   SchemaStatus    `json:"schema"`
	Relays   []RelayStatus   `json:"relays"`
	Slot     *SlotStatus     `json:"slot,omitempty"` // only with RELAY_CAPTURE=stream
	Messages MessageStatus   `json:"messages"`
	Waiting  []WaitingStatus `json:"waiting"`
	// NextDueIn is how long it is until the first delayed message or retry is due; below 0: it is overdue; none:
	// there is nothing.
	NextDueIn *float64     `json:"next_due_in_seconds,omitempty"`
	Dead      []DeadStatus `json:"dead_by_subscription"`
	AsOf      time.Time    `json:"as_of"`
}

// SchemaStatus is the version of the schema.
type SchemaStatus struct {
	Version int32 `json:"version"` // 0: this role does not own it
	Needed  int32 `json:"needed"`  // by this program
}

// RelayStatus is one relay that has given a sign of life and has not ended in order.
type RelayStatus struct {
	Name      string  `json:"name"`
	Version   string  `json:"version"`
	Streaming bool    `json:"streaming"`
	Shards    int     `json:"shards"`
	Expired   int     `json:"expired_shards"` // it fell silent, and no other relay has taken them over yet
	SeenAgo   float64 `json:"seen_seconds_ago"`
	// Report is what the relay says about itself: its settings without secrets, its stream, its circuits, and what
	// it holds back. It is empty if the relay has not reported lately.
	Report *sql.Report `json:"report,omitempty"`
}

// SlotStatus is how the replication slot stands.
type SlotStatus struct {
	Name      string `json:"name"`
	Exists    bool   `json:"exists"`
	Reader    string `json:"reader,omitempty"`    // the session that reads it
	Flaw      string `json:"flaw,omitempty"`      // why no relay can read it
	NotHeard  string `json:"not_heard,omitempty"` // why the relay that is to read it does not, and what mends it
	Confirmed int64  `json:"confirmed_lag_bytes"`
	Restart   int64  `json:"restart_lag_bytes"`
}

// MessageStatus counts messages. The counts of what has not ended well stop at the limit.
type MessageStatus struct {
	Limit         int     `json:"count_limit"`
	Pending       int     `json:"pending"`
	Delayed       int     `json:"delayed"` // pending too, but for later
	Open          int     `json:"open"`
	Dead          int     `json:"dead"`
	Rejected      int     `json:"rejected"`
	OldestPending float64 `json:"oldest_pending_seconds"`
	Done          *int64  `json:"done,omitempty"`      // only in a small table
	Cancelled     *int64  `json:"cancelled,omitempty"` // only in a small table
	// Rows is the statistics' guess at all messages, in a table too large to be counted.
	Rows *int64 `json:"rows_estimate,omitempty"`
}

// WaitingStatus is what waits for one destination.
type WaitingStatus struct {
	Circuit string `json:"circuit"`
	Why     string `json:"why"`
	Count   int    `json:"count"`
	Error   string `json:"error,omitempty"`
	// Subscription is the subscriber that waits.
	Subscription string `json:"subscription,omitempty"`
}

// DeadStatus is how many dead messages a subscriber has.
type DeadStatus struct {
	Subscription string `json:"subscription"`
	Count        int    `json:"count"`
	Error        string `json:"error,omitempty"` // of the youngest
}

// ReadStatus reads how the system stands. The slot is what the caller has read of it; nil: the relay uses none.
func ReadStatus(ctx context.Context, examiner *sql.Examiner, slot *SlotStatus) (s Status, err error) {
	s = Status{Slot: slot, Waiting: []WaitingStatus{}, Dead: []DeadStatus{}, AsOf: time.Now().UTC()}
	schema, err := examiner.Schema(ctx)
	if err != nil {
		return s, err
	}
	s.Schema = SchemaStatus{Version: schema.Version, Needed: schema.Needed}
	relays, err := examiner.RunningRelays(ctx)
	if err != nil {
		return s, err
	}
	s.Relays = relayStatuses(relays)
	if s.Messages, err = readCounts(ctx, examiner); err != nil {
		return s, err
	}
	return s, s.readDeliveries(ctx, examiner)
}

func relayStatuses(relays []sql.RunningRelay) []RelayStatus {
	shown := []RelayStatus{}
	for _, r := range relays {
		shown = append(shown, RelayStatus{
			Name: r.Name, Version: r.Version, Streaming: r.Streaming, Shards: r.Shards, Expired: r.Expired, SeenAgo: r.Seen.Seconds(), Report: r.Report,
		})
	}
	return shown
}

func readCounts(ctx context.Context, examiner *sql.Examiner) (MessageStatus, error) {
	f, err := examiner.Messages(ctx)
	if err != nil {
		return MessageStatus{}, err
	}
	ended, err := examiner.Ended(ctx)
	if err != nil {
		return MessageStatus{}, err
	}
	m := MessageStatus{
		Limit: sql.CountLimit, Pending: f.Pending, Delayed: f.Delayed, Open: f.Open, Dead: f.Dead, Rejected: f.Rejected,
		OldestPending: f.OldestPending.Seconds(),
	}
	if ended.Estimated {
		m.Rows = &ended.Rows
	} else {
		m.Done, m.Cancelled = &ended.Done, &ended.Cancelled
	}
	return m, nil
}

func (s *Status) readDeliveries(ctx context.Context, examiner *sql.Examiner) error {
	waiting, err := examiner.WaitingDeliveries(ctx)
	if err != nil {
		return err
	}
	for _, w := range waiting {
		s.Waiting = append(s.Waiting, WaitingStatus(w))
	}
	next, some, err := examiner.EarliestDue(ctx)
	if err != nil {
		return err
	}
	if some {
		due := next.Round(time.Millisecond).Seconds()
		s.NextDueIn = &due
	}
	dead, err := examiner.DeadBySubscription(ctx)
	if err != nil {
		return err
	}
	for _, d := range dead {
		s.Dead = append(s.Dead, DeadStatus(d))
	}
	return nil
}
