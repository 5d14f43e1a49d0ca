package machine

import (
	"testing"
	"time"

	"relay"
	"relay/retry"
)

func TestLockedRowWaitsAlone(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(answered(d.plain(1, s)[0], accepted()))
	locked := one[Write](d)
	d.do(NotWritten{Entry: locked.Entry, Why: WhyLocked})
	d.do(answered(d.plain(2, s)[0], accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
	d.wait(150 * time.Millisecond)
	if c := one[Write](d); c.Entry != locked.Entry {
		t.Fatalf("write %+v", c)
	}
}

func TestNothingIsSentWhileNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(answered(d.plain(1, s)[0], accepted()))
	c := one[Write](d)
	d.do(NotWritten{Entry: c.Entry, Why: WhyUnknown})
	d.do(Reported{Rows: []Report{report(2, "")}})
	d.none()
	d.wait(60 * time.Millisecond)
	one[Write](d)
	d.do(Written{Entry: c.Entry})
	one[ReadRow](d)
}

func TestRefusedOutcomeIsWrittenWithLess(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(answered(d.plain(1, s)[0], failed(relay.ClassHandleFailed)))
	c := one[Write](d)
	if c.Changes[0].Attempt == nil {
		t.Fatalf("write %+v", c)
	}
	d.do(NotWritten{Entry: c.Entry, Why: WhyRefused, Text: "SQLSTATE 42P01"})
	if c = one[Write](d); c.Changes[0].Attempt != nil || c.Changes[0].Status != relay.DeliveryHandleFailed || c.Reduced != 1 {
		t.Fatalf("write %+v", c)
	}
	if !d.m.Unwritable()[0] {
		t.Fatal("the outcome does not count as one that cannot be written")
	}
	d.do(NotWritten{Entry: c.Entry, Why: WhyRefused, Text: "SQLSTATE 42P01"})
	if c = one[Write](d); c.MessageStatus != relay.MessageRejected {
		t.Fatalf("write %+v", c)
	}
	d.do(NotWritten{Entry: c.Entry, Why: WhyRefused, Text: "SQLSTATE 42P01"})
	d.none()
	d.wait(11 * time.Second)
	if c = one[Write](d); c.MessageStatus != relay.MessageOpen {
		t.Fatalf("write %+v", c)
	}
}

func TestGoneRowIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.keyed("k", pendingRow(1, "k", s))
	d.do(answered(one[Send](d), accepted()))
	d.do(NotWritten{Entry: one[Write](d).Entry, Why: WhyGone})
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read %+v", c)
	}
}

func TestReportedAgainWhileUnderWay(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	send := d.plain(1, s)[0]
	d.do(Found{Rows: []Report{{ID: id(1)}}})
	d.none()
	d.do(answered(send, accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Finished})
	d.none()
	d.empty()
}

func TestRowsThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	for n, read := range []RowRead{
		{Verdict: Absent, Snapshot: relay.Snapshot{Xmin: 50, Xmax: 50, Durable: true}}, // not visible yet
		{Verdict: NoRoom, Snapshot: shows(1000)},
		{Failed: true},
	} {
		d.do(Reported{Rows: []Report{report(n, "")}})
		read.Entry = one[ReadRow](d).Entry
		d.do(read)
		d.none()
		d.wait(100 * time.Millisecond)
		one[ReadRow](d)
		read = RowRead{Entry: read.Entry, Verdict: Later, Snapshot: shows(1000)}
		d.do(read)
		d.empty()
		d.wait(time.Second)
		d.take()
	}
}

func TestConclude(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		statuses    []relay.DeliveryStatus
		want        relay.MessageStatus
		outstanding int
	}{
		{[]relay.DeliveryStatus{relay.DeliveryHandled, relay.DeliveryPushFailed}, relay.MessageOpen, 1},
		{[]relay.DeliveryStatus{relay.DeliveryHandled, relay.DeliveryDead}, relay.MessageDead, 0},
		{[]relay.DeliveryStatus{relay.DeliveryHandled, relay.DeliveryCancelled}, relay.MessageDone, 0},
		{[]relay.DeliveryStatus{relay.DeliveryCancelled}, relay.MessageCancelled, 0},
	} {
		var w Write
		for _, s := range c.statuses {
			w.Changes = append(w.Changes, retry.Change{Status: s})
		}
		if w.conclude(); w.MessageStatus != c.want || w.Outstanding != c.outstanding {
			t.Errorf("%v: %s, %d outstanding", c.statuses, w.MessageStatus, w.Outstanding)
		}
	}
}

// A row that was reported, and that is not there although its transaction is visible, is missed.
func TestMissedRow(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.do(Reported{Rows: []Report{report(1, "")}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000)})
	if c := one[Missed](d); c.ID != id(1) {
		t.Fatalf("missed %+v", c)
	}
	d.do(Found{Rows: []Report{{ID: id(2)}}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000)})
	d.none() // the stream did not show it
	d.empty()
}
