package reconcile

import (
	"testing"
	"time"

	"relay"
	"relay/sql"
)

func crowdOf(t *testing.T, n int, now time.Time) (*crowd, []*entry) {
	t.Helper()
	c := newCrowd()
	entries := make([]*entry, n)
	for i := range entries {
		e := messageEntry(relay.Ring{ID: relay.NewID()}, true)
		e.since = now
		entries[i] = &e
		if !c.add(sql.Parked{Circuit: "stock"}, entries[i], 1000, now) {
			t.Fatalf("message %d found no place", i)
		}
	}
	return c, entries
}

func TestACrowdGoesAsThereIsRoom(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c, entries := crowdOf(t, 5, now)
	got, more := c.take(func(string, bool) int { return 3 }, now)
	if len(got) != 3 || got[0] != entries[0] || !more {
		t.Errorf("%d messages came, and more: %v; want the first 3, and more", len(got), more)
	}
	got, more = c.take(func(string, bool) int { return 3 }, now)
	if len(got) != 2 || got[1] != entries[4] || more {
		t.Errorf("%d messages came, and more: %v; want the last 2", len(got), more)
	}
}

// What waits for a circuit that has opened is read again, and parked then.
func TestACrowdWithoutRoomIsReadAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c, _ := crowdOf(t, 5, now)
	none := func(string, bool) int { return 0 }
	if got, more := c.take(none, now.Add(crowdFor)); len(got) != 0 || !more {
		t.Errorf("%d messages came early", len(got))
	}
	if got, more := c.take(none, now.Add(crowdFor+1)); len(got) != 5 || more {
		t.Errorf("%d messages came, want all 5", len(got))
	}
}

func TestACrowdTakesWhatADestinationGetsToSoon(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newCrowd()
	taken := 0
	for range 100 {
		e := messageEntry(relay.Ring{ID: relay.NewID()}, true)
		e.since = now
		if c.add(sql.Parked{Circuit: "slow"}, &e, 10, now) {
			taken++
		}
	}
	if taken != 20 {
		t.Errorf("a destination of 10/s has %d messages held, want 20", taken)
	}
	old := messageEntry(relay.Ring{ID: relay.NewID()}, true)
	old.since = now.Add(-crowdLongest - 1)
	if c.add(sql.Parked{Circuit: "fast"}, &old, 1000, now) {
		t.Error("a message that has been in memory for too long was held on")
	}
}
