package sql

import (
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
	slices.Reverse(want)
	withDeliveries(t, admin, "t", "dead", "x handled", "y dead")
	withDeliveries(t, admin, "t", "cancelled", "x dead") // by SQL, which leaves it so
	lost := withDeliveries(t, admin, "t", "dead", "x dead")
	if _, err := admin.Exec(t.Context(), "delete from relay.outbox where id = $1", [16]byte(lost)); err != nil {
		t.Fatal(err)
	}
	f := MessageFilter{Status: Statuses{relay.MessageDead}, Subscription: "x"}
	if n, _, err := s.CountMessages(t.Context(), f, 0); err != nil || n != (Count{int64(len(want)), true}) {
		t.Errorf("counted %v, want %d: %v", n, len(want), err)
	}
	var after Cursor
	for _, id := range want {
		page, err := s.FindMessages(t.Context(), f, after, 1)
		if err != nil || len(page.Messages) != 1 || page.Messages[0].ID != id || page.Next == "" {
			t.Fatalf("after %s: %+v: %v", after, page, err)
		}
		after = page.Next
	}
	if page, err := s.FindMessages(t.Context(), f, after, 1); err != nil || len(page.Messages) != 0 || page.Next != "" {
		t.Errorf("after the last: %+v: %v", page, err)
	}
}
