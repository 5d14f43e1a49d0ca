package machine

import (
	"testing"
	"time"

	"relay"
	"relay/retry"
)

// full is the outcome of a delivery that found no room at a destination that makes pace attempts a second.
func full(pace float64) relay.Outcome {
	o := parkedAs(relay.ReasonFull)
	o.Pace = pace
	return o
}

// waitsForRoom has deliveries wait in memory for room at a destination.
func waitsForRoom(d *driver, s *relay.Subscriber, from, n int, pace float64) {
	d.t.Helper()
	for i := range n {
		d.do(answered(d.plain(from+i, s)[0], full(pace)))
		d.none()
	}
}

// The destination serves what waits in the order in which it came, as much as it has room for.
func TestWhatWaitsForRoomIsServedInOrder(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	waitsForRoom(d, s, 1, 3, 10)
	d.wait(roomEveryWaiting)
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 2})
	for n, c := range d.take() {
		if c.(ReadRow).Entry != pendingID(n+1) {
			t.Fatalf("read %d is %+v", n+1, c)
		}
	}
	d.wait(roomEveryWaiting)
	one[AskRoom](d)
	d.do(Room{Destination: "s"})
	d.none()
	d.wait(roomEveryWaiting)
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 9})
	if c := one[ReadRow](d); c.Entry != pendingID(3) {
		t.Fatalf("read %+v", c)
	}
}

// What would wait for longer than its destination needs is parked, and so is what has waited for long.
func TestWhatWouldWaitForLongIsParked(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	waitsForRoom(d, s, 1, 2, 1) // two seconds at this pace
	d.keyed("k", pendingRow(3, "k", s))
	d.do(answered(one[Send](d), full(1)))
	if c := one[Write](d); c.Changes[0].Reason != relay.ReasonFull {
		t.Fatalf("write %+v", c)
	}
	d.wait(roomWait + time.Millisecond)
	only[AskRoom](d)
	d.do(Room{Destination: "s"})
	if got := commands[ReadRow](d); len(got) != 2 {
		t.Fatalf("reads %+v, want what has waited for too long", got)
	}
	read := RowRead{Entry: pendingID(1), Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "", s)}
	d.do(read)
	d.do(answered(one[Send](d), full(1)))
	d.none() // it may wait once more
	d.wait(roomWaitMost)
	only[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 1})
	d.take()
	d.do(read)
	d.do(answered(one[Send](d), full(1)))
	if c := one[Write](d); c.Entry != pendingID(1) || c.Changes[0].Reason != relay.ReasonFull {
		t.Fatalf("write %+v", c)
	}
}

// A pending message without a key stays as it is in the table instead: nothing depends on it, and a sweep finds it.
func TestPendingMessageBeyondWhatMayWaitIsLeftToTheTable(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	waitsForRoom(d, s, 1, 2, 1)
	d.do(answered(d.plain(3, s)[0], full(1)))
	d.none()
	if d.m.pending[id(3)] != nil || left(d) != 1 {
		t.Fatalf("left %d to the table", left(d))
	}
	d.due(4, s)
	d.take()
	d.do(RowRead{Entry: openID(4, s), Snapshot: shows(1000), Verdict: Readable, Row: openRow(4, "", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})})
	d.do(answered(only[Send](d), full(1)))
	if got := commands[Write](d); len(got) != 1 || got[0].Changes[0].Reason != relay.ReasonFull {
		t.Fatalf("writes %+v, want the delivery of an open message parked", got)
	}
}

// One of several deliveries of a message is parked: its message waits for the others alone.
func TestOneOfSeveralDoesNotWaitForRoom(t *testing.T) {
	t.Parallel()
	d, a, b := drive(t, testConfig), subscriber("a"), subscriber("b")
	sends := d.plain(1, a, b)
	d.do(answered(sends[0], full(10)))
	d.do(answered(sends[1], accepted()))
	if c := one[Write](d); c.Changes[0].Reason != relay.ReasonFull || c.Outstanding != 1 {
		t.Fatalf("write %+v", c)
	}
}

// What was forgotten meanwhile takes no room from the others.
func TestWhatIsForgottenWaitsForRoomNoMore(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	waitsForRoom(d, s, 1, 1, 10)
	d.do(Lost{Shard: 0})
	d.do(Leased{Shard: 0, Epoch: 2})
	d.take()
	waitsForRoom(d, s, 2, 1, 10)
	d.wait(roomEveryWaiting)
	only[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 1})
	if got := commands[ReadRow](d); len(got) != 1 || got[0].Entry != pendingID(2) {
		t.Fatalf("reads %+v", got)
	}
}

// A relay that stops, or gives the shard up, waits for no room.
func TestWhatFindsNoRoomAtTheEndIsParked(t *testing.T) {
	t.Parallel()
	for _, end := range []Event{Stop{}, Drain{Shard: 0}} {
		d, s := drive(t, testConfig), subscriber("s")
		send := d.plain(1, s)[0]
		d.do(end)
		d.do(answered(send, full(10)))
		if c := one[Write](d); c.Changes[0].Reason != relay.ReasonFull {
			t.Fatalf("write %+v", c)
		}
	}
}
