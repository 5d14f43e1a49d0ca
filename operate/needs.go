package operate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// Need is something that needs a person.
type Need struct {
	Kind         string     `json:"kind" enum:"no_relay,not_well,dead,rejected,keys_blocked,circuit_open" doc:"What it is."`
	Severity     string     `json:"severity" enum:"critical,warning"`
	Count        *Count     `json:"count,omitempty"`
	Since        *time.Time `json:"since,omitempty"`
	Subscription string     `json:"subscription,omitempty"`
	Cause        string     `json:"cause,omitempty"`
	Topic        string     `json:"topic,omitempty"`
	Target       string     `json:"target,omitempty" doc:"Without what may be secret."`
	Behind       *Count     `json:"behind,omitempty" doc:"Of blocked keys: the messages behind them."`
	Text         string     `json:"text" doc:"A sentence in English."`
	Fix          string     `json:"fix,omitempty" doc:"The command that mends it."`
	// Condition is the part that is not well; nil unless Kind is not_well.
	Condition *Condition `json:"condition,omitempty" doc:"Of not_well: the part that is not well."`
}

// mostNeeds is how many lines are shown of what needs a person.
const mostNeeds = 5

// needs lists what needs a person, the worst first.
func (s *Service) needs(ctx context.Context, st Standings, live Live, relays int, hidden bool) ([]Need, error) {
	list := []Need{}
	if relays == 0 {
		list = append(list, Need{Kind: "no_relay", Severity: "critical", Text: "No relay runs: nothing is delivered.", Fix: "relay run"})
	}
	for _, c := range live.Conditions {
		if !c.Well && c.Name != "circuits" && c.Name != "memory" {
			list = append(list, Need{Kind: "not_well", Severity: severity(c.Decides), Target: c.Name, Text: c.Name + ": " + c.Text, Fix: c.Fix, Condition: &c})
		}
	}
	for _, c := range live.Circuits {
		list = append(list, Need{
			Kind: "circuit_open", Severity: "warning", Subscription: c.Name, Since: c.since(),
			Text: fmt.Sprintf("The circuit of %s is open: a retry that is due probes it, until it answers.", c.Name),
		})
	}
	for _, c := range live.Targets {
		list = append(list, Need{
			Kind: "circuit_open", Severity: "warning", Target: c.Name, Since: c.since(),
			Text: fmt.Sprintf("The circuit of %s is open: a retry that is due probes it, until it answers.", c.Name),
		})
	}
	for name, n := range st.Blocked {
		blocked := counted(sql.Count{N: n, Exact: st.BlockedExact})
		behind := counted(sql.Count{N: st.Behind[name], Exact: st.BlockedExact})
		list = append(list, Need{
			Kind: "keys_blocked", Severity: "critical", Subscription: name, Count: &blocked, Behind: &behind,
			Text: fmt.Sprintf("%d keys are blocked at %s, %d messages wait behind them.", n, name, st.Behind[name]), Fix: "relay keys list --subscription " + name,
		})
	}
	groups, err := s.failed(ctx, hidden)
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
func (s *Service) failed(ctx context.Context, hidden bool) (list []Need, err error) {
	for _, state := range []string{"dead", "rejected"} {
		groups, err := s.Failures(ctx, state, "", "")
		if err != nil {
			return list, err
		}
		for _, g := range groups[:min(len(groups), mostNeeds)] {
			n := g.Count
			need := Need{Kind: state, Severity: "warning", Count: &n, Since: g.FirstAt, Subscription: g.Subscription, Cause: g.Cause}
			why := cmp.Or(g.Cause, "unknown cause")
			need.Text = fmt.Sprintf("%d are dead at %s: %s.", n.N, g.Subscription, why)
			if state == "rejected" {
				if need, err = s.rejected(ctx, need, g, hidden); err != nil {
					return list, err
				}
			}
			list = append(list, need)
		}
	}
	return list, nil
}

// unroutedLooked is how many of the newest messages without a route are looked at for the topic that they share.
const unroutedLooked = 100

// rejected says why messages were rejected: for want of a route they have the topic that needs a subscription, if the
// newest of them share one.
func (s *Service) rejected(ctx context.Context, need Need, g FailureGroup, hidden bool) (Need, error) {
	why := cmp.Or(g.Cause, "unknown cause")
	if !hidden {
		why = cmp.Or(g.Error, why)
	}
	if g.Cause == string(relay.CauseNoRoute) {
		f := sql.MessageFilter{Status: sql.Statuses{relay.MessageRejected}, Causes: []relay.Cause{relay.CauseNoRoute}}
		page, err := s.store.FindMessages(ctx, f, "", unroutedLooked)
		if err != nil {
			return need, err
		}
		if need.Topic = sharedTopic(page.Messages); need.Topic != "" {
			why = "no subscription matches " + need.Topic
		}
	}
	need.Text = fmt.Sprintf("%d were rejected: %s.", need.Count.N, why)
	return need, nil
}

// sharedTopic is the topic that all messages have; empty: they have several, or there is none.
func sharedTopic(messages []sql.MessageSummary) string {
	topic := ""
	for _, m := range messages {
		if topic != "" && m.Topic != topic {
			return ""
		}
		topic = m.Topic
	}
	return topic
}

// ByTrouble orders what stands at subscribers: what is down before what blocks keys before what is dead before what
// waits.
func ByTrouble(a, b Standing) int { return cmp.Compare(trouble(b), trouble(a)) }

func trouble(s Standing) int64 {
	t := s.Dead.N*1_000 + s.BlockedKeys.N*100_000 + s.Outstanding.N
	if s.Circuit == "open" {
		t += 1_000_000_000
	}
	return t
}
