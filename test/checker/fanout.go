package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Change is a state that a subscription was given. Between the two times it holds the new
// state or the one before.
type Change struct {
	Subscription string // or one of its instances
	Of           string // the subscription, if that is an instance
	Issued, Done time.Time
	Topics       []string // AMQP patterns; none: it was deleted
	Paused       bool
	Unordered    bool
	Blocks       bool // a dead message holds its key
	// AckTimeout is how long the relay waits for an acknowledgement; zero: it wants none.
	AckTimeout time.Duration
}

// Step is a state that a message or one of its deliveries came to in the table.
type Step struct {
	Message      string
	Subscription string // empty: the message itself
	Status       string
	At           time.Time // before the commit that shows it
	Error        string    // or the reason why it waits
}

// Cancel is a message that a person cancelled; Done is when that had committed.
type Cancel struct {
	Message string
	Done    time.Time
}

// Replay is a message that a job sent to a subscription, for the first time or again.
type Replay struct{ Message, Subscription string }

// Direct is the subscriber of messages that name a target of their own.
const Direct = "direct"

// Effect is how long a change, a pause or a cancel may take to have its effect.
const Effect = 2 * time.Second

// leg is one message at one subscriber.
type leg struct{ message, subscription string }

// fanout is the evidence of a run with subscriptions, arranged by leg.
type fanout struct {
	Evidence
	changes  map[string][]Change // by subscription; the first one is that there is none
	receipts map[leg][]Receipt   // in order of time, as what follows
	requests map[leg][]Receipt
	steps    map[leg][]Step
	words    map[leg][]Word
	replayed map[leg]bool
	messages map[string]Message
	taken    map[string]time.Time // when the table first had a delivery of a message
}

func newFanout(e Evidence) *fanout {
	f := &fanout{Evidence: e, changes: make(map[string][]Change), receipts: byLeg(e.Received), requests: byLeg(e.Requests),
		steps: make(map[leg][]Step), words: make(map[leg][]Word), replayed: make(map[leg]bool), messages: make(map[string]Message), taken: make(map[string]time.Time)}
	for _, m := range e.Sent {
		f.messages[m.ID] = m
	}
	for _, r := range e.Replays {
		f.replayed[leg{r.Message, r.Subscription}] = true
	}
	for _, w := range e.Words {
		at := leg{w.Message, w.Subscription}
		f.words[at] = append(f.words[at], w)
	}
	for _, c := range e.Changes {
		if f.changes[c.Subscription] == nil {
			f.changes[c.Subscription] = []Change{{Subscription: c.Subscription, Of: c.Of}}
		}
		f.changes[c.Subscription] = append(f.changes[c.Subscription], c)
	}
	for _, s := range e.Steps {
		at := leg{s.Message, s.Subscription}
		f.steps[at] = append(f.steps[at], s)
		if first, known := f.taken[s.Message]; s.Subscription != "" && (!known || s.At.Before(first)) {
			f.taken[s.Message] = s.At
		}
	}
	return f
}

func byLeg(all []Receipt) map[leg][]Receipt {
	out := make(map[leg][]Receipt)
	for _, r := range all {
		at := leg{r.ID, r.Receiver}
		out[at] = append(out[at], r)
	}
	for _, some := range out {
		slices.SortFunc(some, func(a, b Receipt) int { return a.At.Compare(b.At) })
	}
	return out
}

// subscribers are all names that ever were, in order.
func (f *fanout) subscribers() []string {
	names := []string{Direct}
	for name := range f.changes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// states are those in which a subscription may have been at some moment between two times;
// a zero end is the end of the run.
func (f *fanout) states(name string, from, to time.Time) (all []Change) {
	changes := f.changes[name]
	for i, c := range changes {
		begun := to.IsZero() || !c.Issued.After(to)
		if begun && (i == len(changes)-1 || !changes[i+1].Done.Before(from)) {
			all = append(all, c)
		}
	}
	return all
}

// takes reports whether a subscription in this state is to have a message.
func (c Change) takes(m Message) bool {
	switch {
	case len(c.Topics) == 0:
		return false
	case m.Destination != "":
		return m.Destination == cmp.Or(c.Of, c.Subscription)
	}
	return slices.ContainsFunc(c.Topics, func(pattern string) bool {
		return Matches(strings.Split(pattern, "."), strings.Split(m.Topic, "."))
	})
}

// must reports whether a subscriber has to have a message: it took such ones from before the
// INSERT until the message was taken up.
func (f *fanout) must(m Message, name string) bool {
	if name == Direct || m.Destination == Direct {
		return m.Destination == name
	}
	return !slices.ContainsFunc(f.states(name, m.Begun, f.taken[m.ID]), func(c Change) bool { return !c.takes(m) })
}

// may reports whether a subscriber may have a message: it took such ones at some time from shortly
// before the INSERT until the message was taken up. A message that a person has retried may have
// been routed anew, and a replayed message is for every subscriber that takes such messages.
func (f *fanout) may(m Message, name string) bool {
	if name == Direct || m.Destination == Direct {
		return m.Destination == name
	}
	until := f.taken[m.ID]
	if f.Retried[m.ID] || f.replayed[leg{m.ID, name}] {
		until = time.Time{}
	}
	return slices.ContainsFunc(f.states(name, m.Begun.Add(-Effect), until), func(c Change) bool { return c.takes(m) })
}

// Matches reports whether the words of a topic match those of a pattern: * is one word, #
// any number of them.
func Matches(pattern, topic []string) bool {
	switch {
	case len(pattern) == 0:
		return len(topic) == 0
	case pattern[0] == "#":
		return Matches(pattern[1:], topic) || len(topic) > 0 && Matches(pattern, topic[1:])
	case len(topic) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == topic[0]) && Matches(pattern[1:], topic[1:])
}

// judgeFanout judges a run by what each subscriber had.
func (v *Verdict) judgeFanout(e Evidence) {
	f := newFanout(e)
	for _, m := range e.Sent {
		row, inTable := e.Rows[m.ID]
		gone := m.Outcome == RolledBack || m.Outcome == Unknown && !inTable
		if gone {
			v.count(m)
		} else {
			v.Committed++
		}
		for _, name := range f.subscribers() {
			at := leg{m.ID, name}
			switch {
			case gone:
				v.phantoms(m, f.requests[at])
			default:
				v.judgeLeg(f, m, at, row)
			}
			v.judgeTimes(f, m, at)
		}
	}
	v.judgeOrder(f)
	v.judgePauses(f)
	v.judgeWords(f)
	v.judgeEnds(f)
}

func (v *Verdict) phantoms(m Message, requests []Receipt) {
	for _, r := range requests {
		v.Phantom = append(v.Phantom, fmt.Sprintf("%s (%s) was received by %s", m.ID, m.Outcome, r.Receiver))
	}
}

// judgeLeg states whether one subscriber lacks a committed message or should not have it.
func (v *Verdict) judgeLeg(f *fanout, m Message, at leg, row Row) {
	receipts, last := f.receipts[at], Step{}
	if steps := f.steps[at]; len(steps) > 0 {
		last = steps[len(steps)-1]
	}
	unrouted := row.Status == "rejected" && m.Destination == "" && f.states(at.subscription, m.Ended, time.Time{}) != nil &&
		f.last(at.subscription).takes(m)
	switch {
	case len(receipts) > 0 && !f.may(m, at.subscription):
		v.Phantom = append(v.Phantom, fmt.Sprintf("%s was received by %s, which did not subscribe to %s", m.ID, at.subscription, m.Topic))
	case len(receipts) > 0:
	case last.Status == "dead", last.Status == "cancelled", row.Status == "cancelled":
		if last.Status != "" || f.must(m, at.subscription) {
			v.Given = append(v.Given, fmt.Sprintf("%s for %s", m.ID, at.subscription))
		}
	case last.Status != "", unrouted, f.must(m, at.subscription):
		v.Lost = append(v.Lost, fmt.Sprintf("%s (%s, inserted at %s) for %s: the message is %q, its delivery %q",
			m.ID, m.Outcome, clock(m.Begun), at.subscription, row.Status, last.Status))
	}
	v.judgeDuplicates(receipts, f.Interruptions, last.At, func(before, after Receipt) string { return f.asksAgain(at, before, after) })
}

// last is the state in which a subscription ended.
func (f *fanout) last(name string) Change {
	if changes := f.changes[name]; len(changes) > 0 {
		return changes[len(changes)-1]
	}
	return Change{}
}

// judgeTimes states whether a message came before its time, or after it was cancelled.
func (v *Verdict) judgeTimes(f *fanout, m Message, at leg) {
	for _, r := range f.requests[at] {
		if r.At.Before(m.Due) {
			v.Early = append(v.Early, fmt.Sprintf("%s came to %s at %s, %s before it was due", m.ID, at.subscription, clock(r.At), m.Due.Sub(r.At)))
		}
		for _, c := range f.Cancels {
			if c.Message == m.ID && f.late(c.Done, r.At) {
				v.Late = append(v.Late, fmt.Sprintf("%s came to %s at %s, cancelled at %s", m.ID, at.subscription, clock(r.At), clock(c.Done)))
			}
		}
	}
}

// late reports whether a request came when what forbids it should have had its effect. One
// that a frozen relay had ready is excused.
func (f *fanout) late(forbidden, at time.Time) bool {
	return at.After(forbidden.Add(Effect)) && explain(f.Interruptions, forbidden, at) == ""
}

// judgePauses states which requests came to a subscription that was paused.
func (v *Verdict) judgePauses(f *fanout) {
	for _, r := range f.Requests {
		changes := f.changes[r.Receiver]
		for i, c := range changes {
			over := i+1 < len(changes) && !r.At.Before(changes[i+1].Issued)
			if c.Paused && !over && f.late(c.Done, r.At) {
				v.Late = append(v.Late, fmt.Sprintf("%s came to %s at %s, paused at %s", r.ID, r.Receiver, clock(r.At), clock(c.Done)))
			}
		}
	}
}
