package machine

import (
	"testing"
	"time"

	"relay"
	"relay/retry"
)

// overdueConfig gives deliveries up after a minute.
func overdueConfig() Config {
	config := testConfig
	config.Policy.GiveUpAfter = time.Minute
	return config
}

// A delivery that has been due for too long ends whatever stands before it in its key, and what waits behind it is
// looked at when that is written.
func TestOverdueEndsAndWakesItsKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, overdueConfig()), subscriber("s")
	overdue := Overdue{Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}}
	d.do(overdue)
	if c := one[ReadRow](d); c.Entry != openID(1, s) {
		t.Fatalf("read %+v", c)
	}
	d.do(overdue)
	d.none() // it is being read
	row := openRow(1, "k", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})
	row.Waited = time.Hour
	d.do(RowRead{Entry: openID(1, s), Snapshot: shows(1000), Verdict: Readable, Row: row})
	c := one[Write](d)
	if c.Changes[0].Status != relay.DeliveryDead || c.Changes[0].Cause != relay.CauseGaveUp {
		t.Fatalf("write %+v", c)
	}
	d.do(Written{Entry: c.Entry})
	if c := one[ReadKey](d); c.Key != "k" {
		t.Fatalf("read %+v", c)
	}
}

// One that turns out not to be overdue stays as it is: no attempt is made outside the order of its key.
func TestNotOverdueStaysAsItIs(t *testing.T) {
	t.Parallel()
	d, s := drive(t, overdueConfig()), subscriber("s")
	d.do(Overdue{Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}})
	one[ReadRow](d)
	row := openRow(1, "k", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})
	row.Waited = time.Second
	d.do(RowRead{Entry: openID(1, s), Snapshot: shows(1000), Verdict: Readable, Row: row})
	one[ReadKey](d)
}

// Until it has ended it holds its place in its key, even if the key is read meanwhile.
func TestOverdueHoldsItsPlaceUntilThatIsWritten(t *testing.T) {
	t.Parallel()
	d, s := drive(t, overdueConfig()), subscriber("s")
	d.do(Overdue{Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}})
	one[ReadRow](d)
	d.do(KeysFreed{Keys: []Report{{Key: "k"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{
		{ID: openID(1, s), Seq: 1, State: relay.WaitsDue}, {ID: openID(2, s), Seq: 2, State: relay.WaitsForKey},
	}})
	d.none()
}

// A claim that another relay has taken, or whose shard is lost, comes to nothing.
func TestClaimThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	said := Acknowledged{Deliveries: []DueDelivery{{ID: openID(1, s), Key: "k"}}}
	d.do(said)
	d.do(AckRead{Entry: one[ReadAck](d).Entry, None: true})
	d.none()
	d.empty()
	d.do(said)
	entry := one[ReadAck](d).Entry
	d.do(Lost{Shard: 0})
	d.do(claimed(entry, s, retry.Word{Ack: relay.Ack{Handled: true}, Attempt: 1}))
	d.none()
	d.empty()
	d.do(said)
	d.none() // the shard is another relay's
	d.do(Leased{Shard: 0, Epoch: 2})
	d.take()
	d.do(said)
	entry = one[ReadAck](d).Entry
	d.do(Lost{Shard: 0})
	d.do(Leased{Shard: 0, Epoch: 3})
	d.take()
	d.do(claimed(entry, s, retry.Word{Ack: relay.Ack{Handled: true}, Attempt: 1}))
	d.none() // another relay may have taken it meanwhile
	d.empty()
	d.do(AckRead{Entry: openID(1, s)})
	d.none() // nothing was asked
}

// What consumers say is taken as far as there is room, and is still written by a relay that stops.
func TestClaimsKeepToTheBudget(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 4
	d, s := drive(t, config), subscriber("s")
	var said Acknowledged
	for n := range 5 {
		said.Deliveries = append(said.Deliveries, DueDelivery{ID: openID(n+1, s)})
	}
	d.do(said)
	reads := commands[ReadAck](d)
	if len(reads) != 2 {
		t.Fatalf("reads %+v, want half of what memory holds", reads)
	}
	d.do(Stop{})
	d.do(claimed(reads[0].Entry, s, retry.Word{Ack: relay.Ack{Handled: true}, Attempt: 1}))
	if c := one[Write](d); c.Changes[0].Status != relay.DeliveryHandled {
		t.Fatalf("write %+v", c)
	}
}

// A delivery whose message has ended is ended, and its key is told so.
func TestOrphanNamesItsKey(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(KeysFreed{Keys: []Report{{Key: "k"}}})
	one[ReadKey](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Waiting: []Waiting{{ID: openID(1, s), Seq: 1, State: relay.WaitsDue}}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Finished})
	if c := only[EndOrphan](d); c.ID != openID(1, s) || c.Key != "k" {
		t.Fatalf("end %+v", c)
	}
}

// A delivery of a pending message that its consumer has handled already is not sent again: its message is taken up with
// it, and what writes it finds the consumer's word.
func TestHandledBeforeItWasWrittenIsNotSentAgain(t *testing.T) {
	t.Parallel()
	d, a, b := drive(t, testConfig), subscriber("a"), subscriber("b")
	a.AckByConsumer, a.AckTimeout = true, time.Minute
	d.do(Reported{Rows: []Report{report(1, "")}})
	row := pendingRow(1, "", a, b)
	row.Handled = []int{0}
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	send := one[Send](d)
	if send.Delivery.Subscriber.Name != "b" {
		t.Fatalf("sends %+v", send)
	}
	d.do(answered(send, accepted()))
	c := one[Write](d)
	if first := c.Changes[0]; first.Status != relay.DeliveryAwaitingAck || !first.Acknowledges || first.Attempts != 1 || first.Next != time.Minute {
		t.Fatalf("write %+v", c)
	}
}
