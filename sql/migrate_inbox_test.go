package sql

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"relay"
	"relay/test/harness"
)

// installed returns the versions of outbox and inbox. Zero: not there.
func installed(t *testing.T, db *harness.DB) (outbox, inbox int) {
	t.Helper()
	for table, version := range map[string]*int{"schema_version": &outbox, "inbox_version": &inbox} {
		var there bool
		if err := db.Admin(t).QueryRow(t.Context(), "select to_regclass('relay.' || $1) is not null", table).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if !there {
			continue
		}
		if err := db.Admin(t).QueryRow(t.Context(), "select version from relay."+table).Scan(version); err != nil {
			t.Fatal(err)
		}
	}
	return outbox, inbox
}

// TestMigrateInEitherOrder: a database may have the inbox alone, and both, whichever came
// first.
func TestMigrateInEitherOrder(t *testing.T) {
	t.Parallel()
	for major := 15; major <= 18; major++ {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			s := openInbox(t, db)
			if outbox, inbox := installed(t, db); outbox != 0 || inbox == 0 {
				t.Fatalf("the inbox alone: outbox at version %d, inbox at %d", outbox, inbox)
			}
			id := relay.NewID()
			expect(t, db.App(t), "stock", id, true)
			if from, to, err := s.Migrate(t.Context()); err != nil || from != 0 || to == 0 {
				t.Fatalf("the outbox went from %d to %d: %v", from, to, err)
			}
			if outbox, inbox := installed(t, db); outbox == 0 || inbox == 0 {
				t.Fatalf("both: outbox at version %d, inbox at %d", outbox, inbox)
			}
			expect(t, db.App(t), "stock", id, false)

			other := harness.DatabaseOn(t, major)
			s = openAt(t, other.URL)
			if _, _, err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if from, to, err := s.MigrateInbox(t.Context()); err != nil || from != to || to == 0 {
				t.Fatalf("the inbox that came with the outbox went from %d to %d: %v", from, to, err)
			}
		})
	}
}

func TestMigrateBothAtOnce(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			s := openAt(t, db.URL)
			migrate := s.Migrate
			if i%2 == 0 {
				migrate = s.MigrateInbox
			}
			if _, to, err := migrate(context.Background()); err != nil || to < 1 {
				t.Errorf("migrated to %d: %v", to, err)
			}
		})
	}
	group.Wait()
	if outbox, inbox := installed(t, db); outbox == 0 || inbox == 0 {
		t.Errorf("outbox at version %d, inbox at %d", outbox, inbox)
	}
}

// TestMigrateLeavesANewerInboxAlone: the relay does not need the inbox, so that one which
// a newer program made is no reason not to start.
func TestMigrateLeavesANewerInboxAlone(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.inbox_version set version = 1000"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := s.MigrateInbox(t.Context()); err == nil {
		t.Error("an old program migrated a newer inbox")
	}
}

// TestMigrateLeavesAnothersInboxAlone: a consumer that shares the database may have made
// the inbox as a role of its own.
func TestMigrateLeavesAnothersInboxAlone(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	if _, _, err := openAt(t, db.AdminURL).MigrateInbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Admin(t).Exec(t.Context(), "grant usage, create on schema relay to relay"); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, db.URL)
	for range 2 {
		if _, _, err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if have, need, err := s.SchemaVersion(t.Context()); err != nil || have != need {
		t.Errorf("have %d, need %d: %v", have, need, err)
	}
}
