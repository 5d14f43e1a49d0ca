package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTableFitsEightyColumns(t *testing.T) {
	t.Parallel()
	d := &demo{tally: newTally(), consumer: &consumer{}, opened: time.Now().Add(-100 * time.Hour)}
	for by := range routes {
		d.tally.counts[by] = counts{committed: 9_999_999, rolledBack: 999_999, delivered: 9_999_999, retried: 999_999, duplicates: 99_999}
		d.tally.counts[by].latency.add(20 * time.Second)
	}
	d.tally.faults = [faults]int{0, 999_999, 999_999, 99_999}
	d.tally.forged = 1
	for _, line := range d.table() {
		if n := utf8.RuneCountInString(line); n >= 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if text := strings.Join(d.table(), "\n"); !strings.Contains(text, "19,999,998") || !strings.Contains(text, "100h0m0s") {
		t.Error(text)
	}
}

func TestLinesGoAboveTheTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&out)
	s.print("one")
	s.draw([]string{"a", "b"})
	if s.terminal() || out.String() != "one\na\nb\n" {
		t.Errorf("terminal %v: %q", s.terminal(), out.String())
	}
}

// The console's address is the first line, whatever was to be said before.
func TestWhatIsPrintedBeforeTheWelcomeComesAfterIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&out)
	s.hold("starting")
	s.print("a warning\n")
	s.open("Console http://h\n")
	s.release("")
	s.print("later")
	if want := "Console http://h\na warning\nlater\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	s.hold("starting")
	s.print("why it did not start")
	s.release("")
	if want := "why it did not start\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// What a stranger sends must not steer the terminal.
func TestGreetingHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	got := greeting(viaHTTP, "t\x1b[2J", []byte("{\n\"\xff\u202e\": \"ü\"}"+strings.Repeat("x", 500)), 3*time.Millisecond)
	if strings.ContainsAny(got, "\x1b\n\u202e") || !strings.Contains(got, `"ü"`) || utf8.RuneCountInString(got) > 200 {
		t.Errorf("%q", got)
	}
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "-", 1234 * time.Microsecond: "1.2 ms", 45 * time.Millisecond: "45 ms", 2500 * time.Millisecond: "2.5 s"} {
		if got := milliseconds(d); got != want {
			t.Errorf("milliseconds(%s) = %s, want %s", d, got, want)
		}
	}
}
