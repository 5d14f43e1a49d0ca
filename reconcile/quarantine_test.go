package reconcile

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relay"
	"relay/sql"
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
	s := subject{operation: writeOutcome, id: sql.DeliveryID{Subscription: "direct", Instance: "http://user:secret@host/"}}
	if text := s.String(); strings.Contains(text, "secret") || !strings.HasPrefix(text, "direct, instance ") {
		t.Errorf("it says %q", text)
	}
}

// Outcomes that cannot be written fill a part of the registry alone.
func TestADestinationWhoseOutcomesCannotBeWrittenIsCrowded(t *testing.T) {
	t.Parallel()
	e := keysEngine(t) // with room for 100
	a := e.writer.apart
	a.unwritten.wroteSome()
	var items []*written
	add := func(circuit string, n int) {
		for range n {
			item := &written{entry: &entry{}, circuit: circuit, tries: 1, of: ofMessage(writeOutcome, relay.NewID())}
			items = append(items, item)
			a.retries.later(item, time.Hour, func() {})
		}
	}
	add("a", 5)
	if a.unwritten.crowded("a") || a.unwritten.crowded("b") {
		t.Error("5 of 100 are too many")
	}
	add("a", 1)
	if !a.unwritten.crowded("a") || a.unwritten.crowded("b") {
		t.Error("6 of 100 are not too many for one destination, or too many for another")
	}
	add("b", 1)
	add("c", 43)
	if !a.unwritten.crowded("b") || a.unwritten.crowded("d") {
		t.Error("50 of 100 are not too many for those that have some, or too many for one that has none")
	}
	for _, item := range items {
		a.unwritten.settled(item, true)
	}
	if a.unwritten.crowded("a") || a.all.Load() != 0 || len(a.destinations) != 0 {
		t.Error("what is written still counts")
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
