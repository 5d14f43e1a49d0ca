package machine

import (
	"testing"
	"time"

	"relay"
	"relay/retry"
)

// While a delayed message of the key is due and not an ordinary one yet, nothing of the key is taken: its place may be
// before the others.
func TestLateMessageHoldsItsKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{report(2, "k")}})
	one[ReadKey](d)
	d.quiet = false
	d.wait(10 * time.Millisecond)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Late: true, Rows: []Row{pendingRow(2, "k", s)}})
	one[FindDue](d)
	d.do(Due{Messages: []Report{{ID: id(1), Key: "k"}}, Next: time.Hour})
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read %+v", c)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(1, "k", s), pendingRow(2, "k", s)}})
	if c := one[Send](d); c.Entry != pendingID(1) {
		t.Fatalf("sends %v first", c.Entry)
	}
}

// One that cannot be made an ordinary message has its key read again, more and more rarely.
func TestLateMessageIsLookedForAgain(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.do(Found{Rows: []Report{{ID: id(1), Key: "k"}}})
	for range 2 {
		one[ReadKey](d)
		d.do(KeyRead{Key: "k", Snapshot: shows(1000), Late: true})
		d.wait(10 * time.Millisecond)
	}
	one[ReadKey](d)
	for _, wait := range []time.Duration{20, 40, 80} {
		d.do(KeyRead{Key: "k", Snapshot: shows(1000), Late: true})
		d.none()
		d.wait(wait / 2 * time.Millisecond)
		d.none()
		d.wait(wait / 2 * time.Millisecond)
		one[ReadKey](d)
	}
}

// unnumbered is a report of a row whose sequence is not known.
func unnumbered(n int) Report {
	r := report(n, "k")
	r.Seq = 0
	return r
}

// A message whose sequence is not known may be the lowest: nothing of its key starts before SQL shows it.
func TestUnknownSequenceHoldsItsKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(2, "k", s), pendingRow(3, "k", s))
	first := one[Send](d)
	d.do(Reported{Rows: []Report{unnumbered(1)}})
	if c := one[ReadKey](d); c.After != 0 || len(c.Known) != 2 {
		t.Fatalf("read %+v, want from the beginning", c)
	}
	d.do(answered(first, accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
	d.none() // the third waits for the first
	d.do(KeyRead{Key: "k", Snapshot: relay.Snapshot{Xmin: 101, Xmax: 200, InProgress: []uint64{101}, Durable: true}})
	d.none()
	d.wait(5 * time.Millisecond)
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(200), Rows: []Row{pendingRow(1, "k", s)}})
	send := one[Send](d)
	if send.Entry != pendingID(1) {
		t.Fatalf("sends %v first", send.Entry)
	}
	d.do(answered(send, accepted()))
	if got := d.take(); len(got) != 2 || got[1].(Send).Entry != pendingID(3) {
		t.Fatalf("commands %+v", got)
	}
}

// One that SQL shows behind others takes its place there, and one that is gone is missed.
func TestUnknownSequenceIsLearntOrMissed(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{unnumbered(2), unnumbered(7)}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(200), Rows: []Row{pendingRow(1, "k", s), pendingRow(2, "k", s)}})
	got := d.take()
	if len(got) != 2 || got[0].(Missed).ID != id(7) || got[1].(Send).Entry != pendingID(1) {
		t.Fatalf("commands %+v", got)
	}
	if k := d.m.keys["k"]; k.entries[1].seq != 2 || k.unseen != 0 || k.knownUpTo != 2 {
		t.Fatalf("%d unseen, known up to %d", k.unseen, k.knownUpTo)
	}
}

// One that stands behind what was read is read later, like any other.
func TestUnknownSequenceBehindWhatWasRead(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.ReadAhead = 1
	d, s := drive(t, config), subscriber("s")
	d.do(Reported{Rows: []Report{unnumbered(5)}})
	if c := one[ReadKey](d); c.Most != 1 {
		t.Fatalf("read %+v", c)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(200), Rows: []Row{pendingRow(1, "k", s)}, More: true})
	send := one[Send](d)
	if k := d.m.keys["k"]; k.unseen != 0 || !k.more {
		t.Fatalf("%d unseen, more %t", k.unseen, k.more)
	}
	d.do(answered(send, accepted()))
	reads := commands[ReadKey](d)
	if len(reads) != 1 {
		t.Fatalf("reads %+v", reads)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(200), Rows: []Row{pendingRow(5, "k", s)}})
	if c := one[Send](d); c.Entry != pendingID(5) {
		t.Fatalf("sends %v", c.Entry)
	}
}

// A row behind the last one that was neither reported nor visible to the read from the beginning ends what is taken; if
// it may have been reported before that, the key is read from its beginning.
func TestRowThatMayHaveBeenReportedBefore(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Found{Rows: []Report{{ID: id(3), Key: "k"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: relay.Snapshot{Xmin: 104, Xmax: 200, InProgress: []uint64{104}, Durable: true}, Rows: []Row{pendingRow(3, "k", s)}})
	one[Send](d)
	d.m.keys["k"].gap = d.m.gap // as after all that may have been lost has ended
	d.m.keys["k"].readSoon()
	d.do(Tick{})
	if c := one[ReadKey](d); c.After != 3 {
		t.Fatalf("read %+v", c)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(300), Rows: []Row{pendingRow(4, "k", s)}})
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read %+v, want from the beginning", c)
	}
}

// Reports for which there is no room are left to the table, and a sweep follows.
func TestReportsOfAKeyKeepToTheBudget(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 8
	d := drive(t, config)
	var rows []Report
	for n := range 9 {
		rows = append(rows, report(n+1, "k"))
	}
	d.do(Reported{Rows: rows})
	one[ReadKey](d)
	if held := d.m.Held().Entries; held != 7 || left(d) != 2 {
		t.Fatalf("holds %d, left %d", held, left(d))
	}
	d.quiet = false
	d.wait(sweepAfter)
	only[Sweep](d)
}

// What waits in memory behind a message that SQL does not show gives its place to other keys after a second.
func TestWhatWaitsForAnUnseenMessageIsPutBack(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(2, "k", s), pendingRow(3, "k", s))
	send := one[Send](d)
	d.do(Reported{Rows: []Report{report(1, "k")}})
	one[ReadKey](d)
	hidden := relay.Snapshot{Xmin: 101, Xmax: 200, InProgress: []uint64{101}, Durable: true}
	d.do(KeyRead{Key: "k", Snapshot: hidden})
	d.do(answered(send, accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
	d.wait(1100 * time.Millisecond)
	d.take()
	if d.m.pending[id(3)] != nil || d.m.pending[id(1)] == nil {
		t.Fatal("the message behind is still in memory, or the unseen one is not")
	}
	d.do(KeyRead{Key: "k", Snapshot: hidden})
	d.wait(100 * time.Millisecond)
	only[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(1, "k", s), pendingRow(3, "k", s)}})
	if c := only[Send](d); c.Entry != pendingID(1) {
		t.Fatalf("sends %v", c.Entry)
	}
}

// A key that goes slowly is read ahead less than one that goes fast.
func TestReadAheadFollowsThePace(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	k := d.m.key("k", 0)
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 8}, {0, 16}, {0, 16}, {100 * time.Millisecond, 16}, {time.Second, 8}, {time.Second, 4}, {time.Second, 4}} {
		d.m.now += c.after
		if k.pace(); k.ahead != c.want {
			t.Fatalf("after %s it reads %d ahead, want %d", c.after, k.ahead, c.want)
		}
	}
}

// Only what is this relay's is read.
func TestKeysOfOtherShardsAreNotRead(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.do(KeysFreed{Keys: []Report{{Key: "k", Shard: 5}}})
	d.do(Reported{Rows: []Report{{ID: id(1), Key: "k", Shard: 5}}})
	d.do(Found{Rows: []Report{{ID: id(1), Shard: 5}}})
	d.none()
	d.empty()
	if !d.m.Owns(0) || d.m.Owns(5) {
		t.Fatal("owns another shard")
	}
	d.do(KeysFreed{Keys: []Report{{Key: "k"}}})
	one[ReadKey](d)
	d.do(Drain{Shard: 0})
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(1, "k", subscriber("s"))}})
	d.empty()
}

// A row that the stream reports while a person's change is under way is read once more when that has ended.
func TestReportedAgainWithItsKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(1, "k", s))
	send := one[Send](d)
	d.do(Reported{Rows: []Report{report(1, "k")}})
	d.none()
	d.do(answered(send, relay.Outcome{Class: relay.ClassDelivered, Started: time.Unix(1, 0)}))
	d.do(Written{Entry: one[Write](d).Entry})
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read %+v", c)
	}
}

// When a message that was read again has ended otherwise, its key is looked at: something may have waited for it.
func TestKeyIsReadWhenItsMessageHasEndedOtherwise(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(1, "k", s))
	d.do(answered(one[Send](d), parkedAs(relay.ReasonNone)))
	d.wait(20 * time.Millisecond)
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Finished})
	one[ReadKey](d)
}

// TestNothingPassesWhatHasLeftMemory checks that a delivery which goes on while its message is written waits for a
// message before it that was given up with its shard, if the relay keeps the shard after all.
func TestNothingPassesWhatHasLeftMemory(t *testing.T) {
	t.Parallel()
	d, s, other := drive(t, testConfig), subscriber("s"), subscriber("other")
	d.keyed("k", pendingRow(1, "k", s), pendingRow(2, "k", s, other))
	sends := commands[Send](d)
	if len(sends) != 2 {
		t.Fatalf("sends %+v", sends)
	}
	d.do(answered(sends[1], accepted()))
	d.wait(splitAfter)
	write := one[Write](d)
	d.do(answered(sends[0], parkedAs(relay.ReasonNone)))
	shard := write.Shard
	d.do(Drain{Shard: shard})
	d.do(Leased{Shard: shard, Epoch: write.Epoch})
	d.do(Written{Entry: write.Entry})
	open := retry.Open{Status: relay.DeliveryWaiting, Reason: relay.ReasonKeyBlocked}
	for _, c := range d.take() {
		if read, is := c.(ReadRow); is {
			d.do(RowRead{Entry: read.Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(2, "k", s, open)})
		}
	}
	if sends := commands[Send](d); len(sends) > 0 {
		t.Fatalf("sends %v before the first", sends[0].Entry)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(1, "k", s)}})
	if send := commands[Send](d); len(send) != 1 || send[0].Entry != pendingID(1) {
		t.Fatalf("sends %+v", send)
	}
}
