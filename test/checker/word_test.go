package checker_test

import (
	"testing"
	"time"

	"relay/test/checker"
)

// wants is a subscription whose consumer has a second to acknowledge.
func wants() checker.Change {
	c := change(0, "t.*")
	c.AckTimeout = time.Second
	return c
}

// says is a word on message a, answered a tenth of a second after it was issued.
func says(handled, retry bool, seconds float64, answer int) checker.Word {
	return checker.Word{Message: "a", Subscription: "s", Handled: handled, Retry: retry, Issued: at(seconds), Done: at(seconds + 0.1), Answer: answer}
}

// worded is evidence of message a, which came at those times, became this at 4 seconds, and of
// which the consumer said that.
func worded(status string, words []checker.Word, came ...checker.Receipt) checker.Evidence {
	e := checker.Evidence{Sent: []checker.Message{keyed("a", 1)}, Changes: []checker.Change{wants()}, Words: words}
	if status != "" {
		e.Steps = []checker.Step{step("a", "s", "awaiting_ack", 2.1), step("a", "s", status, 4)}
	}
	return received(e, came...)
}

// Each made-up run is judged by the words of its error; none means that all is well.
func TestJudgeWords(t *testing.T) {
	t.Parallel()
	forged := says(true, false, 3, 404)
	forged.Forged = true
	counts := forged
	counts.Answer = 204
	unanswered := says(true, false, 3, 0)
	unanswered.Done = time.Time{}
	unsure := says(true, false, 3, 409)
	unsure.Unsure = true
	plain := came("a", 2)
	plain.Handled = true
	two := func(a, b checker.Word) []checker.Word { return []checker.Word{a, b} }
	one := func(w checker.Word) []checker.Word { return []checker.Word{w} }
	frozen := worded("handled", one(says(true, false, 9, 204)), came("a", 2), came("a", 14))
	frozen.Steps[1].At = at(15)
	frozen.Interruptions = crash()
	retried := worded("dead", one(says(false, false, 3, 204)), came("a", 2), came("a", 4.4), came("a", 9))
	retried.Retried = map[string]bool{"a": true}
	retried.Steps = append(retried.Steps, step("a", "s", "waiting", 4.3), step("a", "s", "dead", 9.1))
	rerouted := worded("", one(says(true, false, 3, 204)), came("a", 2))
	rerouted.Changes = []checker.Change{wants(), change(2.5)}
	rerouted.Steps = []checker.Step{step("a", "other", "handled", 4)}
	hurried := worded("handled", one(says(true, false, 3.5, 204)), came("a", 2), came("a", 2.9))
	hurried.Retried = map[string]bool{"a": true}
	for name, c := range map[string]struct {
		e    checker.Evidence
		says string
	}{
		"handled":                             {worded("handled", one(says(true, false, 3, 204)), came("a", 2)), ""},
		"handled, twice":                      {worded("handled", two(says(true, false, 3, 204), says(true, false, 3.2, 409)), came("a", 2)), ""},
		"handled, and the answer got lost":    {worded("handled", one(unanswered), came("a", 2)), ""},
		"handled by the answer alone":         {worded("handled", nil, plain), ""},
		"handled without a word":              {worded("handled", nil, came("a", 2)), "acknowledgement: 1\n\ta for s is handled"},
		"handled before it was said":          {worded("handled", one(says(true, false, 5, 204)), came("a", 2)), "without an acknowledgement"},
		"a forged word counts for nothing":    {worded("handled", one(forged), came("a", 2)), "without an acknowledgement"},
		"a forged word":                       {worded("awaiting_ack", one(forged), came("a", 2)), ""},
		"a forged word is taken":              {worded("awaiting_ack", one(counts), came("a", 2)), "a forged token counts"},
		"a word without effect":               {worded("awaiting_ack", one(says(true, false, 3, 204)), came("a", 2)), `the delivery is "awaiting_ack"`},
		"handled, and dead":                   {worded("dead", one(says(true, false, 3, 204)), came("a", 2)), `the delivery is "dead"`},
		"handled, and cancelled":              {worded("cancelled", one(says(true, false, 3, 204)), came("a", 2)), ""},
		"failed for good":                     {worded("dead", one(says(false, false, 3, 204)), came("a", 2)), ""},
		"failed for good, and it waits":       {worded("awaiting_ack", one(says(false, false, 3, 204)), came("a", 2)), "the delivery has not ended"},
		"a word on what has no delivery":      {worded("", one(says(true, false, 3, 204)), came("a", 2)), "the delivery has not ended"},
		"a word on what was routed to others": {rerouted, ""},
		"a true word is unknown":              {worded("awaiting_ack", one(says(true, false, 3, 404)), came("a", 2)), "a true word was refused"},
		"too late, says the relay":            {worded("handled", one(says(true, false, 3, 409)), came("a", 2)), "the delivery had not ended then"},
		"too late":                            {worded("dead", one(says(true, false, 5, 409)), came("a", 2)), ""},
		"too late, or taken before":           {worded("handled", one(unsure), came("a", 2)), ""},
		"silent, and pushed again":            {worded("handled", one(says(true, false, 3.5, 204)), came("a", 2), came("a", 3.1)), ""},
		"pushed again too soon":               {worded("handled", one(says(true, false, 3.5, 204)), came("a", 2), came("a", 2.9)), "unexplained duplicate: 1"},
		"pushed again as a person wants":      {hurried, ""},
		"failed, and pushed again":            {worded("handled", two(says(false, true, 2.1, 204), says(true, false, 3.5, 204)), came("a", 2), came("a", 2.4)), ""},
		"pushed long after it was handled":    {worded("handled", one(says(true, false, 3, 204)), came("a", 2), came("a", 5.2)), "after a cancel, a pause or an acknowledgement: 1"},
		"pushed by one that was frozen":       {frozen, ""},
		"pushed long after it had failed":     {worded("dead", one(says(false, false, 3, 204)), came("a", 2), came("a", 9)), "after a cancel, a pause or an acknowledgement: 1"},
		"failed for good, and then retried":   {retried, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged(t, c.e, c.says)
		})
	}
}
