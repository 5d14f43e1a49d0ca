package machine

import (
	"fmt"
	"testing"

	"relay"
)

func subscribers(n int) (all []*relay.Subscriber) {
	for i := range n {
		all = append(all, subscriber(fmt.Sprintf("s%d", i)))
	}
	return all
}

// fanned has a message with many subscribers read, and returns its attempts.
func fanned(d *driver, n, deliveries int) []Command {
	d.t.Helper()
	d.do(Reported{Rows: []Report{report(n, "")}})
	c := one[ReadRow](d)
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(n, "", subscribers(deliveries)...)})
	return d.take()
}

// ends has all attempts accepted and the message written.
func ends(d *driver, sends []Command) {
	d.t.Helper()
	for _, c := range sends {
		d.do(answered(c.(Send), accepted()))
	}
	for _, c := range d.take() {
		if w, ok := c.(Write); ok {
			d.do(Written{Entry: w.Entry})
		}
	}
}

// A message with many deliveries waits for those before it that hold half of memory. One with few does not.
func TestMessagesWithManyDeliveriesWaitForEachOther(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	first := fanned(d, 1, 25)
	if len(first) != 25 {
		t.Fatalf("%d attempts", len(first))
	}
	if second := fanned(d, 2, FanoutFrom); len(second) != 0 {
		t.Fatalf("%d attempts of the second beside 25 of 40", len(second))
	}
	if held := d.m.Held(); held.FannedOut != 1 {
		t.Fatalf("holds %+v", held)
	}
	if small := fanned(d, 3, FanoutFrom-1); len(small) != FanoutFrom-1 {
		t.Fatalf("%d attempts of a message with few", len(small))
	}
	ends(d, first)
	if c := one[ReadRow](d); c.Entry != pendingID(2) {
		t.Fatalf("reads %+v", c)
	}
	d.do(RowRead{Entry: pendingID(2), Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(2, "", subscribers(FanoutFrom)...)})
	if second := d.take(); len(second) != FanoutFrom || d.m.Held().FannedOut != 0 {
		t.Fatalf("%d attempts, holds %+v", len(second), d.m.Held())
	}
}

// The same holds for one of a key, which is read again when there is room.
func TestKeyWithManyDeliveriesWaits(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	first := fanned(d, 1, 25)
	d.do(Found{Rows: []Report{{ID: id(2), Key: "k"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", subscribers(20)...)}})
	d.none()
	if held := d.m.Held(); held.FannedOut != 1 {
		t.Fatalf("holds %+v", held)
	}
	ends(d, first)
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", subscribers(20)...)}})
	if sends := d.take(); len(sends) != 20 {
		t.Fatalf("%d attempts", len(sends))
	}
}

// One that does not fit beside another is not read again and again while that holds its room.
func TestMessageThatDoesNotFitBesideAnotherIsNotReadInVain(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	first := fanned(d, 1, FanoutFrom) // less than half of the room
	if second := fanned(d, 2, 30); len(second) != 0 {
		t.Fatalf("commands %+v", second)
	}
	ends(d, first)
	one[ReadRow](d)
}

// One that alone has more deliveries than half of memory holds goes when no other is there.
func TestMessageWithMoreDeliveriesThanHalfOfMemoryGoes(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	if sends := fanned(d, 1, 60); len(sends) != 60 {
		t.Fatalf("%d attempts", len(sends))
	}
}

// Those that wait hold a quarter of memory at the most. The others are left to a sweep.
func TestWaitingMessagesWithManyDeliveriesAreBounded(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	fanned(d, 1, 40)
	for n := range 25 {
		fanned(d, 2+n, 20)
	}
	if held := d.m.Held(); held.FannedOut != 20 || left(d) != 5 {
		t.Fatalf("holds %+v, %d left", held, left(d))
	}
	d.quiet = false
	d.wait(sweepAfter)
	only[Sweep](d)
}

// readAgain answers the read of a message that waited.
func readAgain(d *driver, n, deliveries int) []Command {
	d.t.Helper()
	if c := one[ReadRow](d); c.Entry != pendingID(n) {
		d.t.Fatalf("reads %+v", c)
	}
	d.do(RowRead{Entry: pendingID(n), Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(n, "", subscribers(deliveries)...)})
	return d.take()
}

// Those that wait go in their order, as many as there is room for. None passes a larger one, which would wait for ever.
func TestMessagesWithManyDeliveriesGoInTheirOrder(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	first := fanned(d, 1, 20)
	fanned(d, 2, 30)
	if third := fanned(d, 3, 18); len(third) != 0 {
		t.Fatalf("%d attempts of the third, which passes the second", len(third))
	}
	fanned(d, 4, FanoutFrom)
	d.m.pending[id(4)].remove()
	fanned(d, 5, FanoutFrom)
	ends(d, first)
	second := readAgain(d, 2, 30)
	if len(second) != 30 {
		t.Fatalf("%d attempts", len(second))
	}
	ends(d, second)
	if got := commands[ReadRow](d); len(got) != 2 || got[0].Entry != pendingID(3) || got[1].Entry != pendingID(5) {
		t.Fatalf("reads %+v, want both that fit", got)
	}
	d.do(RowRead{Entry: pendingID(3), Snapshot: shows(1000), Verdict: Finished})
	d.do(RowRead{Entry: pendingID(5), Snapshot: shows(1000), Verdict: Finished})
	if d.empty(); d.m.fanout.deliveries != 0 {
		t.Fatalf("%d deliveries are counted", d.m.fanout.deliveries)
	}
}

// A key whose message does not fit beside another is not read in vain.
func TestKeyThatDoesNotFitBesideAnotherIsNotReadInVain(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 80
	d := drive(t, config)
	first := fanned(d, 1, FanoutFrom)
	d.do(Found{Rows: []Report{{ID: id(2), Key: "k"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", subscribers(30)...)}})
	d.none()
	ends(d, first)
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", subscribers(30)...)}})
	if sends := d.take(); len(sends) != 30 || d.m.fanout.keysNeed != 0 {
		t.Fatalf("%d attempts", len(sends))
	}
}
