package sql

import (
	"bytes"
	"slices"
	"testing"

	"relay"
)

// What is dead at a subscriber is found and counted by message, however many instances died.
func TestMessagesDeadAtASubscriberAreFoundOnce(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	var want []relay.ID
	for _, status := range []string{"dead", "open", "dead"} {
		id := withDeliveries(t, admin, "t", status, "x dead", "y handled")
		if _, err := admin.Exec(t.Context(), `insert into relay.delivery (message_id, subscription, instance, target, status, circuit, shard, seq, due_at)
			select message_id, subscription, 'another', target, status, circuit, shard, seq, due_at from relay.delivery where message_id = $1 and subscription = 'x'`, [16]byte(id)); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	// Those of one millisecond are in any order.
	slices.SortFunc(want, func(a, b relay.ID) int { return bytes.Compare(b[:], a[:]) })
	withDeliveries(t, admin, "t", "dead", "x handled", "y dead")
	withDeliveries(t, admin, "t", "cancelled", "x dead") // by SQL, which leaves it so
	lost := withDeliveries(t, admin, "t", "dead", "x dead")
	if _, err := admin.Exec(t.Context(), "delete from relay.outbox where id = $1", [16]byte(lost)); err != nil {
		t.Fatal(err)
	}
	f := MessageFilter{Status: relay.MessageDead, Subscription: "x"}
	if n, err := s.CountMessages(t.Context(), f); err != nil || n != int64(len(want)) {
		t.Errorf("counted %d, want %d: %v", n, len(want), err)
	}
	var after relay.ID
	for _, id := range want {
		page, err := s.FindMessages(t.Context(), f, after, 1)
		if err != nil || len(page.Messages) != 1 || page.Messages[0].ID != id || !page.More {
			t.Fatalf("after %s: %+v: %v", after, page, err)
		}
		after = page.Next
	}
	if page, err := s.FindMessages(t.Context(), f, after, 1); err != nil || len(page.Messages) != 0 || page.More {
		t.Errorf("after the last: %+v: %v", page, err)
	}
}
