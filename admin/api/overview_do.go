package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"relay/operate"
	"relay/sql"
)

func (a *API) getOverview(ctx context.Context, _ *polledInput) (*Answer[Overview], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	live := a.live()
	standings, err := service.Standings(ctx, live.Circuits)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	facts, err := service.Facts(ctx)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	now := time.Now()
	all, err := subscriptions(ctx, service, standings)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	received, err := service.Received(ctx)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	o := Overview{
		FirstRun: !facts.Any, Traffic: newTraffic(standings, received, live), Messages: newMessages(standings, facts, now), Subscriptions: all,
		Transport: live.Conditions, Relays: []RunningRelay{}, RunningJobs: facts.RunningJobs, CountedAt: standings.At.UTC(),
		Database: Database{Name: a.Settings.Database, SkewMS: float64(facts.At.Sub(now).Milliseconds()), Reachable: true},
	}
	if o.Transport == nil {
		o.Transport = []Condition{}
	}
	for _, r := range facts.Relays {
		o.Relays = append(o.Relays, RunningRelay{
			Name: r.Name, Version: r.Version, Streaming: r.Streaming, Shards: r.Shards, Expired: r.Expired, SeenAt: facts.At.Add(-r.Seen).Truncate(time.Second).UTC(),
		})
	}
	if o.Needs, err = needs(ctx, service, standings, live, o.Relays, a.hides(callerOf(ctx).Identity)); err != nil {
		return nil, a.failed(ctx, err)
	}
	slices.SortStableFunc(o.Subscriptions, func(a, b Subscription) int { return cmp.Compare(trouble(b.Standing), trouble(a.Standing)) })
	o.AsOf, o.TookMS = time.Now().UTC(), took(began)
	return &Answer[Overview]{o}, nil
}

// trouble orders subscriptions: dead before blocked before down before what waits.
func trouble(s operate.Standing) int64 {
	t := s.Dead.N*1_000 + s.BlockedKeys.N*100_000 + s.Outstanding.N
	if s.Circuit == "open" {
		t += 1_000_000_000
	}
	return t
}

func newTraffic(st operate.Standings, received []int64, live Live) Traffic {
	p50, p99 := st.Wait()
	return Traffic{
		ReceivedPerSecond: operate.Lately(received), AcceptedPerSecond: operate.Lately(st.Spark()), FailedPerSecond: operate.Lately(st.FailedSpark()),
		P50MS: p50, P99MS: p99, ReceivedSpark: received, AcceptedSpark: st.Spark(), InFlight: live.InFlight, InFlightBytes: live.InFlightBytes,
	}
}

func newMessages(st operate.Standings, facts sql.Overview, now time.Time) Messages {
	cancelled := count(st.Cancelled)
	m := Messages{
		Pending: count(st.Pending), Delayed: count(st.Delayed), Open: count(st.Open), Dead: count(st.Dead), Rejected: count(st.Rejected),
		Done: count(st.Done), Cancelled: &cancelled, Oldest: st.OldestPending,
	}
	if !st.Done.Exact {
		m.Done.Precision = operate.About
	}
	if m.Oldest == nil || st.OldestOpen != nil && st.OldestOpen.Before(*m.Oldest) {
		m.Oldest = st.OldestOpen
	}
	if m.Oldest != nil {
		oldest := m.Oldest.UTC()
		m.Oldest = &oldest
	}
	if facts.NextDue != nil {
		due := now.Add(*facts.NextDue).Truncate(time.Second).UTC()
		m.NextDue = &due
	}
	return m
}

func count(c sql.Count) Count {
	if c.Exact {
		return Count{N: c.N, Precision: operate.Exact}
	}
	return Count{N: c.N, Precision: operate.AtLeast}
}

// mostNeeds is how many lines the overview shows of what needs a person.
const mostNeeds = 5

// needs lists what needs a person, the worst first.
func needs(ctx context.Context, service *operate.Service, st operate.Standings, live Live, relays []RunningRelay, hidden bool) ([]Need, error) {
	list := []Need{}
	if len(relays) == 0 {
		list = append(list, Need{Kind: "no_relay", Severity: "critical", Text: "No relay runs: nothing is delivered.", Fix: "relay run"})
	}
	for _, c := range live.Conditions {
		if !c.Well && c.Name != "circuits" && c.Name != "memory" {
			list = append(list, Need{Kind: "not_well", Severity: severity(c.Decides), Target: c.Name, Text: c.Name + ": " + c.Text, Fix: c.Fix})
		}
	}
	for _, name := range live.Circuits {
		list = append(list, Need{
			Kind: "circuit_open", Severity: "warning", Subscription: name, Text: fmt.Sprintf("The circuit of %s is open: it is probed until it answers.", name),
		})
	}
	for _, name := range live.Targets {
		list = append(list, Need{Kind: "circuit_open", Severity: "warning", Target: name, Text: fmt.Sprintf("The circuit of %s is open.", name)})
	}
	for name, n := range st.Blocked {
		blocked := count(sql.Count{N: n, Exact: st.BlockedExact})
		behind := count(sql.Count{N: st.Behind[name], Exact: st.BlockedExact})
		list = append(list, Need{
			Kind: "keys_blocked", Severity: "critical", Subscription: name, Count: &blocked, Behind: &behind,
			Text: fmt.Sprintf("%d keys are blocked at %s, %d messages wait behind them.", n, name, st.Behind[name]), Fix: "relay keys list --subscription " + name,
		})
	}
	groups, err := failed(ctx, service, hidden)
	list = append(list, groups...)
	slices.SortStableFunc(list, func(a, b Need) int { return cmp.Compare(a.Severity, b.Severity) })
	return list[:min(len(list), mostNeeds)], err
}

func severity(decides bool) string {
	if decides {
		return "critical"
	}
	return "warning"
}

// failed lists what is dead and what was rejected, the largest groups first.
func failed(ctx context.Context, service *operate.Service, hidden bool) (list []Need, err error) {
	for _, state := range []string{"dead", "rejected"} {
		groups, err := service.Failures(ctx, state, "", "")
		if err != nil {
			return list, err
		}
		for _, g := range groups[:min(len(groups), mostNeeds)] {
			n := g.Count
			need := Need{Kind: state, Severity: "warning", Count: &n, Since: g.FirstAt, Subscription: g.Subscription, Cause: g.Cause}
			need.Text = fmt.Sprintf("%d are dead at %s: %s.", n.N, g.Subscription, cmp.Or(g.Cause, "unknown cause"))
			if state == "rejected" {
				need.Text = fmt.Sprintf("%d were rejected: %s.", n.N, cmp.Or(g.Error, g.Cause, "unknown cause"))
				if hidden {
					need.Text = fmt.Sprintf("%d were rejected: %s.", n.N, cmp.Or(g.Cause, "unknown cause"))
				}
			}
			list = append(list, need)
		}
	}
	return list, nil
}
