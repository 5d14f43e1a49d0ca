package reconcile

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"relay/sql"
)

// Rows that were left to the table had only the group swept that asked first, and that when
// its own time had come.
func TestWhatIsLeftHasAllGroupsSweepSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{Groups: make([]Group, 3), InFlight: 1, InFlightBytes: 1, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(nil)})
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

// A walk goes on behind what it found last, and is over when it found less than it might.
func TestAWalkGoesOnUntilItFindsLess(t *testing.T) {
	t.Parallel()
	walks := []sql.Walk{{Shard: 3}, {Shard: 7, After: 40}, {Shard: 9}}
	found := []sql.Pending{{Shard: 3, Seq: 1}, {Shard: 7, Seq: 41}, {Shard: 3, Seq: 5}}
	want := []sql.Walk{{Shard: 3, After: 5}}
	if got := walkOn(walks, found, 2); !slices.Equal(got, want) {
		t.Errorf("goes on with %v, want %v", got, want)
	}
}
