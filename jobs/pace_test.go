package jobs

import (
	"testing"
	"time"

	"relay"
)

// TestBatchesOfAJobComeEvenly: a job with a rate has a twentieth of a second's messages at once, and is told when the
// next batch may go.
func TestBatchesOfAJobComeEvenly(t *testing.T) {
	t.Parallel()
	limits, job, now := make(rates), relay.ID{1}, time.Now()
	if n := limits.allow(job, 0, now); n != batch || limits.wait(job, now) != 0 {
		t.Errorf("without a rate: %d messages, the next after %s", n, limits.wait(job, now))
	}
	for i := range 20 {
		if n := limits.allow(job, 200, now); n != 10 {
			t.Fatalf("batch %d has %d messages, want 10", i, n)
		}
		if n := limits.allow(job, 200, now); n != 0 {
			t.Fatalf("%d messages more at the same time", n)
		}
		wait := limits.wait(job, now)
		if wait < 49*time.Millisecond || wait > 51*time.Millisecond {
			t.Fatalf("the next batch comes after %s, want 50ms", wait)
		}
		now = now.Add(wait + time.Microsecond)
	}
	if n := limits.allow(job, 3, now); n != 1 {
		t.Errorf("another rate: %d messages, want 1", n)
	}
}

func TestNewMessagesAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	r, now := New(Config{}), time.Now()
	if r.makesWay(now) {
		t.Error("there was one before the first")
	}
	r.Arrived(now)
	if !r.makesWay(now.Add(alone-1)) || r.makesWay(now.Add(alone)) {
		t.Errorf("one of %s ago counts, or one of less does not", alone)
	}
}

func TestAJobsBatchIsHalvedAndGrowsAgain(t *testing.T) {
	t.Parallel()
	sizes, id := make(sizes), relay.NewID()
	var got []int
	for range 20 {
		size := sizes.of(id, batch)
		got = append(got, size)
		if size > 1 && len(got) < 10 {
			sizes.refused(id, size)
		} else {
			sizes.done(id, size)
		}
	}
	want := []int{500, 250, 125, 62, 31, 15, 7, 3, 1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500, 500}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("sizes %v, want %v", got, want)
		}
	}
}
