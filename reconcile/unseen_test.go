package reconcile

import (
	"testing"
	"time"

	"relay"
)

func TestUnseenRowsAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	var u unseen
	now := time.Now()
	if u.wanted(now) || u.has(relay.NewID()) {
		t.Error("the zero value wants a sweep")
	}
	seen, never, other := relay.NewID(), relay.NewID(), relay.NewID()
	u.add(seen, now)
	u.add(never, now)
	u.add(never, now.Add(seekFor)) // rung again
	u.seen(seen)
	if u.has(seen) || !u.has(never) || u.has(other) {
		t.Error("what was seen is remembered, or what was not is not")
	}
	if !u.wanted(now.Add(seekFor)) || u.wanted(now.Add(seekFor+1)) || u.some.Load() {
		t.Error("it does not end after its time")
	}
}

func TestOnlySoManyUnseenRowsAreRemembered(t *testing.T) {
	t.Parallel()
	var u unseen
	now := time.Now()
	ids := make([]relay.ID, unseenMost+1)
	for i := range ids {
		ids[i] = relay.NewID()
		u.add(ids[i], now)
	}
	if len(u.rows) != unseenMost || !u.has(relay.NewID()) {
		t.Errorf("%d rows are remembered", len(u.rows))
	}
	for _, id := range ids {
		u.seen(id)
	}
	if !u.wanted(now) || u.wanted(now.Add(seekFor+1)) {
		t.Error("nobody sweeps for the one that did not fit, or for ever")
	}
}
