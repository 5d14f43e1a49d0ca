package reconcile

import (
	"testing"
	"time"

	"relay"
)

// TestBatchesOfAJobComeEvenly: a job with a rate has a twentieth of a second's messages at once, and is told when the
// next batch may go.
func TestBatchesOfAJobComeEvenly(t *testing.T) {
	t.Parallel()
	rates, job, now := make(jobRates), relay.ID{1}, time.Now()
	if most := rates.allow(job, 0, now); most != jobBatch || rates.wait(job, now) != 0 {
		t.Errorf("without a rate: %d messages, the next after %s", most, rates.wait(job, now))
	}
	for i := range 20 {
		if most := rates.allow(job, 200, now); most != 10 {
			t.Fatalf("batch %d has %d messages, want 10", i, most)
		}
		if most := rates.allow(job, 200, now); most != 0 {
			t.Fatalf("%d messages more at the same time", most)
		}
		wait := rates.wait(job, now)
		if wait < 49*time.Millisecond || wait > 51*time.Millisecond {
			t.Fatalf("the next batch comes after %s, want 50ms", wait)
		}
		now = now.Add(wait + time.Microsecond)
	}
	if most := rates.allow(job, 3, now); most != 1 {
		t.Errorf("another rate: %d messages, want 1", most)
	}
}

// TestNewMessagesAreRemembered for as long as they are asked for.
func TestNewMessagesAreRemembered(t *testing.T) {
	t.Parallel()
	var last lastTime
	now := time.Now()
	if last.within(time.Hour, now) {
		t.Error("there was one before the first")
	}
	last.note(now)
	if !last.within(jobAlone, now.Add(jobAlone-1)) || last.within(jobAlone, now.Add(jobAlone)) {
		t.Errorf("one of %s ago counts, or one of less does not", jobAlone)
	}
}

func TestAJobsBatchIsHalvedAndGrowsAgain(t *testing.T) {
	t.Parallel()
	sizes, id := make(jobSizes), relay.NewID()
	var got []int
	for range 20 {
		size := sizes.of(id, jobBatch)
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
