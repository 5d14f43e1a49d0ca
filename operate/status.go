package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"relay"
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
	Silent    bool    `json:"silent"` // it has died, or does not reach the database, for longer than a lease lasts
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

// WaitingStatus is what waits for one subscriber.
type WaitingStatus struct {
	Subscription string `json:"subscription"`
	Why          string `json:"why"`
	Count        int    `json:"count"`
	Error        string `json:"error,omitempty"` // of one that has failed
}

// DeadStatus is how many dead messages a subscriber has.
type DeadStatus struct {
	Subscription string `json:"subscription"`
	Count        int    `json:"count"`
	Error        string `json:"error,omitempty"` // of the youngest
}

// shownStatus bounds the lines about subscribers.
const shownStatus = 10

// Status reads how the system stands. The slot is what the caller has read of it; nil: the relay uses none.
func (s *Service) Status(ctx context.Context, schema SchemaStatus, slot *SlotStatus) (Status, error) {
	var live *Live
	facts, standings, err := s.look(ctx, &live)
	if err != nil {
		return Status{}, err
	}
	st := Status{
		Schema: schema, Slot: slot, Relays: relayStatuses(facts.Relays), Messages: messageStatus(standings.Standing), AsOf: time.Now().UTC(),
	}
	if facts.NextDue != nil {
		due := facts.NextDue.Round(time.Millisecond).Seconds()
		st.NextDueIn = &due
	}
	failing, err := s.sampler.FailingGroups(ctx)
	if err != nil {
		return st, err
	}
	dead, err := s.sampler.DeadGroups(ctx)
	if err != nil {
		return st, err
	}
	st.Waiting, st.Dead = waitingStatuses(standings.Unfinished, failing.Groups), deadStatuses(dead.Groups)
	return st, nil
}

// Running is how many of the relays run: those that are not silent.
func Running(relays []RelayStatus) (n int) {
	for _, r := range relays {
		if !r.Silent {
			n++
		}
	}
	return n
}

func relayStatuses(relays []sql.RunningRelay) []RelayStatus {
	shown := []RelayStatus{}
	for _, r := range relays {
		shown = append(shown, RelayStatus{
			Name: r.Name, Version: r.Version, Streaming: r.Streaming, Shards: r.Shards, Expired: r.Expired, SeenAgo: r.Seen.Seconds(), Silent: r.Silent, Report: r.Report,
		})
	}
	return shown
}

func messageStatus(st sql.Standing) MessageStatus {
	m := MessageStatus{
		Limit: sql.StandingLimit, Pending: int(st.Pending.N), Delayed: int(st.Delayed.N), Open: int(st.Open.N), Dead: int(st.Dead.N), Rejected: int(st.Rejected.N),
	}
	if st.OldestPending != nil {
		m.OldestPending = max(st.At.Sub(*st.OldestPending), 0).Seconds()
	}
	if st.Done.Exact {
		m.Done, m.Cancelled = &st.Done.N, &st.Cancelled.N
		return m
	}
	rows := st.Done.N + st.Cancelled.N + st.Pending.N + st.Delayed.N + st.Open.N + st.Dead.N + st.Rejected.N
	m.Rows = &rows
	return m
}

// waitingStatuses adds up what has not ended by subscriber, status and reason, the most first.
func waitingStatuses(unfinished []sql.StandingGroup, failing []sql.FailureGroup) []WaitingStatus {
	errors := make(map[string]string) // by subscriber and status, of the largest group
	for _, g := range failing {
		status := relay.DeliveryPushFailed
		if g.Cause.Side() == relay.HandleSide {
			status = relay.DeliveryHandleFailed
		}
		if at := g.Subscription + "/" + string(status); errors[at] == "" {
			errors[at] = g.Error
		}
	}
	list, place := []WaitingStatus{}, make(map[WaitingStatus]int)
	for _, g := range unfinished {
		w := WaitingStatus{Subscription: g.Subscription, Why: string(g.Status), Error: errors[g.Subscription+"/"+string(g.Status)]}
		if g.Reason != relay.ReasonNone {
			w.Why += ", " + string(g.Reason)
		}
		i, known := place[w]
		if !known {
			i = len(list)
			place[w], list = i, append(list, w)
		}
		list[i].Count += g.N
	}
	slices.SortStableFunc(list, func(a, b WaitingStatus) int { return cmp.Compare(b.Count, a.Count) })
	return list[:min(len(list), shownStatus)]
}

// deadStatuses adds up what is dead by subscriber, the most first, with the error that was written last.
func deadStatuses(groups []sql.FailureGroup) []DeadStatus {
	list, place, last := []DeadStatus{}, make(map[string]int), make(map[string]time.Time)
	for _, g := range groups {
		i, known := place[g.Subscription]
		if !known {
			i = len(list)
			place[g.Subscription], list = i, append(list, DeadStatus{Subscription: g.Subscription})
		}
		list[i].Count += g.Count
		if !known || g.Last.After(last[g.Subscription]) {
			list[i].Error, last[g.Subscription] = g.Error, g.Last
		}
	}
	slices.SortStableFunc(list, func(a, b DeadStatus) int { return cmp.Compare(b.Count, a.Count) })
	return list[:min(len(list), shownStatus)]
}
