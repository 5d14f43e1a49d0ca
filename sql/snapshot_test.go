package sql

import (
	"testing"

	"relay"
)

// The stream names a transaction by the id of its top level, which covers its savepoints. It is in progress in every
// snapshot until its rows are visible, also while it is prepared.
func TestASnapshotShowsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	app := db.Relay(t)
	conn, err := app.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	run := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	kept, dropped, lost := relay.NewID(), relay.NewID(), relay.NewID()
	ids := []relay.ID{kept, dropped, lost}
	var xid uint32
	looks := func(shows bool, present ...relay.ID) {
		t.Helper()
		snapshot, here, err := s.Present(t.Context(), ids)
		if err != nil || snapshot.Shows(xid) != shows || len(here) != len(present) {
			t.Fatalf("shows %d: %v, present %v, error %v", xid, snapshot.Shows(xid), here, err)
		}
		for _, id := range present {
			if !here[id] {
				t.Fatalf("%s is absent", id)
			}
		}
	}
	begin := func() {
		t.Helper()
		run("begin")
		if err := conn.QueryRow(t.Context(), "select (pg_current_xact_id()::text::bigint & 4294967295)").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		run("savepoint one; insert into relay.outbox (id, topic) values ('" + kept.String() + "', 't')")
		run("savepoint two; insert into relay.outbox (id, topic) values ('" + dropped.String() + "', 't'); rollback to two")
		looks(false)
	}
	begin()
	run("commit")
	looks(true, kept)
	if _, err := db.Admin(t).Exec(t.Context(), "delete from relay.outbox"); err != nil {
		t.Fatal(err)
	}
	looks(true)
	begin()
	name := "'" + db.Name + "'"
	run("prepare transaction " + name)
	looks(false)
	run("commit prepared " + name)
	looks(true, kept)
}
