package reconcile

import (
	"testing"
	"time"

	"relay"
)

func TestThreeSweepsThatFindUnrungRowsConvictTheStream(t *testing.T) {
	t.Parallel()
	var w witness
	since := time.Now()
	at := since
	pass := func(found int, rung bool) string {
		at = at.Add(5 * time.Second)
		w.begin(at)
		for range found {
			id := relay.NewID()
			w.found(id, at, since)
			w.read(id, true)
			if rung {
				w.rang([]relay.Ring{{ID: id}})
			}
		}
		at = at.Add(time.Second)
		return w.end(at)
	}
	if why := pass(3, false); why != "" || w.strikes != 0 {
		t.Fatalf("the first pass, which finds what was there before, counts: %q", why)
	}
	if pass(1, false) != "" || pass(2, true) != "" || w.strikes != 0 {
		t.Fatal("rows that were rung count")
	}
	for range strikesOut - 1 {
		if pass(1, false) != "" {
			t.Fatal("fewer sweeps than three are enough")
		}
	}
	if why := pass(1, false); why == "" {
		t.Fatal("three sweeps are not enough")
	}
	pass(1, false)
	w.leave(at)
	if pass(5, false); w.strikes != 0 {
		t.Fatal("rows that were left to the table count")
	}
}

func TestARowIsNoProofBeforeAHeartbeatHasOvertakenIt(t *testing.T) {
	t.Parallel()
	var w witness
	now := time.Now()
	w.begin(now.Add(time.Second))
	w.end(time.Time{})
	w.begin(now.Add(2 * time.Second))
	id := relay.NewID()
	w.found(id, now.Add(3*time.Second), now)
	w.read(id, true)
	if w.end(now.Add(2 * time.Second)); w.strikes != 0 {
		t.Error("a row counted that was found after the heartbeat was sent")
	}
	if w.end(now.Add(4 * time.Second)); w.strikes != 1 {
		t.Error("a row did not count that a heartbeat has overtaken")
	}
}

// A sweep's statement may show a row as pending that is rung, sent and written before the
// sweep can register it: the row is new to the registry, and no ring for it will come.
func TestARowThatEndedBeforeItWasRegisteredIsNoProof(t *testing.T) {
	t.Parallel()
	var w witness
	now := time.Now()
	w.begin(now.Add(time.Second))
	w.end(time.Time{})
	w.begin(now.Add(2 * time.Second))
	id := relay.NewID()
	w.found(id, now.Add(3*time.Second), now)
	if w.end(now.Add(4 * time.Second)); w.strikes != 0 {
		t.Error("a row counted that nobody had read yet")
	}
	w.read(id, false)
	if w.end(now.Add(5 * time.Second)); w.strikes != 0 || len(w.suspects) != 0 {
		t.Error("a row counted that was not pending any more")
	}
}
