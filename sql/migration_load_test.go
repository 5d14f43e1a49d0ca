package sql

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
	"relay/throwaway"
)

// longestInsert tells an INSERT that a migration holds up from one that a busy machine does.
// What holds these tests up lasts five seconds or longer.
const longestInsert = 3 * time.Second

// contractRows are those beside which the contract's own limit of one second is judged.
const contractRows = 5_000_000

var migrationRows = flag.Int("migration-rows", 100_000, "rows of the outbox that TestMigrationOfManyRowsUnderLoad migrates")

// oldRows are what a program of version 4 may have left: each status, and rows that are over
// limits of today.
const oldRows = `
insert into relay.outbox (topic, key, payload, headers, status, finished_at, deliver_at)
select 't', nullif('k' || i % 50, 'k0'), '{"n": 1}', '{"a": "b"}', s,
	case when s in ('done', 'dead', 'rejected', 'cancelled') then now() end, case when i % 9 = 0 then now() + interval '1 day' end
from generate_series(1, $1::int / 6) i, unnest(enum_range(null::relay.message_status)) s`

// alsoOld are single rows beside those.
var alsoOld = []string{
	`insert into relay.outbox (topic, payload, status) values ('relay.dead', '{}', 'done'), ('relay.dead', '{}', 'pending')`,
	`insert into relay.outbox (topic, destination, source) values ('t', 'http://h/' || repeat('x', 3000), repeat('x', 300))`,
	`insert into relay.outbox (topic, headers) values ('t', 'null'), ('t', '["x"]'), ('t', '{"n": 1}'), ('t', json_build_object('x', repeat('y', 70000))::jsonb)`,
	`insert into relay.delivery (message_id, subscription, target, status, due_at, circuit, shard, seq)
		select id, 'sub', 'http://h/', 'dead', now(), 'sub', shard, seq from relay.outbox where status = 'dead'`,
	`insert into relay.subscription (name, topics, target) values ('old', array[repeat('x', 70000)], 'http://h/')`,
}

// fillOld fills a database of version 4, and lets the application insert.
func fillOld(t *testing.T, db *harness.DB, rows int) {
	t.Helper()
	admin := db.Admin(t)
	if _, err := admin.Exec(t.Context(), oldRows, rows); err != nil {
		t.Fatal(err)
	}
	// As version 4 left it: the right to call the default of id came with PUBLIC.
	for _, statement := range append(alsoOld, "grant execute on function relay.new_id() to public", "grant usage on schema relay to app", "grant insert (topic, payload) on relay.outbox to app") {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// inserting inserts as the application does, each row in a transaction, 200 each second and client at most, until it is
// stopped, and returns how long the slowest took.
func inserting(t *testing.T, db *harness.DB, clients int) (stop func() (longest time.Duration)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	app, times := db.App(t), make([]time.Duration, clients)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for n := 0; ctx.Err() == nil || n == 0; n++ {
				began := time.Now()
				if _, err := app.Exec(t.Context(), `insert into relay.outbox (topic, payload) values ('load', '{"n": 2}')`); err != nil {
					t.Errorf("an INSERT failed: %v", err)
					return
				}
				times[i] = max(times[i], time.Since(began))
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	return func() (longest time.Duration) {
		cancel()
		group.Wait()
		for _, took := range times {
			longest = max(longest, took)
		}
		return longest
	}
}

// TestAKilledMigrationFromVersion4IsCompleted: with rows of every status, while the application
// inserts, killed at every step, on every server.
func TestAKilledMigrationFromVersion4IsCompleted(t *testing.T) {
	t.Parallel()
	for major := 15; major <= 18; major++ {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			killEverywhere(t, major, outboxSequence, 4, "relay.outbox", func(t *testing.T, db *harness.DB) func() {
				fillOld(t, db, 600)
				stop := inserting(t, db, 1)
				return func() {
					if longest := stop(); longest > longestInsert {
						t.Errorf("an INSERT took %s", longest)
					}
					if _, err := db.Admin(t).Exec(t.Context(), "revoke all on schema relay from app; revoke insert (topic, payload) on relay.outbox from app; revoke execute on function relay.new_id() from app"); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// TestMigrationUnderLoad: each server, while the application inserts.
func TestMigrationUnderLoad(t *testing.T) {
	t.Parallel()
	migrateUnderLoad(t, 3_000)
}

// TestMigrationOfManyRowsUnderLoad: with a table that a lock of minutes would be needed for otherwise, and
// with -migration-rows=5000000 as the contract has it.
func TestMigrationOfManyRowsUnderLoad(t *testing.T) {
	t.Parallel()
	migrateUnderLoad(t, *migrationRows)
}

func migrateUnderLoad(t *testing.T, rows int) {
	t.Helper()
	for major := 15; major <= 18; major++ {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			s := openAt(t, db.URL)
			if err := migrateWith(t.Context(), s, outboxSequence.upTo(t, 4), silent); err != nil {
				t.Fatal(err)
			}
			fillOld(t, db, rows)
			stop := inserting(t, db, 4)
			began := time.Now()
			if _, _, err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			took, longest := time.Since(began), stop()
			t.Logf("%d rows: the migration took %s, the longest INSERT meanwhile %s", rows, took, longest)
			limit := longestInsert
			if rows >= contractRows {
				limit = time.Second
			}
			if longest > limit {
				t.Errorf("an INSERT took %s", longest)
			}
		})
	}
}

// TestInsertsPassAMigrationThatWaits: for an application's transaction that stays open, and
// for a vacuum, which holds a lock that no INSERT minds.
func TestInsertsPassAMigrationThatWaits(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]string{
		"transaction": "insert into relay.outbox (topic) values ('open')",
		"vacuum":      "lock table relay.outbox in share update exclusive mode",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Database(t)
			s := openAt(t, db.URL)
			if err := migrateWith(t.Context(), s, outboxSequence.upTo(t, 4), silent); err != nil {
				t.Fatal(err)
			}
			fillOld(t, db, 600)
			holder := connect(t, db)
			if _, err := holder.Exec(t.Context(), "begin;"+hold); err != nil {
				t.Fatal(err)
			}
			stop := inserting(t, db, 4)
			released := make(chan error, 1)
			time.AfterFunc(5*time.Second, func() {
				_, err := holder.Exec(t.Context(), "commit")
				released <- err
			})
			began := time.Now()
			if _, _, err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			took, longest := time.Since(began), stop()
			if err := <-released; err != nil {
				t.Error(err)
			}
			if took < 4*time.Second {
				t.Errorf("the migration took %s and did not wait", took)
			}
			if longest > longestInsert {
				t.Errorf("an INSERT took %s", longest)
			}
			t.Logf("the longest INSERT took %s", longest)
		})
	}
}

// TestAMigrationEndsAVacuum: an automatic vacuum of a large table takes minutes, gives way only
// to a session that has waited for a second, and begins again soon after.
func TestAMigrationEndsAVacuum(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{
		"fsync": "off", "autovacuum_naptime": "1s", "autovacuum_vacuum_cost_delay": "100ms", "autovacuum_vacuum_cost_limit": "1",
	}})
	db := harness.NewDatabase(t, server)
	s := openAt(t, db.URL)
	if err := migrateWith(t.Context(), s, outboxSequence.upTo(t, 4), silent); err != nil {
		t.Fatal(err)
	}
	fillOld(t, db, 20_000)
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.outbox set last_error = 'x'"); err != nil {
		t.Fatal(err)
	}
	vacuums := func() (n int) {
		const statement = "select count(*) from pg_stat_progress_vacuum where relid = 'relay.outbox'::regclass"
		if err := db.Admin(t).QueryRow(t.Context(), statement).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	harness.Eventually(t, 30*time.Second, "the table is vacuumed", func() bool { return vacuums() == 1 })
	stop := inserting(t, db, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, _, err := s.Migrate(ctx); err != nil {
		t.Error(err)
	}
	if longest := stop(); longest > longestInsert {
		t.Errorf("an INSERT took %s", longest)
	}
}

// TestAMigrationSaysWhatItWaitsFor: a person looks for the session that holds the table.
func TestAMigrationSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := openAt(t, db.URL)
	if err := migrateWith(t.Context(), s, outboxSequence.upTo(t, 4), silent); err != nil {
		t.Fatal(err)
	}
	holder := connect(t, db)
	if _, err := holder.Exec(t.Context(), "begin; insert into relay.outbox (topic) values ('open')"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last StepReport
	err := migrateWith(ctx, s, outboxSequence, func(_ *pgx.Conn, r StepReport) {
		if last = r; r.Tries == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if len(last.Holders) != 1 || uint32(last.Holders[0]) != holder.PgConn().PID() || last.Err == nil {
		t.Errorf("it reported %+v, want the process %d", last, holder.PgConn().PID())
	}
}
