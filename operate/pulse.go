package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"relay/sql"
)

// Pulse is a history of rates, latencies and what was outstanding.
type Pulse struct {
	From   time.Time    `json:"from"`
	To     time.Time    `json:"to"`
	Step   int          `json:"step" doc:"Seconds of one point."`
	Points []PulsePoint `json:"points" doc:"The oldest first, without gaps."`
	AsOf   time.Time    `json:"as_of"`
}

// PulsePoint is one step of a history. Counts are of the step, not per second.
type PulsePoint struct {
	At           time.Time    `json:"at" doc:"Its begin."`
	Received     int64        `json:"received" doc:"Messages that were taken up; 0 where a subscription is asked for."`
	Accepted     int64        `json:"accepted" doc:"Deliveries that the receiver took."`
	Handled      int64        `json:"handled"`
	PushFailed   int64        `json:"push_failed" doc:"Attempts."`
	HandleFailed int64        `json:"handle_failed" doc:"Attempts."`
	Dead         int64        `json:"dead"`
	Causes       []CauseCount `json:"causes" doc:"Attempts that failed, and deliveries that died without one, by cause: the most frequent first. Minutes that were counted before version 18 of the tables have none."`
	WaitP50      *float64     `json:"wait_p50_ms" doc:"From due to accepted. null: nothing was accepted."`
	WaitP99      *float64     `json:"wait_p99_ms"`
	TotalP50     *float64     `json:"total_p50_ms" doc:"From due to handled."`
	TotalP99     *float64     `json:"total_p99_ms"`
	Outstanding  *Count       `json:"outstanding,omitempty" doc:"The most that was found in a minute of the step: messages that were pending and due, or open; of a subscription its deliveries that had not ended. Absent: no relay counted."`
}

// CauseCount is how often something failed for one cause.
type CauseCount struct {
	Cause string `json:"cause" doc:"Cause class. Empty: not known."`
	Class string `json:"class" enum:"push,handle,send,unknown" doc:"push: it did not reach the receiver; handle: the receiver's logic failed."`
	N     int64  `json:"n"`
}

// PulseSpan returns the begin and the end of a history. A missing end is now, a missing begin an hour before the end.
func PulseSpan(from, to Moment, now time.Time) (begin, end time.Time) {
	begin, end = from.Time, to.Time
	if end.IsZero() || end.After(now) {
		end = now
	}
	if begin.IsZero() {
		begin = end.Add(-time.Hour)
	}
	return begin, end
}

// mostPoints bounds one history.
const mostPoints = 2000

// Pulse reads a history of one subscriber, or of all if the name is empty. A step of zero is chosen so that there are
// at most 180 points.
func (s *Service) Pulse(ctx context.Context, subscription string, from, to time.Time, step time.Duration) (Pulse, error) {
	if err := storable("subscription", subscription); err != nil {
		return Pulse{}, err
	}
	oldest := time.Now().Add(-sql.PulseKept).Truncate(time.Minute)
	if from.Before(oldest) {
		from = oldest
	}
	if !from.Before(to) {
		return Pulse{}, invalid("from", "it is not before to")
	}
	if step == 0 {
		step = max(time.Minute, (to.Sub(from)/180 + time.Minute - 1).Truncate(time.Minute))
	}
	if step%time.Minute != 0 || step < 0 {
		return Pulse{}, invalid("step", "a multiple of 60 seconds is needed")
	}
	if to.Sub(from)/step > mostPoints {
		return Pulse{}, invalid("step", "it gives more than %d points: take a longer step", mostPoints)
	}
	from = bin(from, step)
	rows, err := s.store.Pulse(ctx, sql.PulseQuery{Subscription: subscription, From: from, To: to, Step: step})
	if err != nil {
		return Pulse{}, err
	}
	p := Pulse{From: from.UTC(), To: to.UTC(), Step: int(step / time.Second), Points: []PulsePoint{}, AsOf: time.Now().UTC()}
	for at := from; at.Before(to); at = at.Add(step) {
		point := PulsePoint{At: at.UTC(), Causes: []CauseCount{}}
		if len(rows) > 0 && rows[0].At.Equal(at) {
			point, rows = newPulsePoint(rows[0]), rows[1:]
		}
		p.Points = append(p.Points, point)
	}
	return p, nil
}

// bin is the begin of the step in which a time lies, as the store has it.
func bin(at time.Time, step time.Duration) time.Time {
	origin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return origin.Add(at.Sub(origin) / step * step)
}

func newPulsePoint(p sql.PulsePoint) PulsePoint {
	point := PulsePoint{
		At: p.At.UTC(), Received: p.Received, Accepted: p.Accepted, Handled: p.Handled, PushFailed: p.PushFailed, HandleFailed: p.HandleFailed, Dead: p.Dead,
		Causes:  causeCounts(p.Causes),
		WaitP50: quantile(p.Wait, 0.5), WaitP99: quantile(p.Wait, 0.99), TotalP50: quantile(p.Total, 0.5), TotalP99: quantile(p.Total, 0.99),
	}
	if p.Outstanding != nil {
		n := counted(*p.Outstanding)
		point.Outstanding = &n
	}
	return point
}

// causeCounts lists causes, the most frequent first.
func causeCounts(causes sql.Causes) []CauseCount {
	list := []CauseCount{}
	for cause, n := range causes {
		list = append(list, CauseCount{string(cause), cmp.Or(string(cause.Side()), "unknown"), n})
	}
	slices.SortFunc(list, func(a, b CauseCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Cause, b.Cause)) })
	return list
}

// quantile is one of latencies in milliseconds; nil: there are none.
func quantile(l sql.Latencies, share float64) *float64 {
	for _, n := range l {
		if n > 0 {
			ms := milliseconds(l.Quantile(share))
			return &ms
		}
	}
	return nil
}

// series is what was counted for some names over time, the oldest first.
type series map[string][]sql.SeriesPoint

func newSeries(points []sql.SeriesPoint) series {
	all := series{}
	for _, p := range points {
		all[p.Name] = append(all[p.Name], p)
	}
	return all
}

// values fills n steps up to now of one name, of all names if the name is empty.
func (s series) values(name string, now time.Time, step time.Duration, n int, value func(sql.SeriesPoint) int64) []int64 {
	out := make([]int64, n)
	last := bin(now, step)
	for one, points := range s {
		for _, p := range points {
			if i := n - 1 - int(last.Sub(p.At)/step); (name == "" || one == name) && i >= 0 && i < n {
				out[i] += value(p)
			}
		}
	}
	return out
}

func went(p sql.SeriesPoint) int64     { return p.Went }
func failures(p sql.SeriesPoint) int64 { return p.Failures }
