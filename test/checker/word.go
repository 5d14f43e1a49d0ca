package checker

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Word is what a consumer said of its work on a message: an acknowledgement over HTTP.
type Word struct {
	Message, Subscription string
	Handled, Retry        bool
	Forged                bool      // by a token that the relay did not sign
	Issued                time.Time // before the first try
	Done                  time.Time // when the answer had come; zero: there never was one
	Answer                int       // HTTP status
	Unsure                bool      // an earlier try, whose answer did not come, may have been taken
}

// final reports whether the word ends the delivery if it is taken.
func (w Word) final() bool { return w.Handled || !w.Retry }

// String says what was said, when, and how it was answered.
func (w Word) String() string {
	what := "failed"
	switch {
	case w.Handled:
		what = "handled"
	case w.Retry:
		what = "failed, to be tried again"
	}
	if w.Forged {
		what = "forged: " + what
	}
	return fmt.Sprintf("%s of %s for %s at %s, answered %d at %s", what, w.Message, w.Subscription, clock(w.Issued), w.Answer, clock(w.Done))
}

// judgeWords states which words had no effect and should have had one, or the other way round.
func (v *Verdict) judgeWords(f *fanout) {
	for at, words := range f.words {
		for i, w := range words {
			others := slices.Concat(words[:i], words[i+1:])
			if why := f.misjudged(at, w, others); why != "" {
				v.Words = append(v.Words, fmt.Sprintf("%s: %s", w, why))
			}
			for _, r := range f.requests[at] {
				if w.taken() && w.final() && f.late(w.Done, r.At) && !f.reopened(at, w.Issued, r.At) {
					v.Late = append(v.Late, fmt.Sprintf("%s came at %s as attempt %d after the word %s", at.message, clock(r.At), r.Attempt, w))
				}
			}
		}
	}
	for at, steps := range f.steps {
		for _, s := range steps {
			if f.last(at.subscription).AckTimeout > 0 && s.Status == "handled" && !f.told(at, s.At) {
				v.Words = append(v.Words, fmt.Sprintf("%s for %s is handled at %s without an acknowledgement", at.message, at.subscription, clock(s.At)))
			}
		}
	}
	slices.Sort(v.Words)
}

// taken reports whether the relay certainly took a word.
func (w Word) taken() bool { return !w.Forged && w.Answer == http.StatusNoContent }

// misjudged says what is wrong with what became of a word; empty: nothing.
func (f *fanout) misjudged(at leg, w Word, others []Word) string {
	steps := f.steps[at]
	has := func(by time.Time, statuses ...string) bool {
		return slices.ContainsFunc(steps, func(s Step) bool {
			return slices.Contains(statuses, s.Status) && (by.IsZero() || !s.At.After(by))
		})
	}
	switch {
	case w.Done.IsZero():
		return ""
	case w.Forged && w.Answer != http.StatusNotFound:
		return "a forged token counts"
	case w.Forged:
		return ""
	case w.taken() && w.Handled && len(steps) > 0 && !slices.Contains([]string{"handled", "cancelled"}, steps[len(steps)-1].Status):
		return fmt.Sprintf("the delivery is %q", steps[len(steps)-1].Status)
	case len(steps) == 0 && !f.must(f.messages[at.message], at.subscription):
		return "" // a crash left it to be routed anew, and to others
	case w.taken() && w.final() && !has(time.Time{}, "handled", "dead", "cancelled"):
		return "the delivery has not ended"
	case w.Answer == http.StatusConflict && !w.Unsure && !slices.ContainsFunc(others, func(o Word) bool { return o.final() && o.Issued.Before(w.Done) }) && !has(w.Done, "handled", "dead", "cancelled"):
		return "the delivery had not ended then"
	case w.Answer != http.StatusNoContent && w.Answer != http.StatusConflict:
		return "a true word was refused"
	}
	return ""
}

// told reports whether a consumer had said by a time that its work succeeded: by a word, or
// by its answer to the request.
func (f *fanout) told(at leg, by time.Time) bool {
	return slices.ContainsFunc(f.words[at], func(w Word) bool { return w.Handled && !w.Forged && !w.Issued.After(by) }) ||
		slices.ContainsFunc(f.receipts[at], func(r Receipt) bool { return r.Handled && !r.At.After(by) })
}

// asksAgain explains a duplicate by what asked for the message again: a person, or the consumer
// that took the first one and kept silent for too long, or said that its work failed.
func (f *fanout) asksAgain(at leg, before, after Receipt) string {
	timeout := f.last(at.subscription).AckTimeout
	switch {
	case f.reopened(at, before.At, after.At), timeout > 0 && f.Retried[at.message]:
		return "a person's wish"
	case timeout == 0:
		return ""
	case after.At.Sub(before.At) >= timeout:
		return "a consumer's silence"
	case slices.ContainsFunc(f.words[at], func(w Word) bool { return !w.Handled && w.Retry && !w.Issued.After(after.At) }):
		return "a consumer's failure"
	}
	return ""
}
