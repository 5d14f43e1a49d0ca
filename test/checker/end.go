package checker

import (
	"fmt"
	"slices"
	"time"
)

// judgeEnds states what was sent after its delivery had been cancelled, and what was sent again
// after it had ended although no retry and no replay asked for that.
func (v *Verdict) judgeEnds(f *fanout) {
	for at, steps := range f.steps {
		if at.subscription == "" {
			continue
		}
		wanted := f.Retried[at.message] || f.Heads[at.message] || f.replayed[at]
		for i, s := range steps {
			if i > 0 && steps[i-1].reopenedBy(s) && !wanted {
				v.Phantom = append(v.Phantom, fmt.Sprintf("%s for %s was %s and is %s at %s without a retry or a replay",
					at.message, at.subscription, steps[i-1].Status, s.Status, clock(s.At)))
			}
			if s.Status != "cancelled" {
				continue
			}
			for _, r := range f.requests[at] {
				if f.late(s.At, r.At) && !f.reopened(at, s.At, r.At) {
					v.Late = append(v.Late, fmt.Sprintf("%s came to %s at %s, cancelled there at %s", at.message, at.subscription, clock(r.At), clock(s.At)))
				}
			}
		}
	}
	slices.Sort(v.Late)
}

// reopened reports whether the table shows between two times that a delivery is to be sent
// again which had ended.
func (f *fanout) reopened(at leg, from, to time.Time) bool {
	steps := f.steps[at]
	for i := 1; i < len(steps); i++ {
		if steps[i-1].reopenedBy(steps[i]) && !steps[i].At.Before(from) && !steps[i].At.After(to.Add(Effect)) {
			return true
		}
	}
	return false
}

// reopenedBy reports whether a delivery had ended and the next step shows it sent again. One
// that is routed anew may be handled before the table shows it as anything else.
func (s Step) reopenedBy(next Step) bool {
	return s.ended() && !next.ended() || !s.accepted() && s.ended() && next.accepted()
}

// ended reports whether nothing more comes of a delivery by itself.
func (s Step) ended() bool {
	return s.accepted() || s.Status == "dead" || s.Status == "cancelled"
}

func (s Step) accepted() bool { return s.Status == "delivered" || s.Status == "handled" }
