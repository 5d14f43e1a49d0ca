package sql

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"relay"
)

// randomText does not compress.
func randomText(n int) string {
	b := make([]byte, n/2)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// A destination that did not fit into an index could not be written, nor could its batch.
func TestALongDestinationCanBeWritten(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	target, err := relay.ParseTarget("http://127.0.0.1:1/?" + randomText(7000))
	if err != nil {
		t.Fatal(err)
	}
	key := randomText(1024)
	change := taken(insert(t, admin, "topic, key", "'t', $1", key), relay.SubscriptionDirect, relay.DeliveryPushFailed)
	change.Shard = relay.ShardOf(change.Delivery.Message, key)
	change.MessageStatus, change.Outstanding, change.NextAttempt = relay.MessageOpen, 1, -1
	change.Delivery.Instance, change.Target, change.Circuit = target.Instance(), target.Raw, target.Origin()
	if written, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil || len(written) != 1 {
		t.Fatalf("wrote %v: %v", written, err)
	}
}

// failed is the change of a message whose first attempt failed.
func failed(id relay.ID, next time.Duration) Change {
	change := taken(id, "direct", relay.DeliveryPushFailed)
	change.MessageStatus, change.Outstanding, change.NextAttempt = relay.MessageOpen, 1, next
	return change
}

// The answer to a COMMIT may be lost: the same changes are then written again.
func TestOutcomesWrittenTwiceCountOnce(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic", "'t'")
	change := failed(id, time.Hour)
	for i := range 2 {
		written, err := s.WriteTaken(t.Context(), lease, []Change{change})
		if err != nil || len(written) != 1-i {
			t.Fatalf("wrote %v: %v", written, err)
		}
	}
	there, err := s.StillThere(t.Context(), []relay.ID{id}, false)
	if err != nil || len(there) != 0 {
		t.Errorf("a message that is taken up would be taken up again: %v: %v", there, err)
	}
	change.Taking, change.Attempts, change.Attempt.Number = false, 2, 2
	for range 2 {
		if written, err := s.WriteOpen(t.Context(), lease, []Change{change}); err != nil || len(written) != 1 {
			t.Fatalf("wrote %v: %v", written, err)
		}
	}
	var attempts []int32
	const recorded = "select array_agg(attempt order by attempt) from relay.attempt"
	if err := admin.QueryRow(t.Context(), recorded).Scan(&attempts); err != nil || !slices.Equal(attempts, []int32{1, 2}) {
		t.Errorf("attempts %v are recorded, want each once: %v", attempts, err)
	}
}

func TestWriteSkipsALockedDelivery(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	locked, free, bare := insert(t, admin, "topic", "'t'"), insert(t, admin, "topic", "'t'"), insert(t, admin, "topic", "'t'")
	changes := []Change{failed(locked, time.Hour), failed(free, time.Hour), failed(bare, time.Hour)}
	if _, err := s.WriteTaken(t.Context(), lease, changes); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "delete from relay.delivery where message_id = $1", [16]byte(bare)); err != nil {
		t.Fatal(err)
	}
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "update relay.delivery set next_attempt_at = now() where message_id = $1", [16]byte(locked)); err != nil {
		t.Fatal(err)
	}
	for i := range changes {
		changes[i].Taking, changes[i].Status, changes[i].NextAttempt = false, relay.DeliveryHandled, -1
	}
	written, err := s.WriteOpen(t.Context(), lease, changes)
	if err != nil || len(written) != 2 || slices.Contains(written, locked) {
		t.Fatalf("wrote %v: %v", written, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	written, err = s.WriteOpen(t.Context(), lease, changes)
	if err != nil || !slices.Contains(written, locked) {
		t.Fatalf("wrote %v: %v", written, err)
	}
}

// What made a message dead, or keeps it open, is told by the message, whichever of its
// subscribers it was.
func TestAMessageTellsTheErrorOfItsSubscribers(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	of := func(id relay.ID, subscription string, status relay.DeliveryStatus, message relay.MessageStatus, text string) Change {
		c := taken(id, subscription, status)
		c.MessageStatus, c.Error = message, text
		if message == relay.MessageOpen {
			c.Outstanding = 1
		}
		return c
	}
	for _, c := range []struct {
		message     relay.MessageStatus
		first, last relay.DeliveryStatus
		errors      [2]string
		want        string
	}{
		{relay.MessageDead, relay.DeliveryHandled, relay.DeliveryDead, [2]string{"", "gone"}, "gone"},
		{relay.MessageDead, relay.DeliveryDead, relay.DeliveryHandled, [2]string{"gone", ""}, "gone"},
		{relay.MessageDead, relay.DeliveryCancelled, relay.DeliveryDead, [2]string{"the instance is gone", "answered 410"}, "answered 410"},
		{relay.MessageOpen, relay.DeliveryHandled, relay.DeliveryPushFailed, [2]string{"", "refused"}, "refused"},
		{relay.MessageDone, relay.DeliveryHandled, relay.DeliveryHandled, [2]string{}, ""},
	} {
		id := insert(t, admin, "topic", "'t'")
		changes := []Change{of(id, "a", c.first, c.message, c.errors[0]), of(id, "b", c.last, c.message, c.errors[1])}
		if ids, err := s.WriteTaken(t.Context(), lease, changes); err != nil || len(ids) != 2 {
			t.Fatalf("wrote %v: %v", ids, err)
		}
		var got string
		if err := admin.QueryRow(t.Context(), "select coalesce(last_error, '') from relay.outbox where id = $1", [16]byte(id)).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%s after %v: last_error %q, want %q", c.message, c.errors, got, c.want)
		}
	}
}

// The default destination is the one of today: what waits for it, waits for its circuit.
func TestADeliveryIsParkedAtItsPresentCircuit(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	change := failed(insert(t, admin, "topic", "'t'"), 0)
	if _, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil {
		t.Fatal(err)
	}
	change.Taking, change.Target, change.Circuit, change.Attempt = false, "http://new/", "http://new:80", nil
	if _, err := s.WriteOpen(t.Context(), lease, []Change{change}); err != nil {
		t.Fatal(err)
	}
	var target, circuit string
	if err := admin.QueryRow(t.Context(), "select target, circuit from relay.delivery").Scan(&target, &circuit); err != nil {
		t.Fatal(err)
	}
	if target != "http://new/" || circuit != "http://new:80" {
		t.Errorf("target %s, circuit %s", target, circuit)
	}
}

// A session holds messages and lets go of them while they are being taken up: each is written
// with all of its deliveries, or not at all.
func TestAMessageIsTakenUpWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	const n = 200
	left := make(map[relay.ID][]Change)
	for range n {
		id := insert(t, admin, "topic", "'t'")
		a, b := failed(id, time.Hour), failed(id, time.Hour)
		a.Delivery.Subscription, b.Delivery.Subscription, a.Outstanding, b.Outstanding = "a", "b", 2, 2
		left[id] = []Change{a, b}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var holding sync.WaitGroup
	defer holding.Wait()
	defer cancel()
	holding.Go(func() {
		for ctx.Err() == nil {
			// It fails when the test has ended.
			_, _ = admin.Exec(ctx, "select count(*) from (select from relay.outbox order by id for update) x")
		}
	})
	for deadline := time.Now().Add(30 * time.Second); len(left) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages were always held", len(left))
		}
		var changes []Change
		for _, both := range left {
			changes = append(changes, both...)
		}
		written, err := s.WriteTaken(t.Context(), lease, changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range written {
			delete(left, id)
		}
	}
	var torn int
	if err := admin.QueryRow(t.Context(), "select count(*) from relay.outbox o where outstanding <> (select count(*) from relay.delivery d where d.message_id = o.id)").Scan(&torn); err != nil {
		t.Fatal(err)
	}
	if torn > 0 {
		t.Errorf("%d of %d messages lack a delivery", torn, n)
	}
}

// A person mends a row's destination and sets it back to pending: what became of the
// delivery to the former destination says nothing about the message any more.
func TestAMendedDestinationReplacesTheFormer(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	for _, former := range []relay.DeliveryStatus{relay.DeliveryDead, relay.DeliveryPushFailed} {
		id := insert(t, admin, "topic", "'t'")
		change := failed(id, 0)
		if former == relay.DeliveryDead {
			change.MessageStatus, change.Status, change.Outstanding, change.NextAttempt = relay.MessageDead, former, 0, -1
		}
		if _, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Exec(t.Context(), "update relay.outbox set status = 'pending' where id = $1", [16]byte(id)); err != nil {
			t.Fatal(err)
		}
		change = failed(id, time.Hour)
		change.Delivery.Instance = "mended"
		if _, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil {
			t.Fatal(err)
		}
		if due, err := s.DueDeliveries(t.Context(), shardsOf(lease), time.Time{}, 10); err != nil || len(due) != 0 {
			t.Errorf("%s: the former delivery is due: %v: %v", former, due, err)
		}
		change.Taking, change.Status, change.NextAttempt = false, relay.DeliveryHandled, -1
		if _, err := s.WriteOpen(t.Context(), lease, []Change{change}); err != nil {
			t.Fatal(err)
		}
		if status, n := messageStatus(t, admin, id); status != "done" || n != 0 {
			t.Errorf("%s: message is %s with %d outstanding", former, status, n)
		}
	}
}

// shardsOf returns the shards of a lease, ascending.
func shardsOf(lease Lease) []int16 { return slices.Sorted(maps.Keys(lease.Epochs)) }

// Readers end what is orphaned, and must not wait for another session.
func TestALockedOrphanIsPassedOver(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	locked, free := insert(t, admin, "topic", "'t'"), insert(t, admin, "topic", "'t'")
	changes := []Change{failed(locked, time.Hour), failed(free, time.Hour)}
	if _, err := s.WriteTaken(t.Context(), lease, changes); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "update relay.outbox set status = 'cancelled'"); err != nil {
		t.Fatal(err)
	}
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "select from relay.delivery where message_id = $1 for update", [16]byte(locked)); err != nil {
		t.Fatal(err)
	}
	ids := []relay.DeliveryID{changes[0].Delivery, changes[1].Delivery}
	ended := func() (n int) {
		t.Helper()
		if err := s.EndOrphans(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		if err := admin.QueryRow(t.Context(), "select count(*) from relay.delivery where status = 'cancelled'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	begun := time.Now()
	if n := ended(); n != 1 || time.Since(begun) > 5*time.Second {
		t.Errorf("%d ended after %s", n, time.Since(begun))
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := ended(); n != 2 {
		t.Errorf("%d ended when nothing is locked", n)
	}
}
