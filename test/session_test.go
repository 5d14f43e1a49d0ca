package test

import (
	"testing"
	"time"

	"relay/test/harness"
)

// A person who looks for what a session does, or for what blocks a lock, finds the relay by name.
func TestTheSessionOfTheTriggerHasTheRelaysName(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	s := &system{db: db, admin: db.Admin(t)}
	tx, err := s.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "lock table relay.outbox in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	launch(t, db, "RELAY_CAPTURE=notify")
	const making = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%create trigger%' and pid <> pg_backend_pid()"
	harness.Eventually(t, 30*time.Second, "the relay waits to make its trigger", func() bool {
		return s.text(t, "select count(*)::text "+making) != "0"
	})
	if name := s.text(t, "select string_agg(distinct application_name, ' ') from pg_stat_activity where datname = current_database() and usename = 'relay'"); name != "relay" {
		t.Errorf("the sessions of the relay are called %q", name)
	}
}
