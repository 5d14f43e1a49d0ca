package sql

import (
	"testing"
	"time"

	"relay"
	"relay/test/harness"
)

var (
	saidHandled = relay.Ack{Handled: true}
	saidFailed  = relay.Ack{Retry: true, Error: "why"}
	saidNever   = relay.Ack{Error: "never"}
)

func subjectOf(c Change, attempt int) relay.AckSubject {
	return relay.AckSubject{Message: c.Delivery.Message, Subscriber: relay.AckSubscriberOf(c.Delivery.Subscription, c.Delivery.Instance), Attempt: attempt}
}

// ackable is the change of a message that was pushed and whose consumer acknowledges.
func ackable(id relay.ID, status relay.DeliveryStatus) Change {
	c := taken(id, "sub", status)
	c.Ackable = true
	c.MessageStatus, c.Outstanding = relay.MessageOpen, 1
	if status.Ended() {
		c.MessageStatus, c.Outstanding = relay.MessageDead, 0
	} else {
		c.NextAttempt = time.Hour
	}
	return c
}

func record(t *testing.T, s *Store, subject relay.AckSubject, ack relay.Ack, want relay.AckResult) {
	t.Helper()
	if got, err := s.RecordAck(t.Context(), subject, ack); err != nil || got != want {
		t.Errorf("%+v on attempt %d: %s, %v, want %s", ack, subject.Attempt, got, err, want)
	}
}

// found says which acknowledgements can be applied now, by attempt, and which are moot.
func found(t *testing.T, s *Store) (apply []AckRow, moot int) {
	t.Helper()
	all := make([]int16, relay.Shards)
	for i := range all {
		all[i] = int16(i)
	}
	rows, err := s.FindAcks(t.Context(), all, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Moot {
			moot++
		} else {
			apply = append(apply, r)
		}
	}
	return apply, moot
}

// A session that holds messages takes neither the time nor the connections of others.
func TestAnAcknowledgementDoesNotWaitForASession(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	var changes []Change
	for range 2 {
		changes = append(changes, ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryAwaitingAck))
	}
	if _, err := s.WriteTaken(t.Context(), lease, changes); err != nil {
		t.Fatal(err)
	}
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "select from relay.outbox where id = $1 for update", [16]byte(changes[0].Delivery.Message)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if got, err := s.RecordAck(t.Context(), subjectOf(changes[0], 1), saidHandled); err == nil {
		t.Errorf("a message that is held: %s", got)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	record(t, s, subjectOf(changes[1], 1), saidHandled, relay.AckHandled)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(t, s, subjectOf(changes[0], 1), saidHandled, relay.AckHandled)
}

func TestTheKeyIsRandomAndOne(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	other := openAt(t, harness.Database(t).URL)
	if _, _, err := other.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, name, err := s.AckKey(t.Context())
	if err != nil || len(key) != 32 || name != db.Name {
		t.Fatalf("a key of %d bytes of %q, %v", len(key), name, err)
	}
	if again, _, _ := s.AckKey(t.Context()); string(again) != string(key) {
		t.Error("the key changes")
	}
	if another, _, _ := other.AckKey(t.Context()); string(another) == string(key) {
		t.Error("two databases have one key")
	}
	if err := s.Grant(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"relay.ack_key", "relay.ack"} {
		if _, err := db.App(t).Exec(t.Context(), "select from "+table); err == nil {
			t.Errorf("the application reads %s", table)
		}
	}
}

func TestAnAcknowledgementBeforeTheOutcomeDecides(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	for _, status := range []relay.DeliveryStatus{relay.DeliveryAwaitingAck, relay.DeliveryPushFailed, relay.DeliveryDead} {
		c := ackable(insert(t, admin, "topic", "'t'"), status)
		record(t, s, subjectOf(c, 1), saidHandled, relay.AckHandled)
		record(t, s, subjectOf(c, 1), saidHandled, relay.AckRepeated)
		record(t, s, subjectOf(c, 1), saidNever, relay.AckLate)
		if apply, moot := found(t, s); len(apply) != 0 || moot != 0 {
			t.Errorf("before the outcome %v can be applied, %d are moot", apply, moot)
		}
		if written, err := s.WriteTaken(t.Context(), lease, []Change{c}); err != nil || len(written) != 1 {
			t.Fatalf("wrote %v: %v", written, err)
		}
		if got, outstanding := messageStatus(t, admin, c.Delivery.Message); got != "done" || outstanding != 0 {
			t.Errorf("%s, but handled: the message is %s with %d outstanding", status, got, outstanding)
		}
		record(t, s, subjectOf(c, 1), saidHandled, relay.AckRepeated)
		record(t, s, subjectOf(c, 1), saidFailed, relay.AckLate)
	}
	if apply, moot := found(t, s); len(apply) != 0 || moot != 0 {
		t.Errorf("afterwards %v can be applied, %d are moot", apply, moot)
	}
}

func TestAFailureWaitsForItsAttemptAndCountsOnce(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	c := ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryAwaitingAck)
	if _, err := s.WriteTaken(t.Context(), lease, []Change{c}); err != nil {
		t.Fatal(err)
	}
	record(t, s, subjectOf(c, 2), saidFailed, relay.AckFailed)
	record(t, s, subjectOf(c, 2), saidFailed, relay.AckRepeated)
	if apply, _ := found(t, s); len(apply) != 0 {
		t.Errorf("%+v can be applied before its attempt is written", apply)
	}
	c.Taking, c.Attempts = false, 2
	if _, err := s.WriteOpen(t.Context(), lease, []Change{c}); err != nil {
		t.Fatal(err)
	}
	apply, _ := found(t, s)
	if len(apply) != 1 || apply[0].Delivery != c.Delivery || apply[0].Attempt != 2 || apply[0].Ack != saidFailed || apply[0].Status != relay.DeliveryAwaitingAck {
		t.Fatalf("found %+v", apply)
	}
	if again, err := s.ReadAcks(t.Context(), apply); err != nil || len(again) != 1 || again[0] != apply[0] {
		t.Errorf("read again: %+v, %v", again, err)
	}
	c.Status, c.AckAttempt, c.Attempt = relay.DeliveryHandleFailed, 2, nil
	if _, err := s.WriteOpen(t.Context(), lease, []Change{c}); err != nil {
		t.Fatal(err)
	}
	if apply, moot := found(t, s); len(apply) != 0 || moot != 0 {
		t.Errorf("afterwards %v can be applied, %d are moot", apply, moot)
	}
	record(t, s, subjectOf(c, 2), saidFailed, relay.AckRepeated)
	record(t, s, subjectOf(c, 1), saidFailed, relay.AckRepeated)
	record(t, s, subjectOf(c, 1), saidHandled, relay.AckHandled)
	var accepted bool
	if err := admin.QueryRow(t.Context(), "select delivered_at is not null from relay.delivery").Scan(&accepted); err != nil || !accepted {
		t.Errorf("it was accepted: %v, %v", accepted, err)
	}
}

func TestWhatIsLateOrUnknown(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	c := ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryAwaitingAck)
	if _, err := s.WriteTaken(t.Context(), lease, []Change{c}); err != nil {
		t.Fatal(err)
	}
	other := subjectOf(c, 1)
	other.Subscriber = relay.AckSubscriberOf("another", "")
	record(t, s, other, saidHandled, relay.AckLate)
	record(t, s, subjectOf(c, 1), saidFailed, relay.AckFailed)
	if _, err := s.CancelMessages(t.Context(), []relay.ID{c.Delivery.Message}, []relay.MessageStatus{relay.MessageOpen}); err != nil {
		t.Fatal(err)
	}
	record(t, s, subjectOf(c, 1), saidHandled, relay.AckLate)
	if _, moot := found(t, s); moot != 1 {
		t.Errorf("%d are moot, want 1", moot)
	}
	rows, err := s.FindAcks(t.Context(), []int16{c.Shard}, 100)
	if err == nil {
		err = s.DropAcks(t.Context(), rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, moot := found(t, s); moot != 0 {
		t.Error("what is moot is not removed")
	}
	record(t, s, relay.AckSubject{Message: relay.NewID(), Attempt: 1}, saidHandled, relay.AckUnknown)
}

// A message whose row another session holds is left for later, and the others of the batch are written.
func TestAcknowledgedBatchesPassOverLockedMessages(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	held, free := ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryAwaitingAck), ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryAwaitingAck)
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), lockAcked, [16]byte(held.Delivery.Message)); err != nil {
		t.Fatal(err)
	}
	written, err := s.WriteTaken(t.Context(), lease, []Change{held, free})
	if err != nil || len(written) != 1 || written[0] != free.Delivery.Message {
		t.Errorf("wrote %v: %v", written, err)
	}
}

// A relay that takes a shard over may find a delivery due before it has applied what its
// consumer said: the word counts, nothing is sent again.
func TestWhatItsConsumerSpokeOfIsNotReadToBeSent(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	limits := Limits{MaxPayload: 100, Budget: 100}
	for _, said := range []relay.Ack{saidHandled, saidFailed, saidNever} {
		c := ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryAwaitingAck)
		c.NextAttempt = 0
		if _, err := s.WriteTaken(t.Context(), lease, []Change{c}); err != nil {
			t.Fatal(err)
		}
		read := func() Verdict {
			rows, err := s.ReadDeliveries(t.Context(), []relay.DeliveryID{c.Delivery}, limits)
			if err != nil || len(rows) != 1 {
				t.Fatalf("read %v: %v", rows, err)
			}
			return rows[0].Verdict
		}
		if got := read(); got != Readable {
			t.Fatalf("before a word: %v", got)
		}
		result := relay.AckFailed
		if said.Handled {
			result = relay.AckHandled
		}
		record(t, s, subjectOf(c, c.Attempts+1), saidFailed, relay.AckFailed)
		if got := read(); got != Readable {
			t.Errorf("a failure of an attempt that is not written yet, and cannot be applied: %v", got)
		}
		record(t, s, subjectOf(c, c.Attempts), saidFailed, relay.AckRepeated)
		if _, err := admin.Exec(t.Context(), "delete from relay.ack"); err != nil {
			t.Fatal(err)
		}
		record(t, s, subjectOf(c, c.Attempts), said, result)
		if got := read(); got != NotDue {
			t.Errorf("after %+v: %v", said, got)
		}
	}
}

// The answer to an attempt may tell the same failure as the consumer's word does. The attempts
// before a person had it sent again have the same numbers and say nothing.
func TestAFailureThatTheAnswerToldIsKnown(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	c := ackable(insert(t, admin, "topic", "'t'"), relay.DeliveryHandleFailed)
	record(t, s, subjectOf(c, 1), saidFailed, relay.AckFailed)
	c.Attempt = &relay.Attempt{Number: 1, Started: time.Now(), Outcome: relay.DeliveryHandleFailed}
	if _, err := s.WriteTaken(t.Context(), lease, []Change{c}); err != nil {
		t.Fatal(err)
	}
	c.Taking = false
	for i, step := range []struct {
		attempt int
		outcome relay.DeliveryStatus
		counted bool
	}{
		{1, "", true},
		{2, relay.DeliveryAwaitingAck, false},
		{1, relay.DeliveryHandleFailed, true},
		{1, relay.DeliveryAwaitingAck, false},
	} {
		if step.outcome != "" {
			started := time.Now().Add(time.Duration(i) * time.Minute)
			c.Status, c.Attempts, c.Attempt = step.outcome, step.attempt, &relay.Attempt{Number: step.attempt, Started: started, Outcome: step.outcome}
			if _, err := s.WriteOpen(t.Context(), lease, []Change{c}); err != nil {
				t.Fatal(err)
			}
			record(t, s, subjectOf(c, step.attempt), saidFailed, relay.AckFailed)
		}
		apply, _ := found(t, s)
		if len(apply) != 1 || apply[0].Counted != step.counted {
			t.Errorf("step %d: found %+v", i, apply)
		}
		if _, err := admin.Exec(t.Context(), "delete from relay.ack"); err != nil {
			t.Fatal(err)
		}
	}
}
