package checker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// History tells all that is known of one message, in order of time.
func History(e Evidence, id string) string {
	type event struct {
		at   time.Time
		what string
	}
	var all []event
	note := func(at time.Time, format string, arguments ...any) {
		all = append(all, event{at, fmt.Sprintf(format, arguments...)})
	}
	for _, m := range e.Sent {
		if m.ID == id {
			note(m.Begun, "inserted (%s), key %q, topic %s, destination %q%s", m.Outcome, m.Key, m.Topic, m.Destination, due(m))
			note(m.Ended, "its transaction has ended")
		}
	}
	for _, s := range e.Steps {
		if s.Message == id {
			note(s.At, "%s is %s %s", s.Subscription, s.Status, s.Error)
		}
	}
	for _, r := range e.Requests {
		if r.ID == id {
			what := "refused"
			if slices.Contains(e.Received, r) {
				what = "accepted"
			}
			note(r.At, "attempt %d came to %s and was %s", r.Attempt, r.Receiver, what)
		}
	}
	for _, w := range e.Words {
		if w.Message == id {
			note(w.Issued, "%s", w)
		}
	}
	for _, c := range e.Cancels {
		if c.Message == id {
			note(c.Done, "cancelled by a person")
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	lines := []string{id}
	for _, one := range all {
		lines = append(lines, clock(one.at)+" "+strings.TrimSpace(one.what))
	}
	return strings.Join(lines, "\n\t")
}
