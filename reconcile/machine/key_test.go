package machine

import (
	"testing"
	"time"

	"relay"
	"relay/retry"
)

func TestKeyInOrder(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(1, "k", s), pendingRow(2, "k", s))
	first := one[Send](d)
	if first.Entry != pendingID(1) {
		t.Fatalf("first %v", first.Entry)
	}
	d.do(answered(first, accepted()))
	got := d.take()
	write, second := got[0].(Write), got[1].(Send)
	if write.MessageStatus != relay.MessageDone || second.Entry != pendingID(2) {
		t.Fatalf("commands %+v", got)
	}
	d.do(Written{Entry: write.Entry})
	d.do(answered(second, accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
	d.none()
	d.empty()
}

func TestUnseenHoldsItsPlace(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{report(1, "k"), report(2, "k")}})
	one[ReadKey](d)
	hidden := relay.Snapshot{Xmin: 101, Xmax: 200, InProgress: []uint64{101}, Durable: true}
	d.do(KeyRead{Key: "k", Snapshot: hidden, Rows: []Row{pendingRow(2, "k", s)}})
	d.none()
	d.wait(5 * time.Millisecond)
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read behind %d", c.After)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(200), Rows: []Row{pendingRow(1, "k", s), pendingRow(2, "k", s)}})
	if c := one[Send](d); c.Entry != pendingID(1) {
		t.Fatalf("sends %v first", c.Entry)
	}
}

func TestGoneIsForgotten(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.do(Reported{Rows: []Report{report(1, "k")}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(200)})
	if c := one[Missed](d); c.ID != id(1) {
		t.Fatalf("missed %v", c.ID)
	}
	d.empty()
}

func TestFailureParksWhatIsBehind(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(1, "k", s), pendingRow(2, "k", s))
	d.do(answered(one[Send](d), failed(relay.ClassPushFailed)))
	got := d.take()
	head, behind := got[0].(Write), got[1].(Write)
	if head.Changes[0].Status != relay.DeliveryPushFailed || head.Changes[0].Next < 900*time.Millisecond {
		t.Fatalf("head %+v", head.Changes[0])
	}
	if behind.Changes[0].Reason != relay.ReasonKeyBlocked {
		t.Fatalf("behind %+v", behind.Changes[0])
	}
	d.do(Written{Entry: head.Entry})
	d.do(Written{Entry: behind.Entry})
	one[ReadKey](d) // something is blocked, and nothing of the key is in memory
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{
		{ID: openID(1, s), Seq: 1, State: relay.WaitsForTime}, {ID: openID(2, s), Seq: 2, State: relay.WaitsForKey},
	}})
	d.none()
	d.empty()
	d.quiet = false
	d.wait(1100 * time.Millisecond)
	one[FindDue](d)
	d.do(Due{Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}, Next: time.Hour})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{
		{ID: openID(1, s), Seq: 1, State: relay.WaitsDue}, {ID: openID(2, s), Seq: 2, State: relay.WaitsForKey},
	}})
	reads := d.take()
	d.do(RowRead{Entry: reads[1].(ReadRow).Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(2, "k", s, retry.Open{Status: relay.DeliveryWaiting, Reason: relay.ReasonKeyBlocked})})
	d.none()
	d.do(RowRead{Entry: reads[0].(ReadRow).Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(1, "k", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})})
	again := one[Send](d)
	if !again.Due || again.Delivery.Attempt != 2 {
		t.Fatalf("again %+v", again)
	}
	d.do(answered(again, accepted()))
	if got := d.take(); len(got) != 2 || got[1].(Send).Entry != openID(2, s) {
		t.Fatalf("commands %+v", got)
	}
}

// TestAcceptedWhileItIsReadHoldsNothing checks that what waits behind a delivery goes on if that is found to be
// awaiting its acknowledgement, although the read of the key still showed it as due.
func TestAcceptedWhileItIsReadHoldsNothing(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	second := Waiting{ID: openID(2, s), Seq: 2, State: relay.WaitsForKey}
	d.do(KeysFreed{Keys: []Report{{Key: "k"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{{ID: openID(1, s), Seq: 1, State: relay.WaitsDue}, second}})
	reads := d.take()
	d.do(RowRead{Entry: reads[0].(ReadRow).Entry, Snapshot: shows(1000), Verdict: Later})
	one[ReadKey](d)
	row := openRow(2, "k", s, retry.Open{Status: relay.DeliveryWaiting, Reason: relay.ReasonKeyBlocked})
	d.do(RowRead{Entry: reads[1].(ReadRow).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	d.none() // the first may hold the key
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{second}})
	one[ReadKey](d) // that read began before the second was put back
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{second}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	if c := one[Send](d); c.Entry != openID(2, s) {
		t.Fatalf("sends %+v", c)
	}
}

func TestDeadUnderBlockHoldsItsKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.BlockOnDead = true
	d.do(Subscribed{Subscribers: map[string]*relay.Subscriber{"s": s}})
	d.take()
	d.do(Reported{Rows: []Report{report(2, "k")}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", s)}, Waiting: []Waiting{{ID: openID(1, s), Seq: 1, State: relay.WaitsDead}}})
	if c := one[Write](d); c.Changes[0].Reason != relay.ReasonKeyBlocked || c.MessageStatus != relay.MessageOpen {
		t.Fatalf("write %+v", c)
	}
}

func TestUnreportedRowEndsWhatIsTaken(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(3, "k", s))
	one[Send](d)
	d.do(Reported{Rows: []Report{report(5, "k")}})
	c := one[ReadKey](d)
	if c.After != 3 {
		t.Fatalf("read behind %d, want 3", c.After)
	}
	late := pendingRow(4, "k", s)
	late.XID = 2000
	d.do(KeyRead{Key: "k", Snapshot: shows(3000), Rows: []Row{late, pendingRow(5, "k", s)}})
	if e := d.m.pending[id(4)]; e != nil {
		t.Fatal("a row was taken that was not reported")
	}
}

func TestGapReadsFromTheBeginning(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(3, "k", s))
	one[Send](d)
	d.do(Reported{Rows: []Report{report(4, "k")}})
	one[ReadKey](d)
	d.do(Gap{})
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(4, "k", s)}})
	if c := one[ReadKey](d); c.After != 0 || len(c.Known) != 1 {
		t.Fatalf("read %+v", c)
	}
	d.do(KeyRead{Key: "k", Snapshot: relay.Snapshot{Xmin: 50, Xmax: 1000, InProgress: []uint64{50}, Durable: true}})
	d.do(Reported{Rows: []Report{report(6, "k")}})
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read behind %d although a transaction of before the gap is open", c.After)
	}
}

func TestNotDurableIsReadAgain(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Found{Rows: []Report{{ID: id(1), Key: "k"}, {ID: id(2)}}})
	d.take()
	volatile := shows(1000)
	volatile.Durable = false
	d.do(KeyRead{Key: "k", Snapshot: volatile, Rows: []Row{pendingRow(1, "k", s)}})
	d.do(RowRead{Entry: pendingID(2), Snapshot: volatile, Verdict: Readable, Row: pendingRow(2, "", s)})
	d.none()
	d.wait(10 * time.Millisecond)
	if got := d.take(); len(got) == 0 {
		t.Fatal("nothing is read again")
	}
}

func TestKeyIsFoundByReadingTheRow(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Found{Rows: []Report{{ID: id(1)}}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "k", s)})
	if c := one[ReadKey](d); c.Key != "k" || c.After != 0 {
		t.Fatalf("read %+v", c)
	}
}

func TestSlowHeadParksWhatWaitedForASecond(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(1, "k", s), pendingRow(2, "k", s))
	one[Send](d)
	d.wait(1100 * time.Millisecond)
	if c := one[Write](d); c.Entry != pendingID(2) || c.Changes[0].Reason != relay.ReasonKeyBlocked {
		t.Fatalf("write %+v", c)
	}
}

func TestKeyThatCannotBeReadWaitsAlone(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{report(1, "k")}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Failed: true})
	d.none()
	if sends := d.plain(2, s); len(sends) != 1 {
		t.Fatalf("sends %+v", sends)
	}
	d.wait(100 * time.Millisecond)
	one[ReadKey](d)
}

func TestUnorderedWaitsForNothing(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.Unordered = true
	d.do(Subscribed{Subscribers: map[string]*relay.Subscriber{"s": s}})
	d.take()
	d.keyed("k", pendingRow(1, "k", s), pendingRow(2, "k", s))
	if got := d.take(); len(got) != 2 {
		t.Fatalf("commands %+v, want two sends", got)
	}
	d.do(Found{Rows: []Report{{ID: id(9), Key: "j"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "j", Snapshot: shows(1000), Waiting: []Waiting{
		{ID: openID(7, s), Seq: 7, State: relay.WaitsForKey}, {ID: openID(8, s), Seq: 8, State: relay.WaitsMore},
	}})
	c := one[ReadRow](d)
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Finished})
	if got := d.take(); len(got) != 2 {
		t.Fatalf("commands %+v, want the end of an orphan, and the key read again", got)
	}
}

func TestReadAhead(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.ReadAhead = 2
	d, s := drive(t, config), subscriber("s")
	d.do(Reported{Rows: []Report{report(1, "k"), report(2, "k"), report(3, "k")}})
	if c := one[ReadKey](d); c.Most != 3 {
		t.Fatalf("reads %d", c.Most)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(1, "k", s), pendingRow(2, "k", s)}, More: true})
	send := one[Send](d)
	d.do(Found{Rows: []Report{{ID: id(9), Key: "k"}}})
	if c := one[ReadKey](d); c.Most != 1 {
		t.Fatalf("reads %d, for one is not visible", c.Most)
	}
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(3, "k", s)}, More: true})
	d.do(answered(send, accepted()))
	d.do(answered(d.take()[1].(Send), accepted()))
	got := d.take() // the outcome of the second, the third, and the next read: two are being written
	if c, ok := got[len(got)-1].(ReadKey); !ok || c.Most < 2 {
		t.Fatalf("commands %+v", got)
	}
}

// A burst of one key was read as a whole, and most of it once more since it had grown stale.
func TestABurstOfAKeyIsNotReadTooFarAhead(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig) // reads at most 16 ahead
	var burst Reported
	for n := 1; n <= 40; n++ {
		burst.Rows = append(burst.Rows, report(n, "k"))
	}
	d.do(burst)
	if c := one[ReadKey](d); c.Most != testConfig.MostAhead || len(c.Streamed) != c.Most {
		t.Fatalf("reads %d, of which %d are known from the stream, want %d", c.Most, len(c.Streamed), testConfig.MostAhead)
	}
}
