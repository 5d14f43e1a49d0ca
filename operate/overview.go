package operate

import (
	"context"
	"slices"
	"time"

	"relay/sql"
)

// Overview is how the whole system stands.
type Overview struct {
	FirstRun    bool                 `json:"first_run"` // there was never a message
	Needs       []Need               `json:"needs"`     // the worst first
	Traffic     Traffic              `json:"traffic"`
	Messages    Messages             `json:"messages"`
	Subscribers []SubscriberStanding `json:"subscribers"` // those in trouble first
	Relays      []RelayStatus        `json:"relays"`
	RunningJobs int                  `json:"running_jobs"`
	AsOf        time.Time            `json:"as_of"`
	CountedAt   time.Time            `json:"counted_at"` // several requests share one count
	Skew        time.Duration        `json:"-"`          // the database's clock minus this machine's
	// Standings are what Subscribers were made of.
	Standings Standings `json:"-"`
}

// SubscriberStanding is what stands at one subscriber.
type SubscriberStanding struct {
	Name string `json:"name"`
	Standing
}

// Traffic is what goes through.
type Traffic struct {
	ReceivedPerSecond float64  `json:"received_per_second" doc:"Over the last 5 minutes, here and below."`
	AcceptedPerSecond float64  `json:"accepted_per_second"`
	FailedPerSecond   float64  `json:"failed_per_second"`
	P50MS             *float64 `json:"p50_ms,omitempty" doc:"From due to accepted."`
	P99MS             *float64 `json:"p99_ms,omitempty"`
	ReceivedSpark     []int64  `json:"received_spark" doc:"Per minute over the last hour, the oldest first; 60 values."`
	AcceptedSpark     []int64  `json:"accepted_spark" doc:"The same of deliveries."`
	InFlight          int      `json:"in_flight" doc:"Messages in this relay's memory."`
	InFlightBytes     int64    `json:"in_flight_bytes"`
}

// Messages counts messages by status.
type Messages struct {
	Pending   Count      `json:"pending" doc:"Not taken up, and due."`
	Delayed   Count      `json:"delayed" doc:"Not taken up, for later."`
	Open      Count      `json:"open" doc:"In progress."`
	Dead      Count      `json:"dead"`
	Rejected  Count      `json:"rejected"`
	Done      Count      `json:"done"`
	Cancelled *Count     `json:"cancelled,omitempty" doc:"Absent in a table too large to be counted."`
	Oldest    *time.Time `json:"oldest,omitempty" doc:"Creation of the oldest message that is neither delayed nor ended."`
	NextDue   *time.Time `json:"next_due,omitempty" doc:"The first delayed message or retry."`
}

// Overview reads how the whole system stands. Nil: of live processes there is what the relays report. If answers are
// hidden, no text of a receiver is shown.
func (s *Service) Overview(ctx context.Context, live *Live, hidden bool) (o Overview, err error) {
	facts, standings, err := s.look(ctx, &live)
	if err != nil {
		return o, err
	}
	received, err := s.received(ctx)
	if err != nil {
		return o, err
	}
	now := time.Now()
	o = Overview{
		FirstRun: !facts.Any, Traffic: newTraffic(standings, received, *live), Messages: newMessages(standings, facts, now),
		Relays: relayStatuses(facts.Relays), RunningJobs: facts.RunningJobs, CountedAt: standings.At.UTC(), Skew: facts.At.Sub(now), Standings: standings,
	}
	if o.Subscribers, err = s.subscribers(ctx, standings); err != nil {
		return o, err
	}
	o.Needs, err = s.needs(ctx, standings, *live, Running(o.Relays), hidden)
	o.AsOf = time.Now().UTC()
	return o, err
}

// look reads what stands and which relays work on it. Where live is nil, it becomes what the relays report.
func (s *Service) look(ctx context.Context, live **Live) (facts sql.Overview, standings Standings, err error) {
	if facts, err = s.store.Overview(ctx); err != nil {
		return facts, standings, err
	}
	if *live == nil {
		told := reported(facts.Relays)
		*live = &told
	}
	standings, err = s.Standings(ctx, (*live).Circuits)
	return facts, standings, err
}

// subscribers lists what stands at each subscription, and at direct and default if anything stands or went there
// lately.
func (s *Service) subscribers(ctx context.Context, st Standings) ([]SubscriberStanding, error) {
	settings, err := s.store.ListSettings(ctx, "")
	if err != nil {
		return nil, err
	}
	names := st.Names()
	for _, f := range settings {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	list := []SubscriberStanding{}
	for _, name := range slices.Compact(names) {
		list = append(list, SubscriberStanding{name, st.Of(name)})
	}
	slices.SortStableFunc(list, func(a, b SubscriberStanding) int { return ByTrouble(a.Standing, b.Standing) })
	return list, nil
}

func newTraffic(st Standings, received []int64, live Live) Traffic {
	p50, p99 := st.Wait()
	return Traffic{
		ReceivedPerSecond: lately(received), AcceptedPerSecond: lately(st.Spark()), FailedPerSecond: lately(st.FailedSpark()),
		P50MS: p50, P99MS: p99, ReceivedSpark: received, AcceptedSpark: st.Spark(), InFlight: live.InFlight, InFlightBytes: live.InFlightBytes,
	}
}

func newMessages(st Standings, facts sql.Overview, now time.Time) Messages {
	cancelled := counted(st.Cancelled)
	m := Messages{
		Pending: counted(st.Pending), Delayed: counted(st.Delayed), Open: counted(st.Open), Dead: counted(st.Dead), Rejected: counted(st.Rejected),
		Done: counted(st.Done), Cancelled: &cancelled, Oldest: utc(st.OldestPending),
	}
	if !st.Done.Exact {
		m.Done.Precision = About
	}
	if m.Oldest == nil || st.OldestOpen != nil && st.OldestOpen.Before(*m.Oldest) {
		m.Oldest = utc(st.OldestOpen)
	}
	if facts.NextDue != nil {
		due := now.Add(*facts.NextDue).Truncate(time.Second).UTC()
		m.NextDue = &due
	}
	return m
}
