package machine

import (
	"strings"
	"testing"
	"time"

	"relay"
	"relay/retry"
)

func TestRejectedRow(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.do(Reported{Rows: []Report{report(1, "")}})
	row := pendingRow(1, "")
	row.Rejected = "no route"
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	c := one[Write](d)
	if c.MessageStatus != relay.MessageRejected || c.Changes[0].Error != "no route" || !c.Taking {
		t.Fatalf("write %+v", c)
	}
	d.do(Written{Entry: c.Entry})
	d.empty()
}

func TestRejectedByItsOnlyDestination(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(answered(d.plain(1, s)[0], relay.Outcome{Class: relay.ClassRejected, Error: "bad header"}))
	if c := one[Write](d); c.MessageStatus != relay.MessageRejected {
		t.Fatalf("write %+v", c)
	}
}

func TestOpenDeliveryThatCannotBeSentIsDead(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	row := openRow(1, "", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})
	row.Rejected, row.Deliveries = "there is no subscription any more", nil
	d.due(1, s)
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	if c := one[Write](d); c.Changes[0].Status != relay.DeliveryDead || c.Taking {
		t.Fatalf("write %+v", c)
	}
}

// due has a delivery found whose time has come.
func (d *driver) due(n int, s *relay.Subscriber) {
	d.t.Helper()
	d.quiet = false
	d.wait(1100 * time.Millisecond)
	d.take()
	d.do(Due{Deliveries: []DueDelivery{{ID: openID(n, s)}}, Next: time.Hour})
	d.quiet = true
}

func TestFanOutIsTakenUpInParts(t *testing.T) {
	t.Parallel()
	d, a, b := drive(t, testConfig), subscriber("a"), subscriber("b")
	sends := d.plain(1, a, b)
	d.do(answered(sends[0], accepted()))
	d.none()
	d.wait(300 * time.Millisecond)
	c := one[Write](d)
	if c.MessageStatus != relay.MessageOpen || c.Outstanding != 1 || c.Changes[1].Status != relay.DeliveryWaiting {
		t.Fatalf("write %+v", c)
	}
	d.do(answered(sends[1], accepted()))
	d.none() // its message has to be open first
	d.do(Written{Entry: c.Entry})
	rest := one[Write](d)
	if rest.Taking || rest.Entry != openID(1, b) {
		t.Fatalf("write %+v", rest)
	}
	d.do(Written{Entry: rest.Entry})
	d.empty()
}

func TestBroadcastInMemory(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.Broadcast = true
	d.keyed("k", pendingRow(1, "k", s), pendingRow(2, "k", s))
	d.do(answered(one[Send](d), relay.Outcome{Class: relay.ClassResolved, Instances: []string{"h:1", "h:2"}}))
	got := d.take()
	if len(got) != 3 || got[2].(Send).Entry != pendingID(2) {
		t.Fatalf("commands %+v, want two instances and the next of the key", got)
	}
	d.do(answered(got[0].(Send), accepted()))
	d.do(answered(got[1].(Send), failed(relay.ClassPushFailed)))
	c := one[Write](d)
	if len(c.Changes) != 2 || c.Changes[0].ID.Instance != "h:1" || c.Outstanding != 1 {
		t.Fatalf("write %+v", c)
	}
}

func TestBroadcastInTheTable(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.Broadcast = true
	d.due(1, s)
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(1, "", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})})
	d.do(answered(one[Send](d), relay.Outcome{Class: relay.ClassResolved, Instances: []string{"h:1", "h:2"}}))
	c := one[Write](d)
	if len(c.Spread) != 2 || c.Spread[1].ID.Instance != "h:2" || c.Spread[0].Next != 0 {
		t.Fatalf("write %+v", c)
	}
	d.do(Written{Entry: c.Entry})
	d.empty()
}

func TestInstanceThatIsGoneIsCancelled(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Policy.GiveUpAfter = time.Minute
	d, s := drive(t, config), subscriber("s")
	row := openRow(1, "", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})
	row.Waited, row.Deliveries[0].Instance = time.Hour, "h:1"
	d.quiet = false
	d.wait(1100 * time.Millisecond)
	d.take()
	d.do(Due{Deliveries: []DueDelivery{{ID: relay.DeliveryID{Message: id(1), Subscription: "s", Instance: "h:1"}}}, Next: time.Hour})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	check := one[Send](d)
	if !check.Check {
		t.Fatalf("send %+v", check)
	}
	d.do(answered(check, relay.Outcome{Class: relay.ClassDead, Gone: true}))
	if c := one[Write](d); c.Changes[0].Status != relay.DeliveryCancelled {
		t.Fatalf("write %+v", c)
	}
}

func TestStaleIsReadAgain(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{report(1, "")}})
	c := one[ReadRow](d)
	d.now += 1500 * time.Millisecond
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "", s)})
	c = one[ReadRow](d)
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "", s)})
	send := one[Send](d)
	if send.Before > d.now+2*time.Second {
		t.Fatalf("it may begin until %s, read at about %s", send.Before, d.now)
	}
	d.do(answered(send, parkedAs(relay.ReasonNone)))
	d.none()
	d.wait(10 * time.Millisecond)
	one[ReadRow](d)
}

func TestWaitedForItsTurn(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	first, second := d.plain(1, s)[0], d.plain(2, s)[0]
	d.do(answered(first, accepted()))
	one[Write](d)
	full := parkedAs(relay.ReasonFull)
	full.Pace = 10
	d.do(answered(second, full)) // the destination moves
	d.none()
	d.wait(roomEveryWaiting)
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 1})
	c := one[ReadRow](d)
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(2, "", s)})
	d.do(answered(one[Send](d), parkedAs(relay.ReasonFull))) // and now it does not
	if w := one[Write](d); w.Changes[0].Reason != relay.ReasonFull || w.Changes[0].Status != relay.DeliveryWaiting {
		t.Fatalf("write %+v", w)
	}
}

func TestPausedIsParked(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.Paused = true
	d.do(Subscribed{Subscribers: map[string]*relay.Subscriber{"s": s}})
	d.take()
	d.do(Reported{Rows: []Report{report(1, "")}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "", s)})
	c := one[Write](d)
	if c.Changes[0].Reason != relay.ReasonPaused {
		t.Fatalf("write %+v", c)
	}
	d.do(Written{Entry: c.Entry})
	d.none() // no room is asked for while it is paused
	resumed := *s
	resumed.Paused = false
	d.do(Subscribed{Subscribers: map[string]*relay.Subscriber{"s": &resumed}})
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 3})
	one[ReadParked](d)
	d.do(Parked{Destination: "s", Deliveries: []DueDelivery{{ID: openID(1, s)}}, Last: 1, End: true})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(1, "", &resumed, retry.Open{Status: relay.DeliveryWaiting, Reason: relay.ReasonPaused})})
	d.do(answered(one[Send](d), parkedAs(relay.ReasonPaused)))
	d.none() // the table says that already
	d.wait(200 * time.Millisecond)
	one[AskRoom](d)
	d.do(Room{Destination: "s"})
	d.none()
	d.wait(200 * time.Millisecond)
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 1})
	one[ReadParked](d)
	d.do(Parked{Destination: "s", End: true})
	d.wait(200 * time.Millisecond)
	d.none()
	d.empty()
}

func TestParkedWithAKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Backlog{Destinations: []string{"s"}})
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 1})
	one[ReadParked](d)
	d.do(Parked{Destination: "s", Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}, Last: 1, End: true})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{
		{ID: openID(1, s), Seq: 1, Destination: "s", State: relay.WaitsForRoom}, {ID: openID(2, s), Seq: 2, Destination: "s", State: relay.WaitsForRoom},
	}})
	if c := one[ReadRow](d); c.Entry != openID(1, s) {
		t.Fatalf("reads %+v; there was room for one", c)
	}
	d.do(Parked{Destination: "s", Failed: true})
	d.do(Backlog{Failed: true})
}

// claimed is the answer to the read of what a consumer said.
func claimed(entry relay.DeliveryID, s *relay.Subscriber, w retry.Word) AckRead {
	return AckRead{
		Entry: entry, Delivery: &relay.Delivery{Message: &relay.Message{ID: entry.Message}, Subscriber: s, Attempt: 1},
		Open: retry.Open{Status: relay.DeliveryAwaitingAck, Attempts: 1}, Word: w,
	}
}

func TestAcknowledged(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.AckByConsumer, s.AckTimeout = true, time.Minute
	send := d.plain(1, s)[0]
	said := Acknowledged{Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}}
	d.do(said)
	d.none() // its outcome comes first
	d.do(answered(send, relay.Outcome{Class: relay.ClassAwaitingAck, Started: time.Unix(1, 0)}))
	c := one[Write](d)
	if c.Changes[0].Next != time.Minute || !c.Changes[0].Acknowledges {
		t.Fatalf("write %+v", c)
	}
	d.do(Written{Entry: c.Entry})
	d.do(said)
	if read := one[ReadAck](d); read.Entry != openID(1, s) || read.Shard != 0 {
		t.Fatalf("read %+v", read)
	}
	d.do(claimed(openID(1, s), s, retry.Word{Ack: relay.Ack{Handled: true}, Attempt: 1}))
	c = one[Write](d)
	if c.Changes[0].Status != relay.DeliveryHandled || c.Changes[0].AckAttempt != 1 {
		t.Fatalf("write %+v", c)
	}
	d.do(Written{Entry: c.Entry})
	one[ReadKey](d)
	for again, want := range map[bool]relay.DeliveryStatus{true: relay.DeliveryHandleFailed, false: relay.DeliveryDead} {
		said.Deliveries[0].ID.Message = id(7)
		d.do(said)
		d.do(claimed(one[ReadAck](d).Entry, s, retry.Word{Ack: relay.Ack{Retry: again, Error: "no stock"}, Attempt: 1}))
		c := one[Write](d)
		if change := c.Changes[0]; change.Status != want || change.HandleAttempts != 1 || !strings.Contains(change.Error, "no stock") {
			t.Fatalf("retry %t: %+v", again, c)
		}
		d.do(NotWritten{Entry: c.Entry, Why: WhyGone})
	}
}

func TestSilentConsumer(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.AckByConsumer = true
	d.due(1, s)
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(1, "", s, retry.Open{Status: relay.DeliveryAwaitingAck, Attempts: 3, Accepted: true})})
	if c := one[Write](d); c.Changes[0].Status != relay.DeliveryDead || !strings.Contains(c.Changes[0].Error, "ack_timeout") {
		t.Fatalf("write %+v", c)
	}
}
