package trouble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A lost connection words itself anew at each try, by the number of a port: a minute of it
// is a handful of lines, the last one says how many failures there were.
func TestAnErrorThatChangesItsWordsIsNotPrintedEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		troubles := New(slog.New(slog.NewTextHandler(&out, nil)))
		for port := range 600 {
			troubles.Note("sweep", fmt.Errorf("read tcp 127.0.0.1:%d: reset", port))
			time.Sleep(100 * time.Millisecond)
		}
		if got := troubles.Last(); got != "sweep: read tcp 127.0.0.1:599: reset" {
			t.Errorf("the last trouble is %q", got)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		troubles.NoteDuring(ended, "sweep", errors.New("the end"))
		if troubles.Last() == "" {
			t.Error("what was broken off counts as a success")
		}
		troubles.Note("sweep", nil)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 7 || !strings.Contains(lines[6], "failures=600") {
			t.Errorf("%d lines:\n%s", len(lines), out.String())
		}
	})
}

func TestTheSameErrorIsPrintedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		troubles := New(slog.New(slog.NewTextHandler(&out, nil)))
		for range 5 {
			troubles.Note("sweep", errors.New("no table"))
			time.Sleep(time.Minute)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines:\n%s", n, out.String())
		}
	})
}

// What is seldom asked for stood as the trouble of the day long after it was over, and which
// one of several was told was a matter of luck.
func TestTheLastTroubleIsTheYoungestAndNotAnOldOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		troubles := New(slog.New(slog.DiscardHandler))
		for i := range 20 {
			operation := fmt.Sprint("operation ", i)
			troubles.Note(operation, errors.New("no table"))
			time.Sleep(time.Second)
			if got := troubles.Last(); got != operation+": no table" {
				t.Fatalf("the last trouble is %q, not that of %s", got, operation)
			}
		}
		time.Sleep(time.Minute)
		if got := troubles.Last(); got != "" {
			t.Errorf("a minute later the last trouble is %q", got)
		}
	})
}
