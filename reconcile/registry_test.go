package reconcile

import (
	"testing"

	"relay"
	"relay/sql"
)

func ringEntries(n int) []entry {
	out := make([]entry, n)
	for i := range out {
		out[i] = messageEntry(relay.Ring{ID: relay.NewID()}, true)
	}
	return out
}

func TestRegistryDropsASecondRingAndLeavesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	r := newRegistry(10, 100)
	left := 0
	r.onLeft = func() { left++ }
	rings := ringEntries(12)
	if n := r.add(rings[:5]); n != 5 {
		t.Fatalf("added %d, want 5", n)
	}
	if n := r.add(rings[:5]); n != 0 || left != 0 {
		t.Fatalf("a second ring added %d", n)
	}
	if n := r.add(rings); n != 5 || left != 1 {
		t.Fatalf("added %d, want 5, with two left to the table once", n)
	}
	if got := r.toRead.take(100); len(got) != 10 {
		t.Fatalf("took %d entries, want 10", len(got))
	}
	if n, _ := r.memory.size(); n != 10 {
		t.Fatalf("%d in flight after taking, want 10", n)
	}
}

func TestRegistryAccountsForBytes(t *testing.T) {
	t.Parallel()
	r := newRegistry(10, 1<<20)
	r.add(ringEntries(3))
	entries := r.toRead.take(3)
	granted := r.memory.reserve(1 << 20)
	if granted != 1<<20 {
		t.Fatalf("granted %d of a free MiB", granted)
	}
	entries[0].bytes, entries[1].bytes = 700<<10, 300<<10
	r.memory.settle(granted, entries[:2])
	if _, bytes := r.memory.size(); bytes != 1000<<10 {
		t.Fatalf("%d bytes, want 1000 KiB", bytes)
	}
	if r.memory.sweepRoom() != 0 {
		t.Error("a sweep has room while more than seven eighths of the bytes are used")
	}
	if granted := r.memory.reserve(1 << 20); granted != smallReads {
		t.Errorf("granted %d while the bytes are used up, want what small messages get", granted)
	}
	r.memory.settle(smallReads, nil)
	r.remove(entries[0])
	r.remove(entries[0])
	r.leave(entries[1])
	if n, bytes := r.memory.size(); n != 1 || bytes != 0 {
		t.Errorf("%d entries with %d bytes are left, want 1 with 0", n, bytes)
	}
}

// The body of a message whose deliveries are written piece by piece is in memory until the last
// of them has ended.
func TestASharedBodyCountsUntilItsLastDeliveryIsGone(t *testing.T) {
	t.Parallel()
	r := newRegistry(10, 1<<20)
	r.add(ringEntries(1))
	message := r.toRead.take(1)[0]
	message.bytes = 1000
	r.memory.settle(0, []*entry{message})
	var parts []*entry
	for _, name := range []string{"a", "b"} {
		parts = append(parts, r.adopt(sql.DeliveryID{Message: message.id.Message, Subscription: name}, message))
	}
	for i, e := range []*entry{message, parts[1], parts[0]} {
		if _, bytes := r.memory.size(); bytes != 1000 {
			t.Errorf("%d bytes after %d of 3 are gone", bytes, i)
		}
		r.remove(e)
	}
	if n, bytes := r.memory.size(); n != 0 || bytes != 0 {
		t.Errorf("%d entries and %d bytes are left", n, bytes)
	}
}

// Half of one is none: a registry of one was never swept into.
func TestTheSmallestRegistryHasRoomForASweep(t *testing.T) {
	t.Parallel()
	r := newRegistry(1, 100)
	if n := r.memory.sweepRoom(); n != 1 {
		t.Errorf("an empty registry of one has room for %d, want 1", n)
	}
	if r.add(ringEntries(1)); r.memory.sweepRoom() != 0 {
		t.Error("a full registry has room")
	}
}
