package reconcile

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// Rows that were left to the table had only the group swept that asked first, and that when
// its own time had come.
func TestWhatIsLeftHasAllGroupsSweepSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{Groups: make([]Group, 3), InFlight: 1, InFlightBytes: 1, Log: slog.New(slog.DiscardHandler)})
		for range 2 {
			for range 3 {
				e.registry.add(ringEntries(2))
			}
			time.Sleep(pollEvery + time.Millisecond)
			for group, c := range e.sweepNow {
				select {
				case <-c:
				default:
					t.Errorf("group %d is not swept", group)
				}
			}
		}
	})
}
