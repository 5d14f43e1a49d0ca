package reconcile

import (
	"slices"
	"testing"

	"relay"
	"relay/sql"
)

// A batch of 500 messages with 300 deliveries each was read, routed and written as one of 500.
func TestTheFanoutLaneCountsDeliveries(t *testing.T) {
	t.Parallel()
	r := newRegistry(2000, 1<<20)
	r.add(ringEntries(10))
	first := r.toRead.take(10)
	for _, e := range first {
		r.lane.postpone(e, 300)
	}
	var taken []*entry
	for range 3 {
		batch, _ := r.lane.takeFanout()
		if len(batch) != 1 {
			t.Fatalf("%d messages of 300 deliveries were taken at once, want 1", len(batch))
		}
		taken = append(taken, batch...)
	}
	if batch, _ := r.lane.takeFanout(); len(batch) != 0 {
		t.Error("a message was taken beyond the 1000 deliveries that the lane holds")
	}
	if n := r.lane.fanoutWaiting(); n != 7 {
		t.Errorf("%d messages wait, want 7", n)
	}
	part := r.adopt(sql.DeliveryID{Message: taken[0].id.Message, Subscription: "slow"}, taken[0])
	r.remove(taken...)
	if n := r.fanned.plain; n != 1 {
		t.Errorf("%d deliveries are in the lane, want the one that is written later", n)
	}
	r.remove(part)
	if n := r.fanned.plain; n != 0 {
		t.Errorf("%d deliveries are in the empty lane", n)
	}
}

// A message with more deliveries than the lane holds has to go alone.
func TestAMessageLargerThanTheFanoutLaneGoesAlone(t *testing.T) {
	t.Parallel()
	r := newRegistry(100, 1<<20)
	r.add(ringEntries(2))
	for _, e := range r.toRead.take(2) {
		r.lane.postpone(e, 300)
	}
	batch, _ := r.lane.takeFanout()
	if again, _ := r.lane.takeFanout(); len(batch) != 1 || len(again) != 0 {
		t.Errorf("%d and %d messages were taken, want 1 and 0", len(batch), len(again))
	}
	r.toRead.reread(batch)
	if n := r.fanned.plain; n != 0 {
		t.Errorf("%d deliveries are counted of a message that is read again", n)
	}
}

func TestAKeyWaitsForTheFanoutLane(t *testing.T) {
	t.Parallel()
	r := newRegistry(100, 1<<20)
	r.add([]entry{messageEntry(relay.Ring{ID: relay.NewID(), Key: "a"}, true), messageEntry(relay.Ring{ID: relay.NewID(), Key: "b"}, true)})
	both := r.toRead.takeKeyed(2)
	if !r.lane.charge(both[0], fanoutKeyed) || r.lane.charge(both[1], 300) {
		t.Fatal("want room for the first message alone")
	}
	r.lane.postponeKey(both[1])
	if _, keys := r.lane.takeFanout(); len(keys) != 0 || !r.lane.awaited("b") {
		t.Error("the key is read although the lane has no room")
	}
	r.remove(both[0])
	if _, keys := r.lane.takeFanout(); len(keys) != 1 || keys[0].key != "b" || r.lane.awaited("b") {
		t.Errorf("keys %v are read, want b", keys)
	}
}

func TestAStatementIsBoundedInDeliveries(t *testing.T) {
	t.Parallel()
	item := func(deliveries int) *written { return &written{changes: make([]sql.Change, deliveries)} }
	for _, tt := range []struct {
		queue []*written
		want  int
	}{
		{[]*written{item(1), item(1)}, 2},
		{[]*written{item(fanoutBatch * 2), item(1)}, 1},
		{[]*written{item(fanoutBatch / 2), item(fanoutBatch / 2), item(1)}, 2},
		{slices.Repeat([]*written{item(0)}, writeBatch+1), writeBatch},
	} {
		if got := batchOf(tt.queue, fanoutBatch); got != tt.want {
			t.Errorf("%d outcomes are written by one statement, want %d", got, tt.want)
		}
	}
}

// Rings filled all of the registry, so that nothing that waited in the table was looked at.
func TestAPartOfTheRegistryIsKeptForTheTable(t *testing.T) {
	t.Parallel()
	r := newRegistry(64, 1<<20)
	r.ring(ringEntries(100))
	if n, _ := r.memory.size(); n != 60 {
		t.Errorf("rings filled %d of 64 places, want 60", n)
	}
	if room := r.memory.sweepRoom(); room != 4 {
		t.Errorf("room for %d, want 4", room)
	}
	r.add(ringEntries(100))
	if room := r.memory.sweepRoom(); room != 0 {
		t.Errorf("room for %d in a full registry", room)
	}
}

// What waits for the lane must not fill the registry, or nothing else would be read.
func TestWhatWaitsForTheFanoutLaneIsBounded(t *testing.T) {
	t.Parallel()
	r := newRegistry(40, 1<<20)
	left := 0
	r.onLeft = func() { left++ }
	r.add(ringEntries(40))
	for _, e := range r.toRead.take(40) {
		r.lane.postpone(e, 300)
	}
	if n, _ := r.memory.size(); n != 10 || left != 0 {
		t.Fatalf("%d of 40 messages wait for the lane in memory, want 10", n)
	}
	for range 5 {
		batch, _ := r.lane.takeFanout()
		r.remove(batch...)
	}
	if left != 1 {
		t.Errorf("the table was swept %d times when half of them were gone, want once", left)
	}
}
