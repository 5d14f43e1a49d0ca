package sql

import (
	"testing"
	"time"

	"relay"
)

// spreadOver is the change that replaces the delivery of a message by those of instances.
func spreadOver(id relay.ID, instances ...string) Change {
	plain := Change{
		Delivery: relay.DeliveryID{Message: id, Subscription: "sub"}, Shard: relay.ShardOf(id, ""), Target: "http://h/", Circuit: "sub",
		Status: relay.DeliveryWaiting, NextAttempt: 0,
	}
	change := plain
	for _, instance := range instances {
		plain.Delivery.Instance, plain.Circuit = instance, "sub/"+instance
		change.Spread = append(change.Spread, plain)
	}
	return change
}

func TestADeliveryGivesWayToItsInstances(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic", "'t'")
	first := failed(id, time.Hour)
	first.Delivery.Subscription, first.Delivery.Instance = "sub", ""
	other := failed(id, time.Hour)
	first.Outstanding, other.Outstanding = 2, 2
	if _, err := s.WriteTaken(t.Context(), lease, []Change{first, other}); err != nil {
		t.Fatal(err)
	}
	states := func() (all string) {
		t.Helper()
		const statement = `select string_agg(concat_ws(' ', subscription, instance, circuit, status, attempts, next_attempt_at <= clock_timestamp()), ', ' order by subscription, instance)
			from relay.delivery`
		if err := admin.QueryRow(t.Context(), statement).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	const want = "direct x c push_failed 1 f, sub a sub/a waiting 0 t, sub b sub/b waiting 0 t, sub c sub/c waiting 0 t"
	for range 2 { // the answer may be lost
		if written, err := s.WriteSpread(t.Context(), lease, []Change{spreadOver(id, "a", "b", "c")}); err != nil || len(written) != 1 {
			t.Fatalf("wrote %v: %v", written, err)
		}
		if got := states(); got != want {
			t.Errorf("deliveries %s, want %s", got, want)
		}
		if status, outstanding := messageStatus(t, admin, id); status != "open" || outstanding != 4 {
			t.Errorf("message is %s with %d outstanding, want open with 4", status, outstanding)
		}
	}
}

// Rows of an earlier life of the message count again; those that are unfinished count already.
func TestSpreadingMeetsFormerInstances(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic", "'t'")
	var changes []Change
	for instance, status := range map[string]relay.DeliveryStatus{"": relay.DeliveryPushFailed, "a": relay.DeliveryCancelled, "b": relay.DeliveryPushFailed} {
		c := failed(id, time.Hour)
		c.Delivery.Subscription, c.Delivery.Instance, c.Status, c.Outstanding = "sub", instance, status, 2
		changes = append(changes, c)
	}
	if _, err := s.WriteTaken(t.Context(), lease, changes); err != nil {
		t.Fatal(err)
	}
	if written, err := s.WriteSpread(t.Context(), lease, []Change{spreadOver(id, "a", "b")}); err != nil || len(written) != 1 {
		t.Fatalf("wrote %v: %v", written, err)
	}
	var all string
	if err := admin.QueryRow(t.Context(), "select string_agg(instance || ' ' || status || ' ' || attempts, ', ' order by instance) from relay.delivery").Scan(&all); err != nil {
		t.Fatal(err)
	}
	if all != "a waiting 0, b push_failed 1" {
		t.Errorf("deliveries %s", all)
	}
	if status, outstanding := messageStatus(t, admin, id); status != "open" || outstanding != 2 {
		t.Errorf("message is %s with %d outstanding, want open with 2", status, outstanding)
	}
}
