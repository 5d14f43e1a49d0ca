package checker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Receipt is one acceptance of a message by a receiver.
type Receipt struct {
	Receiver string
	ID       string
	Attempt  int // as the relay numbers it
	At       time.Time
	// Unanswered says that the receiver let its answer get lost: a duplicate may follow.
	Unanswered bool
	// Handled says that the answer was one which needs no acknowledgement.
	Handled bool
}

// Row is what the table says of a message after the healing period.
type Row struct {
	Status string
	// Finished is when its last outcome was written; zero if it has not ended.
	Finished time.Time
}

// Interruption is a time in which outcomes may have become unknown: the death of a relay,
// or the failure of what is between it and the table or a receiver.
type Interruption struct {
	What     string
	From, To time.Time
	// Receiver is the only receiver whose messages the fault affects. Empty means that it affects all receivers.
	Receiver string
}

// befall returns those of the interruptions that a receiver's messages may have met.
func befall(receiver string, interruptions []Interruption) (out []Interruption) {
	for _, i := range interruptions {
		if i.Receiver == "" || i.Receiver == receiver {
			out = append(out, i)
		}
	}
	return out
}

// Evidence is all that a verdict is founded on.
type Evidence struct {
	Sent          []Message
	Received      []Receipt
	Rows          map[string]Row // by message id
	Interruptions []Interruption

	// What follows is known of runs with subscriptions, whose receivers have their names.
	// With Changes, each subscriber is judged by itself and Message.To means nothing.
	Requests []Receipt // all, accepted or not
	Changes  []Change  // of each subscription in order of time
	Steps    []Step    // of deliveries; of messages those by which they ended other than well
	Cancels  []Cancel
	Words    []Word          // of consumers that acknowledge
	Retried  map[string]bool // by a person: these messages stand outside the order
	Heads    map[string]bool // of keys that a person retried: these keep their place
	Replays  []Replay        // these stand outside the order where they were replayed to
}

// Verdict is what a run amounts to. Ids stand with the reason why they are named.
type Verdict struct {
	Committed, RolledBack, Received int
	// Vanished counts unknown transactions that turned out not to be in the table.
	Vanished int
	// Lost are the messages that were committed, reached no receiver and stand in the table without a reason.
	Lost []string
	// Given are the messages that were committed, reached no receiver and stand in the table with
	// a reason: dead, rejected or cancelled.
	Given []string
	// Phantom are the messages that were received and never committed, or that reached a receiver
	// to which they were not routed.
	Phantom []string
	// Duplicates are the acceptances beyond the first of each message at each subscriber.
	Duplicates int
	// Bound is the most duplicates that the interruptions allow: for each, the messages that
	// were received before its end and whose outcome was written after its beginning.
	Bound int
	// Explained counts duplicates by the interruption between their receipts, the last one if
	// there are several.
	Explained map[string]int
	// Unexplained are the duplicates between whose receipts lies no interruption.
	Unexplained []string
	// Order are the messages that came before an earlier one of their key, Early those that
	// came before they were due, Late those sent after a cancel, a pause or an acknowledgement.
	Order, Early, Late []string
	// Words are those of consumers that did not have the effect which they should have.
	Words []string
}

// Judge compares what was sent with what was received.
func Judge(e Evidence) Verdict {
	v := Verdict{Received: len(e.Received), Explained: make(map[string]int)}
	receipts := make(map[string][]Receipt, len(e.Sent))
	for _, r := range e.Received {
		receipts[r.ID] = append(receipts[r.ID], r)
	}
	known := make(map[string]bool, len(e.Sent))
	for _, m := range e.Sent {
		known[m.ID] = true
		if len(e.Changes) > 0 {
			continue
		}
		mine := receipts[m.ID]
		slices.SortFunc(mine, func(a, b Receipt) int { return a.At.Compare(b.At) })
		v.judgeMessage(m, mine, e)
		v.judgeDuplicates(mine, e.Interruptions, e.Rows[m.ID].Finished, nil)
	}
	if len(e.Changes) > 0 {
		v.judgeFanout(e)
	}
	for id := range receipts {
		if !known[id] {
			v.Phantom = append(v.Phantom, id+" was never sent")
		}
	}
	slices.Sort(v.Phantom)
	return v
}

func (v *Verdict) judgeMessage(m Message, receipts []Receipt, e Evidence) {
	row, inTable := e.Rows[m.ID]
	switch {
	case m.Outcome == RolledBack, m.Outcome == Unknown && !inTable:
		v.count(m)
		for _, r := range receipts {
			v.Phantom = append(v.Phantom, fmt.Sprintf("%s (%s) was received by %s", m.ID, m.Outcome, r.Receiver))
		}
		return
	}
	v.Committed++
	arrived := false
	for _, r := range receipts {
		arrived = arrived || r.Receiver == m.To
		if r.Receiver != m.To {
			v.Phantom = append(v.Phantom, fmt.Sprintf("%s was received by %s instead of %s", m.ID, r.Receiver, m.To))
		}
	}
	switch row.Status {
	case "dead", "rejected", "cancelled":
		if !arrived {
			v.Given = append(v.Given, m.ID+" is "+row.Status)
		}
		return
	}
	if !arrived {
		v.Lost = append(v.Lost, fmt.Sprintf("%s (%s) for %s is %s since %s", m.ID, m.Outcome, m.To, cmp.Or(row.Status, "not in the table"), clock(row.Finished)))
	}
}

func (v *Verdict) count(m Message) {
	if m.Outcome == RolledBack {
		v.RolledBack++
		return
	}
	v.Vanished++
}

// lostAnswer explains a duplicate of what its receiver accepted and did not answer.
const lostAnswer = "an answer that got lost"

// judgeDuplicates takes one message's receipts by one receiver, in order of time, and when
// its last outcome was written; zero: it has not ended. asked says why the receiver itself
// wanted it again; it may be nil.
func (v *Verdict) judgeDuplicates(receipts []Receipt, interruptions []Interruption, finished time.Time, asked func(before, after Receipt) string) {
	if len(receipts) == 0 {
		return
	}
	interruptions = befall(receipts[0].Receiver, interruptions)
	for _, i := range interruptions {
		if !receipts[0].At.After(i.To) && (finished.IsZero() || !finished.Before(i.From)) {
			v.Bound++
		}
	}
	for n := 1; n < len(receipts); n++ {
		v.Duplicates++
		before, after := receipts[n-1], receipts[n]
		why := explain(interruptions, before.At, after.At)
		if before.Unanswered {
			why = lostAnswer
			v.Bound++
		} else if asked != nil && asked(before, after) != "" {
			why = asked(before, after)
			v.Bound++
		}
		if why == "" {
			v.Unexplained = append(v.Unexplained, fmt.Sprintf("%s came to %s as attempt %d at %s and again as attempt %d at %s",
				after.ID, after.Receiver, before.Attempt, clock(before.At), after.Attempt, clock(after.At)))
			continue
		}
		v.Explained[why]++
	}
}

// explain names the last interruption between two receipts; empty: there was none.
func explain(interruptions []Interruption, before, after time.Time) (what string) {
	var begun time.Time
	for _, i := range interruptions {
		if !before.After(i.To) && !after.Before(i.From) && !i.From.Before(begun) {
			what, begun = i.What, i.From
		}
	}
	return what
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// String is the verdict in one line.
func (v Verdict) String() string {
	return fmt.Sprintf("committed %d, rolled back %d, vanished with a crash %d, received %d: lost %d, phantom %d, duplicates %d (bound %d, unexplained %d), out of order %d, early %d, late %d, words astray %d, given up %d",
		v.Committed, v.RolledBack, v.Vanished, v.Received, len(v.Lost), len(v.Phantom), v.Duplicates, v.Bound, len(v.Unexplained), len(v.Order), len(v.Early), len(v.Late), len(v.Words), len(v.Given))
}

// Err says what breaks the promise, a few ids of each kind; nil if nothing does. A run in
// which nothing was committed proves nothing and is an error too.
func (v Verdict) Err() error {
	var all []error
	for _, broken := range []struct {
		what string
		ids  []string
	}{{"lost", v.Lost}, {"phantom", v.Phantom}, {"unexplained duplicate", v.Unexplained},
		{"out of order", v.Order}, {"before it was due", v.Early}, {"after a cancel, a pause or an acknowledgement", v.Late}, {"acknowledgement", v.Words}} {
		if n := len(broken.ids); n > 0 {
			all = append(all, fmt.Errorf("%s: %d\n\t%s", broken.what, n, strings.Join(broken.ids[:min(n, 10)], "\n\t")))
		}
	}
	if v.Duplicates > v.Bound {
		all = append(all, fmt.Errorf("duplicates: %d, and the interruptions allow %d", v.Duplicates, v.Bound))
	}
	if v.Committed == 0 {
		all = append(all, errors.New("nothing was committed"))
	}
	return errors.Join(all...)
}
