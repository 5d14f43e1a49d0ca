package cdc

import (
	"errors"
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
			b.say(errors.New("first"))
			b.say(errors.New("second"))
			time.Sleep(time.Second)
		}
		printed("first", 1)
		printed("second", 1)
		if why := b.read().Why; why != "second" {
			t.Errorf("the state says %q", why)
		}
		time.Sleep(time.Minute)
		b.say(errors.New("second"))
		printed("second", 1) // nothing has changed
		b.say(errors.New("first"))
		b.say(errors.New("second"))
		printed("first", 2)
		printed("second", 2)
		b.up()
		b.say(errors.New("second"))
		printed("second", 3) // another trouble than the one before
	})
}
