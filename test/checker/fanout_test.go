package checker_test

import (
	"strings"
	"testing"

	"relay/test/checker"
)

// keyed is a committed message of key k, inserted for half a second from then.
func keyed(id string, seconds float64) checker.Message {
	return checker.Message{ID: id, Key: "k", Topic: "t.x", Outcome: checker.Committed, Begun: at(seconds), Ended: at(seconds + 0.5)}
}

func change(seconds float64, topics ...string) checker.Change {
	return checker.Change{Subscription: "s", Issued: at(seconds), Done: at(seconds + 0.1), Topics: topics}
}

func came(id string, seconds float64) checker.Receipt {
	return checker.Receipt{Receiver: "s", ID: id, At: at(seconds)}
}

func step(id, subscription, status string, seconds float64) checker.Step {
	return checker.Step{Message: id, Subscription: subscription, Status: status, At: at(seconds)}
}

// received is evidence in which every request was accepted.
func received(e checker.Evidence, all ...checker.Receipt) checker.Evidence {
	e.Requests = append(e.Requests, all...)
	e.Received = append(e.Received, all...)
	if e.Changes == nil {
		e.Changes = []checker.Change{change(0, "t.*")}
	}
	e.Rows = make(map[string]checker.Row)
	for _, m := range e.Sent {
		e.Rows[m.ID] = done(50)
	}
	return e
}

// Each made-up run is judged by the words of its error; none means that all is well.
func TestJudgeSubscribers(t *testing.T) {
	t.Parallel()
	delayed := keyed("a", 1)
	delayed.Due = at(5)
	dueBefore, dueAfter := keyed("b", 2), keyed("b", 2)
	dueBefore.Due, dueAfter.Due = at(4.5), at(5.5)
	undone := keyed("b", 1)
	undone.Outcome = checker.RolledBack
	direct := keyed("a", 1)
	direct.Destination = checker.Direct
	one, two := []checker.Message{keyed("a", 1)}, []checker.Message{keyed("a", 1), keyed("b", 2)}
	other := keyed("a", 1)
	other.Topic = "u"
	replayed := []checker.Replay{{Message: "a", Subscription: "s"}}
	again := []checker.Step{step("a", "s", "handled", 2.1), step("a", "s", "waiting", 3), step("a", "s", "handled", 4.1)}
	named := keyed("a", 1)
	named.Destination = "s"
	fleet := []checker.Change{change(0, "t.*"), change(0, "t.*")}
	fleet[0].Subscription, fleet[0].Of = "s/1", "s"
	fleet[1].Subscription, fleet[1].Of = "s/2", "s"
	paused := change(2, "t.*")
	paused.Paused = true
	blocks := change(0, "t.*")
	blocks.Blocks = true
	lost := came("a", 3)
	lost.Unanswered = true
	failed := []checker.Receipt{came("a", 2.6)}
	for name, c := range map[string]struct {
		e    checker.Evidence
		says string
	}{
		"all is well":                   {received(checker.Evidence{Sent: two}, came("a", 2), came("b", 3)), ""},
		"not received":                  {received(checker.Evidence{Sent: two}, came("a", 2)), "lost: 1\n\tb"},
		"handled and not received":      {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(9)}, Steps: []checker.Step{step("a", "s", "handled", 2)}}), "lost: 1"},
		"subscribed right before":       {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0.8, "t.x")}}), "lost: 1"},
		"subscribed during the insert":  {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0.95, "t.x")}}), ""},
		"deleted in the meantime":       {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0, "t.x"), change(3)}}), ""},
		"deleted after it was taken up": {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0, "t.x"), change(3)}, Steps: []checker.Step{step("a", "other", "handled", 2)}}), "lost: 1"},
		"dead":                          {received(checker.Evidence{Sent: one, Steps: []checker.Step{step("a", "s", "dead", 2)}}), ""},
		"deleted just before":           {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(-5, "t.x"), change(-0.5)}}, came("a", 2)), ""},
		"deleted long before":           {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(-5, "t.x"), change(-3)}}, came("a", 2)), "phantom: 1"},
		"other topics":                  {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0, "u.#")}}, came("a", 2)), "phantom: 1"},
		"subscribed after it was taken": {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(4, "t.x")}, Steps: []checker.Step{step("a", "other", "handled", 2)}}, came("a", 5)), "phantom: 1"},
		"retried, and routed anew":      {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(4, "t.x")}, Steps: []checker.Step{step("a", "other", "dead", 2)}, Retried: map[string]bool{"a": true}}, came("a", 5)), ""},
		"rolled back and tried":         {received(checker.Evidence{Sent: []checker.Message{keyed("a", 1), undone}}, came("a", 2), came("b", 3)), "phantom: 1\n\tb (rolled back)"},
		"to its own destination":        {received(checker.Evidence{Sent: []checker.Message{direct}}, came("a", 2)), "phantom: 1"},
		"out of order":                  {received(checker.Evidence{Sent: two}, came("b", 3), came("a", 4)), "out of order: 1\n\tb of key k came to s"},
		"tried before":                  {received(checker.Evidence{Sent: two, Requests: []checker.Receipt{came("b", 3)}}, came("a", 4), came("b", 5)), "out of order: 1"},
		"inserted at the same time":     {received(checker.Evidence{Sent: []checker.Message{keyed("a", 1), keyed("b", 1.4)}}, came("b", 3), came("a", 4)), ""},
		"behind a failed one":           {received(checker.Evidence{Sent: two, Requests: failed}, came("b", 3), came("a", 4)), "out of order: 1"},
		"a dead one lets go":            {received(checker.Evidence{Sent: two, Requests: failed, Steps: []checker.Step{step("a", "s", "dead", 2.7)}}, came("b", 3)), ""},
		"a dead one blocks":             {received(checker.Evidence{Sent: two, Requests: failed, Changes: []checker.Change{blocks}, Steps: []checker.Step{step("a", "s", "dead", 2.7)}}, came("b", 3)), "out of order: 1"},
		"retried by hand":               {received(checker.Evidence{Sent: two, Retried: map[string]bool{"a": true}}, came("b", 3), came("a", 4)), ""},
		"routed anew after a crash": {received(checker.Evidence{Sent: two, Changes: []checker.Change{change(0, "t.*"), change(2.5, "t.*", "u")},
			Steps: []checker.Step{step("a", "s", "handled", 4.1)}}, came("b", 3), came("a", 4)), "out of order: 1"},
		"subscribed by another topic later": {received(checker.Evidence{Sent: []checker.Message{other, keyed("b", 2)}, Changes: []checker.Change{change(0, "t.*"), change(2.5, "t.*", "u")},
			Steps: []checker.Step{step("a", "s", "handled", 4.1)}}, came("b", 3), came("a", 4)), ""},
		"taken up before the topics changed": {received(checker.Evidence{Sent: two, Changes: []checker.Change{change(0, "t.*"), change(2.5, "u")},
			Steps: []checker.Step{step("a", "s", "waiting", 1.8)}}, came("b", 3), came("a", 4)), "out of order: 1"},
		"replayed to one that came later":   {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(4, "t.x")}, Replays: replayed, Steps: []checker.Step{step("a", "other", "handled", 2), step("a", "s", "handled", 6)}}, came("a", 5)), ""},
		"replayed":                          {received(checker.Evidence{Sent: one, Replays: replayed, Steps: again}, came("a", 2), came("a", 4)), ""},
		"again, without a retry":            {received(checker.Evidence{Sent: one, Steps: again}, came("a", 2), came("a", 4)), "phantom: 1\n\ta for s was handled and is waiting"},
		"replayed, out of order":            {received(checker.Evidence{Sent: two, Replays: replayed}, came("b", 3), came("a", 4)), ""},
		"a dead head is retried":            {received(checker.Evidence{Sent: one, Heads: map[string]bool{"a": true}, Steps: []checker.Step{step("a", "s", "dead", 2), step("a", "s", "waiting", 3), step("a", "s", "handled", 4)}}, came("a", 4)), ""},
		"a skipped head lets go":            {received(checker.Evidence{Sent: two, Changes: []checker.Change{blocks}, Requests: failed, Steps: []checker.Step{step("a", "s", "dead", 2.7), step("a", "s", "cancelled", 2.8)}}, came("b", 3)), ""},
		"long after it was cancelled there": {received(checker.Evidence{Sent: one, Steps: []checker.Step{step("a", "s", "cancelled", 2)}}, came("a", 4.1)), ", cancelled there at 00:00:02.000"},
		"an instance has not received it":   {received(checker.Evidence{Sent: []checker.Message{named}, Changes: fleet}, checker.Receipt{Receiver: "s/1", ID: "a", At: at(2)}), "lost: 1\n\ta (committed, inserted at 00:00:01.000) for s/2"},
		"before its time":                   {received(checker.Evidence{Sent: []checker.Message{delayed}}, came("a", 4.9)), "before it was due: 1"},
		"a delayed one lets go":             {received(checker.Evidence{Sent: []checker.Message{delayed, keyed("b", 2)}}, came("b", 3), came("a", 5)), ""},
		"soon after a cancel":               {received(checker.Evidence{Sent: one, Cancels: []checker.Cancel{{Message: "a", Done: at(2)}}}, came("a", 3.9)), ""},
		"long after a cancel":               {received(checker.Evidence{Sent: one, Cancels: []checker.Cancel{{Message: "a", Done: at(2)}}}, came("a", 4.1)), "after a cancel, a pause or an acknowledgement: 1"},
		"after a cancel, and frozen":        {received(checker.Evidence{Sent: one, Cancels: []checker.Cancel{{Message: "a", Done: at(9)}}, Interruptions: crash()}, came("a", 14)), ""},
		"long after a pause":                {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0, "t.*"), paused}}, came("a", 4.2)), "after a cancel, a pause or an acknowledgement: 1"},
		"resumed":                           {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0, "t.*"), paused, change(4.1, "t.*")}}, came("a", 4.2)), ""},
		"a duplicate of a lost answer":      {received(checker.Evidence{Sent: one}, lost, came("a", 4)), ""},
		"a duplicate without a cause":       {received(checker.Evidence{Sent: one}, came("a", 3), came("a", 4)), "unexplained duplicate: 1"},
		"nothing but a message for none":    {received(checker.Evidence{Sent: one, Changes: []checker.Change{change(0, "u")}}), ""},
		"a delayed one was due":             {received(checker.Evidence{Sent: []checker.Message{delayed, keyed("b", 6)}}, came("b", 7), came("a", 8)), "out of order: 1"},
		"a later one was due earlier":       {received(checker.Evidence{Sent: []checker.Message{delayed, dueBefore}}, came("b", 7), came("a", 8)), ""},
		"a later one was due later":         {received(checker.Evidence{Sent: []checker.Message{delayed, dueAfter}}, came("b", 7), came("a", 8)), "out of order: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged(t, c.e, c.says)
		})
	}
}

func TestPatternsOfTheChecker(t *testing.T) {
	t.Parallel()
	for pattern, topics := range map[string]map[string]bool{
		"#":       {"a": true, "a.b": true},
		"a.*":     {"a": false, "a.b": true, "a.b.c": false},
		"a.#":     {"a": true, "a.b.c": true, "b": false},
		"#.c":     {"c": true, "a.b.c": true, "c.a": false},
		"a.#.b.*": {"a.b.c": true, "a.x.y.b.c": true, "a.b": false},
	} {
		for topic, want := range topics {
			if got := checker.Matches(strings.Split(pattern, "."), strings.Split(topic, ".")); got != want {
				t.Errorf("%s matches %s: %t", pattern, topic, got)
			}
		}
	}
}
