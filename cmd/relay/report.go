package main

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"relay/sql"
)

const (
	// reportEvery is how often it is looked whether what people are told is still true.
	reportEvery = 500 * time.Millisecond
	// reportAgain is how often they are told the same again, so that a relay that died is not believed for long.
	reportAgain = sql.ReportStands / 3
)

// tell keeps this relay's report in relay.instance up to date until ctx ends. People read it there: the shell in which
// a command is called knows nothing of the relay.
func (s *service) tell(ctx context.Context) error {
	var told sql.Report
	var at time.Time
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		report := s.report()
		if time.Since(at) > reportAgain || differs(report, told) {
			limited, cancel := context.WithTimeout(ctx, reportAgain)
			// The engine meets the causes of a failure here too, and reports them.
			if done, err := s.store.Tell(limited, s.id, report); err == nil && done {
				told, at = report, time.Now()
			}
			cancel()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// differs reports whether two reports differ in more than numbers that change all the time.
func differs(a, b sql.Report) bool {
	a.InFlight, b.InFlight, a.HeldBack, b.HeldBack = 0, 0, nil, nil
	return !reflect.DeepEqual(a, b)
}

// report is how this relay stands.
func (s *service) report() sql.Report {
	status := s.engine.Status()
	r := sql.Report{Settings: s.settings, Unknown: s.unknown, InFlight: status.InFlight, Trouble: status.Trouble, HeldBack: s.heldBack()}
	if s.doorbell != nil {
		state := s.doorbell.State()
		r.Doorbell = &sql.DoorbellReport{Heard: state.Streaming, Stream: s.shared != nil && s.engine.HoldsSlot()}
		if !state.Streaming {
			r.Doorbell.Why, r.Doorbell.Mend = state.Flaw.Why, state.Flaw.Mend
		}
	}
	for _, l := range s.links {
		if l.report != nil {
			l.report(&r)
		}
	}
	r.Quarantined = status.Quarantined
	open := s.dispatcher.OpenCircuits()
	r.OpenCircuits = len(open)
	for _, c := range open[:min(len(open), sql.ReportMost)] {
		r.Circuits = append(r.Circuits, sql.CircuitReport(c))
	}
	r.HeldBack = r.HeldBack[:min(len(r.HeldBack), sql.ReportMost)]
	return r
}

// heldBack says what waits although its destination is not down.
func (s *service) heldBack() []string {
	held := s.dispatcher.Withheld()
	if n := s.engine.Status().FannedOut; n > 0 {
		held = append(held, fmt.Sprintf("%d messages with many deliveries wait until those before them are written", n))
	}
	return held
}

// shownSettings returns the variables that are set, and the defaults of the others, as people may see them.
func shownSettings(env map[string]string, config Config) map[string]string {
	source := newSource(env)
	shown := make(map[string]string)
	for _, v := range variables() {
		if value, ok := source.Lookup(v.Name); ok {
			shown[v.Name] = v.shown(value)
		} else if v.Default != "" {
			shown[v.Name] = v.Default
		}
	}
	shown["RELAY_SOURCE"] = config.Source
	return shown
}

// unknownNames returns the RELAY_ variables that nothing knows, with the name that may be meant.
func unknownNames(env map[string]string) map[string]string {
	names := make(map[string]string)
	for _, u := range unknownVariables(env) {
		names[u.Name] = u.Nearest
	}
	return names
}
