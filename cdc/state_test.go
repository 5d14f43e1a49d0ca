package cdc

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReasonsThatTakeTurnsAreNotPrintedEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lockedLog{}
		b := newBoard(slog.New(slog.NewTextHandler(log, nil)))
		printed := func(why string, want int) {
			t.Helper()
			if got := strings.Count(log.String(), "why="+why); got != want {
				t.Errorf("%s was printed %d times, want %d", why, got, want)
			}
		}
		for range 59 {
			b.say("first")
			b.say("second")
			time.Sleep(time.Second)
		}
		printed("first", 1)
		printed("second", 1)
		if why := b.read().Why; why != "second" {
			t.Errorf("the state says %q", why)
		}
		time.Sleep(time.Minute)
		b.say("second")
		printed("second", 1) // nothing has changed
		b.say("first")
		b.say("second")
		printed("first", 2)
		printed("second", 2)
		b.up()
		b.say("second")
		printed("second", 3) // another trouble than the one before
	})
}
