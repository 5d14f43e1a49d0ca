package checker_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"relay/test/checker"
)

// at is a moment of the made-up runs, in seconds after their beginning.
func at(seconds float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func sent(id string, outcome checker.Outcome) checker.Message {
	return checker.Message{ID: id, To: "http", Outcome: outcome}
}

func receipt(id string, seconds float64) checker.Receipt {
	return checker.Receipt{Receiver: "http", ID: id, At: at(seconds)}
}

func done(seconds float64) checker.Row { return checker.Row{Status: "done", Finished: at(seconds)} }

// crash is a kill at ten seconds.
func crash() []checker.Interruption {
	return []checker.Interruption{{What: "kill", From: at(10), To: at(10)}}
}

// Each made-up run is judged by the words of its error; none means that all is well.
func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		e    checker.Evidence
		says string
	}{
		"all is well": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed), sent("b", checker.RolledBack), sent("c", checker.Unknown), sent("d", checker.Unknown)},
			Received: []checker.Receipt{receipt("a", 1), receipt("c", 2)},
			Rows:     map[string]checker.Row{"a": done(1.1), "c": done(2.1)},
		}, ""},
		"committed and lost": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed), sent("b", checker.Committed)},
			Received: []checker.Receipt{receipt("a", 1)},
			Rows:     map[string]checker.Row{"a": done(1.1), "b": done(1.1)},
		}, "lost: 1\n\tb (committed) for http is done"},
		"unknown, in the table, and lost": {checker.Evidence{
			Sent: []checker.Message{sent("a", checker.Unknown)},
			Rows: map[string]checker.Row{"a": {Status: "pending"}},
		}, "lost: 1\n\ta (unknown) for http is pending"},
		"committed and no longer in the table": {checker.Evidence{
			Sent: []checker.Message{sent("a", checker.Committed)},
		}, "lost: 1\n\ta (committed) for http is not in the table"},
		"in the table with a reason": {checker.Evidence{
			Sent: []checker.Message{sent("a", checker.Committed)},
			Rows: map[string]checker.Row{"a": {Status: "dead"}},
		}, ""},
		"rolled back and delivered": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed), sent("b", checker.RolledBack)},
			Received: []checker.Receipt{receipt("a", 1), receipt("b", 1)},
			Rows:     map[string]checker.Row{"a": done(2)},
		}, "phantom: 1\n\tb (rolled back) was received by http"},
		"unknown, vanished and delivered": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed), sent("b", checker.Unknown)},
			Received: []checker.Receipt{receipt("a", 1), receipt("b", 1)},
			Rows:     map[string]checker.Row{"a": done(2)},
		}, "phantom: 1\n\tb (unknown) was received by http"},
		"never sent": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed)},
			Received: []checker.Receipt{receipt("a", 1), receipt("z", 1)},
			Rows:     map[string]checker.Row{"a": done(2)},
		}, "phantom: 1\n\tz was never sent"},
		"to another receiver": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed)},
			Received: []checker.Receipt{{Receiver: "amqp", ID: "a", At: at(1)}},
			Rows:     map[string]checker.Row{"a": done(2)},
		}, "a was received by amqp instead of http"},
		"a duplicate across a crash": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed)},
			Received: []checker.Receipt{receipt("a", 11), receipt("a", 9)},
			Rows:     map[string]checker.Row{"a": done(12)}, Interruptions: crash(),
		}, ""},
		"a duplicate without a crash": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed)},
			Received: []checker.Receipt{receipt("a", 1), receipt("a", 2)},
			Rows:     map[string]checker.Row{"a": done(2)}, Interruptions: crash(),
		}, "unexplained duplicate: 1\n\ta came to http"},
		"a duplicate of what was written before the crash": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed)},
			Received: []checker.Receipt{receipt("a", 8), receipt("a", 11)},
			Rows:     map[string]checker.Row{"a": done(8.1)}, Interruptions: crash(),
		}, "duplicates: 1, and the interruptions allow 0"},
		"one crash, two duplicates of one message": {checker.Evidence{
			Sent:     []checker.Message{sent("a", checker.Committed)},
			Received: []checker.Receipt{receipt("a", 9), receipt("a", 11), receipt("a", 12)},
			Rows:     map[string]checker.Row{"a": done(12.1)}, Interruptions: crash(),
		}, "duplicates: 2, and the interruptions allow 1"},
		"a duplicate beside another receiver's interruption": {checker.Evidence{
			Sent: []checker.Message{sent("a", checker.Committed)}, Received: []checker.Receipt{receipt("a", 9), receipt("a", 11)},
			Rows:          map[string]checker.Row{"a": done(12)},
			Interruptions: []checker.Interruption{{What: "broker", From: at(10), To: at(10), Receiver: "another"}},
		}, "unexplained duplicate: 1"},
		"nothing happened": {checker.Evidence{}, "nothing was committed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged(t, c.e, c.says)
		})
	}
}

func TestDuplicatesAreCountedByWhatExplainsThem(t *testing.T) {
	t.Parallel()
	v := checker.Judge(checker.Evidence{
		Sent:     []checker.Message{sent("a", checker.Committed), sent("b", checker.Committed)},
		Received: []checker.Receipt{receipt("a", 9), receipt("a", 11), receipt("a", 15), receipt("b", 9), receipt("b", 30)},
		Rows:     map[string]checker.Row{"a": done(16), "b": done(31)},
		Interruptions: []checker.Interruption{
			{What: "freeze", From: at(12), To: at(16)}, {What: "kill", From: at(10), To: at(10)},
		},
	})
	if want := map[string]int{"kill": 1, "freeze": 2}; !reflect.DeepEqual(v.Explained, want) {
		t.Errorf("%v, want %v", v.Explained, want)
	}
}

// A journal is read as it is on disk: what was begun and never ended is unknown, and half a
// line at the end is none.
func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := checker.NewJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := checker.Message{ID: "a", Key: "k", Topic: "t", To: "http"}, checker.Message{ID: "b"}, checker.Message{ID: "c"}
	for _, err := range []error{j.Begin(a, b), j.Begin(c), j.End(checker.Committed, a, b), j.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Outcome, b.Outcome, c.Outcome = checker.Committed, checker.Committed, checker.Unknown
	for cut, want := range map[int][]checker.Message{0: {a, b, c}, 5: {{ID: "a", Key: "k", Topic: "t", To: "http", Outcome: checker.Unknown}, {ID: "b", Outcome: checker.Unknown}, c}} {
		got, err := checker.ReadJournal(strings.NewReader(string(content[:len(content)-cut])))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d bytes cut: %v, %v, want %v", cut, got, err, want)
		}
	}
	if _, err := checker.ReadJournal(strings.NewReader("[1]")); err == nil {
		t.Error("what is no journal was read")
	}
	if _, err := checker.NewJournal(path); err == nil {
		t.Error("a journal was overwritten")
	}
}

// judged fails the test unless the verdict says so; with nothing to say it has to be good.
func judged(t *testing.T, e checker.Evidence, says string) {
	t.Helper()
	v := checker.Judge(e)
	err := v.Err()
	switch {
	case says == "" && err != nil:
		t.Errorf("%v\n%v", v, err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("%v\n%v\ndoes not say %q", v, err, says)
	}
}
