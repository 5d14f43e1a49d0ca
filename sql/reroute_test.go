package sql

import (
	"context"
	"testing"
)

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
	if n, err := s.Reroute(t.Context(), "why", []string{"t"}); err != nil || n != 2499 {
		t.Fatalf("%d messages are taken up, want all but the locked one: %v", n, err)
	}
}
