package quarantine

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
		q := New(Config{})
		id, other := Message(RemoveRow, relay.NewID()), Message(RemoveRow, relay.NewID())
		begun := time.Now()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			q.Hold(id, "why")
			wait := time.Until(q.rows.rows[id].until)
			if wait != want*time.Second {
				t.Errorf("time %d: it waits %s, want %s", i, wait, want*time.Second)
			}
			if !q.Waits(id) || q.Waits(other) {
				t.Error("it does not wait, or the other one does")
			}
			time.Sleep(wait)
			if q.Waits(id) {
				t.Errorf("it waits for longer than %s", wait)
			}
		}
		if in, _ := q.changes(time.Now()); len(in) != 1 || in[0].Tries != 11 || in[0].Age != time.Since(begun) || in[0].Error != "why" {
			t.Errorf("people are told %+v", in)
		}
		q.Free(id)
		if in, out := q.changes(time.Now()); len(in) != 0 || len(out) != 1 || len(q.counts()) != 0 {
			t.Errorf("people are told %+v and %+v", in, out)
		}
	})
}

// What is not tried any more was done otherwise, or is gone.
func TestTheQuarantineForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{})
		q.Hold(Message(ChangeByJob, relay.NewID()), "why")
		q.Hold(Message(WriteOutcome, relay.NewID()), "why")
		time.Sleep(10 * time.Minute)
		q.forget(time.Now())
		if q.Has(ChangeByJob) || !q.Has(WriteOutcome) || q.Total() != 1 {
			t.Errorf("%v are left", q.counts())
		}
	})
}

// An instance is a URL, which may hold a password.
func TestTheQuarantineTellsNoInstance(t *testing.T) {
	t.Parallel()
	s := Subject{Operation: WriteOutcome, ID: relay.DeliveryID{Subscription: "direct", Instance: "http://user:secret@host/"}}
	if text := s.String(); strings.Contains(text, "secret") || !strings.HasPrefix(text, "direct, instance ") {
		t.Errorf("it says %q", text)
	}
}
