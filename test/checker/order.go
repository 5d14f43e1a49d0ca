package checker

import (
	"fmt"
	"slices"
	"time"
)

// line is one key at one subscriber: what comes in order.
type line struct{ subscription, key string }

// first is one message of a line, and when it was first asked for.
type first struct {
	Message
	at time.Time
}

// judgeOrder states which messages came before another that precedes them: one with the
// same key whose transaction had committed before the INSERT of theirs was issued.
func (v *Verdict) judgeOrder(f *fanout) {
	lines := make(map[line][]first)
	for _, m := range f.Sent {
		for name := range f.changes {
			at := leg{m.ID, name}
			if m.Key == "" || f.Retried[m.ID] || f.replayed[at] || f.last(name).Unordered || len(f.requests[at]) == 0 && len(f.steps[at]) == 0 {
				continue
			}
			one := first{Message: m}
			if requests := f.requests[at]; len(requests) > 0 {
				one.at = requests[0].At
			}
			lines[line{name, m.Key}] = append(lines[line{name, m.Key}], one)
		}
	}
	for l, messages := range lines {
		for _, b := range messages {
			for _, a := range messages {
				if !b.at.IsZero() && precedes(a.Message, b.Message) && !f.letGo(a.Message, l.subscription, b.at) && !f.elsewhere(a.Message, l.subscription, b.at) {
					v.Order = append(v.Order, fmt.Sprintf("%s of key %s came to %s at %s before %s, inserted at %s%s after %s",
						b.ID, l.key, l.subscription, clock(b.at), f.came(a, l.subscription), clock(b.Begun), due(b.Message), clock(a.Ended)))
				}
			}
		}
	}
	slices.Sort(v.Order)
}

// precedes reports whether a goes before b: it had committed before b was inserted, and was
// due by then, or no later than b. Until it is due a delayed message holds nothing up.
func precedes(a, b Message) bool {
	return a.Outcome == Committed && a.Ended.Before(b.Begun) && (a.Due.Before(b.Begun) || !a.Due.After(b.Due))
}

// elsewhere reports whether a message may not have been for a subscriber before a time: its
// subscribers are fixed when it is taken up, and a crash before that routes it anew.
func (f *fanout) elsewhere(m Message, name string, until time.Time) bool {
	if taken, is := f.taken[m.ID]; is && taken.Before(until) {
		until = taken
	}
	return slices.ContainsFunc(f.states(name, m.Begun, until), func(c Change) bool { return !c.takes(m) })
}

// letGo reports whether a message lets those behind it go by a time: it was accepted, or
// it had ended in a way that holds no key.
func (f *fanout) letGo(m Message, name string, by time.Time) bool {
	at := leg{m.ID, name}
	if receipts := f.receipts[at]; len(receipts) > 0 && !receipts[0].At.After(by) {
		return true
	}
	if ends := f.steps[leg{m.ID, ""}]; len(ends) > 0 && ends[0].Status == "rejected" {
		return true // it found its way later, outside of the order
	}
	here := before(f.steps[at], by)
	if len(here) > 0 {
		return slices.ContainsFunc(here, func(s Step) bool {
			return s.Status == "cancelled" || s.Status == "dead" && !f.last(name).Blocks
		})
	}
	return len(before(f.steps[leg{m.ID, ""}], by)) > 0
}

// before are the steps that had come by a time.
func before(steps []Step, by time.Time) (some []Step) {
	for _, s := range steps {
		if !s.At.After(by) {
			some = append(some, s)
		}
	}
	return some
}

// due says for when a delayed message is.
func due(m Message) string {
	if m.Due.IsZero() {
		return ""
	}
	return " for " + clock(m.Due)
}

// came says when a message of a line was accepted.
func (f *fanout) came(m first, name string) string {
	receipts := f.receipts[leg{m.ID, name}]
	if len(receipts) == 0 {
		return m.ID + due(m.Message) + " (never accepted)"
	}
	return fmt.Sprintf("%s%s (accepted at %s)", m.ID, due(m.Message), clock(receipts[0].At))
}
