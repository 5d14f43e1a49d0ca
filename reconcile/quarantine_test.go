package reconcile

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relay"
)

func TestARowInQuarantineWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q quarantine
		id, other := ofMessage(removeRow, relay.NewID()), ofMessage(removeRow, relay.NewID())
		begun := time.Now()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			wait := q.failed(id, "why")
			if wait != want*time.Second {
				t.Errorf("time %d: it waits %s, want %s", i, wait, want*time.Second)
			}
			if !q.waits(id) || q.waits(other) {
				t.Error("it does not wait, or the other one does")
			}
			time.Sleep(wait)
			if q.waits(id) {
				t.Errorf("it waits for longer than %s", wait)
			}
		}
		if in, _ := q.report(time.Now()); len(in) != 1 || in[0].Tries != 11 || in[0].Age != time.Since(begun) || in[0].Error != "why" {
			t.Errorf("people are told %+v", in)
		}
		q.ended(id)
		if in, out := q.report(time.Now()); len(in) != 0 || len(out) != 1 || len(q.counts()) != 0 {
			t.Errorf("people are told %+v and %+v", in, out)
		}
	})
}

// What is not tried any more was done otherwise, or is gone.
func TestTheQuarantineForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q quarantine
		q.failed(ofMessage(changeByJob, relay.NewID()), "why")
		q.failed(ofMessage(writeOutcome, relay.NewID()), "why")
		time.Sleep(10 * time.Minute)
		q.forget(time.Now())
		if q.size(changeByJob) != 0 || q.size(writeOutcome) != 1 {
			t.Errorf("%v are left", q.counts())
		}
	})
}

// An instance is a URL, which may hold a password.
func TestTheQuarantineTellsNoInstance(t *testing.T) {
	t.Parallel()
	s := subject{operation: writeOutcome, id: relay.DeliveryID{Subscription: "direct", Instance: "http://user:secret@host/"}}
	if text := s.String(); strings.Contains(text, "secret") || !strings.HasPrefix(text, "direct, instance ") {
		t.Errorf("it says %q", text)
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
