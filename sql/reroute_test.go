package sql

import (
	"context"
	"slices"
	"testing"

	"relay"
)

// atOnce changes a batch as a whole.
func atOnce(ids []relay.ID, change func([]relay.ID) error) error { return change(ids) }

// One locked row kept all others from being taken up.
func TestRerouteGoesOnWhereARowIsLocked(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	const fill = "insert into relay.outbox (topic, status, last_error, finished_at) select 't', 'rejected', 'why', now() from generate_series(1, 2500)"
	if _, err := admin.Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "select 1 from relay.outbox limit 1 for update"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Reroute(t.Context(), shardsOf(own(t, s)), "why", []string{"t"}, atOnce); err != nil || n != 2499 {
		t.Fatalf("%d messages are taken up, want all but the locked one: %v", n, err)
	}
}

// The day began with the insertion: a message that was to be sent in two days, or had waited
// for a relay, stayed rejected although a route was made right after.
func TestARejectionIsYoungForADay(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic", "'young'")
	old := insert(t, admin, "topic", "'old'")
	if _, err := admin.Exec(t.Context(), "update relay.outbox set created_at = now() - interval '3 days'"); err != nil {
		t.Fatal(err)
	}
	var changes []Change
	for _, id := range []relay.ID{id, old} {
		c := Change{Delivery: relay.DeliveryID{Message: id}, Taking: true, MessageStatus: relay.MessageRejected, NextAttempt: -1, Error: "why"}
		c.Shard = relay.ShardOf(id, "")
		changes = append(changes, c)
	}
	if written, err := s.WriteTaken(t.Context(), lease, changes); err != nil || len(written) != 2 {
		t.Fatalf("wrote %v: %v", written, err)
	}
	if _, err := admin.Exec(t.Context(), "update relay.outbox set finished_at = now() - interval '25 hours' where id = $1", [16]byte(old)); err != nil {
		t.Fatal(err)
	}
	if topics, err := s.UnroutedTopics(t.Context(), "why"); err != nil || !slices.Equal(topics, []string{"young"}) {
		t.Errorf("topics %q: %v", topics, err)
	}
	if n, err := s.Reroute(t.Context(), []int16{relay.ShardOf(id, "") ^ 1}, "why", []string{"young", "old"}, atOnce); err != nil || n != 0 {
		t.Errorf("%d messages of others' shards are taken up: %v", n, err)
	}
	if n, err := s.Reroute(t.Context(), shardsOf(lease), "why", []string{"young", "old"}, atOnce); err != nil || n != 1 {
		t.Errorf("%d messages are taken up, want 1: %v", n, err)
	}
	if status, _ := messageStatus(t, admin, id); status != "pending" {
		t.Errorf("it is %s", status)
	}
}
