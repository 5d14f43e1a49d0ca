package sql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/test/harness"
)

// openInbox makes a consumer's database, in which role app may receive.
func openInbox(t *testing.T, db *harness.DB) *Store {
	t.Helper()
	s := openAt(t, db.URL)
	if _, _, err := s.MigrateInbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.GrantInbox(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	return s
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, statement string, arguments ...any) pgx.Row
}

func receive(ctx context.Context, on querier, consumer string, id relay.ID) (first bool, err error) {
	err = on.QueryRow(ctx, "select relay.receive($1, $2)", consumer, [16]byte(id)).Scan(&first)
	return first, err
}

// expect receives a message and compares what it is told.
func expect(t *testing.T, on querier, consumer string, id relay.ID, want bool) {
	t.Helper()
	if first, err := receive(t.Context(), on, consumer, id); err != nil || first != want {
		t.Errorf("%s received %s: %v, %v, want %v", consumer, id, first, err, want)
	}
}

func begin(t *testing.T, pool *pgxpool.Pool, level pgx.TxIsoLevel) pgx.Tx {
	t.Helper()
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // an error says that it has ended
	return tx
}

// code returns the SQLSTATE of an error.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func TestReceiveOnEveryVersion(t *testing.T) {
	t.Parallel()
	for major := 15; major <= 18; major++ {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			openInbox(t, db)
			app, id := db.App(t), relay.NewID()
			expect(t, app, "stock", id, true)
			expect(t, app, "stock", id, false)
			expect(t, app, "billing", id, true)
			expect(t, app, "stock", relay.NewID(), true)

			tx, undone := begin(t, app, pgx.ReadCommitted), relay.NewID()
			expect(t, tx, "stock", undone, true)
			expect(t, tx, "stock", undone, false)
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, app, "stock", undone, true)
			if _, err := db.Relay(t).Exec(t.Context(), "call relay.forget_received('0', 2)"); err != nil {
				t.Error(err)
			}
			expect(t, app, "stock", id, true)
		})
	}
}

func TestReceiveIsNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := openAt(t, db.URL)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	app := db.App(t)
	const denied = "42501"
	if _, err := receive(t.Context(), app, "stock", relay.NewID()); code(err) != denied {
		t.Errorf("a role that may only send received: %v", err)
	}
	if err := s.GrantInbox(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	expect(t, app, "stock", relay.NewID(), true)
	for statement, want := range map[string]string{
		"select from relay.inbox": denied,
		"delete from relay.inbox": denied,
		"insert into relay.inbox (consumer, message_id, received_at) values ('x', gen_random_uuid(), now())": denied,
		"call relay.forget_received('0')":                           denied,
		"select relay.receive(null, gen_random_uuid())":             "23502",
		"select relay.receive('stock', null)":                       "23502",
		"select relay.receive('', gen_random_uuid())":               "23514",
		"select relay.receive(repeat('x', 256), gen_random_uuid())": "23514",
	} {
		if _, err := app.Exec(t.Context(), statement); code(err) != want {
			t.Errorf("%s: %v, want SQLSTATE %s", statement, err, want)
		}
	}
}

// TestReceiveWaitsForTheOther: of two transactions with the same message the second waits
// for the first, and is told what became of that.
func TestReceiveWaitsForTheOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		level pgx.TxIsoLevel
		end   func(pgx.Tx, context.Context) error
		first bool
		code  string
	}{
		{name: "commit", level: pgx.ReadCommitted, end: pgx.Tx.Commit},
		{name: "rollback", level: pgx.ReadCommitted, end: pgx.Tx.Rollback, first: true},
		{name: "commit, repeatable read", level: pgx.RepeatableRead, end: pgx.Tx.Commit, code: "40001"},
		{name: "rollback, serializable", level: pgx.Serializable, end: pgx.Tx.Rollback, first: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := harness.Database(t)
			openInbox(t, db)
			id := relay.NewID()
			one, two := begin(t, db.App(t), c.level), begin(t, db.App(t), c.level)
			expect(t, two, "stock", relay.NewID(), true) // takes its snapshot
			expect(t, one, "stock", id, true)
			type answer struct {
				first bool
				err   error
			}
			answers := make(chan answer, 1)
			go func() {
				first, err := receive(t.Context(), two, "stock", id)
				answers <- answer{first, err}
			}()
			harness.Eventually(t, 10*time.Second, "the second waits for the first", func() bool {
				var waits bool
				err := db.Admin(t).QueryRow(t.Context(), `
					select exists (select from pg_stat_activity
						where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waits)
				return err == nil && waits
			})
			if err := c.end(one, t.Context()); err != nil {
				t.Fatal(err)
			}
			if a := <-answers; a.first != c.first || code(a.err) != c.code || (a.err != nil) != (c.code != "") {
				t.Errorf("the second was told %v, %v, want %v, SQLSTATE %q", a.first, a.err, c.first, c.code)
			}
		})
	}
}

// TestReceiveOnceUnderLoad: many consumers of one name get every message, and roll some
// of them back; each message is worked on once.
func TestReceiveOnceUnderLoad(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	openInbox(t, db)
	const messages, workers = 50, 8
	var ids [messages]relay.ID
	for i := range ids {
		ids[i] = relay.NewID()
	}
	var worked [messages]atomic.Int32
	app := db.App(t)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i, id := range ids {
				fails := (i+worker)%workers < workers/2
				first, err := work(t.Context(), app, id, fails)
				switch {
				case err != nil:
					t.Error(err)
				case first && !fails:
					worked[i].Add(1)
				}
			}
		})
	}
	group.Wait()
	for i := range worked {
		if n := worked[i].Load(); n != 1 {
			t.Errorf("message %d was worked on %d times, want once", i, n)
		}
	}
}

// work receives in a transaction of its own, which is rolled back if the work fails.
func work(ctx context.Context, app *pgxpool.Pool, id relay.ID, fails bool) (first bool, err error) {
	tx, err := app.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if first, err = receive(ctx, tx, "stock", id); err != nil || fails {
		return first, err
	}
	return first, tx.Commit(ctx)
}

func TestForgetReceivedCommitsEachBatch(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	openInbox(t, db)
	admin := db.Admin(t)
	// Each batch notes its transaction.
	for _, statement := range []string{
		"create table batch (xid xid8, removed integer)",
		`create function note() returns trigger language plpgsql as $$
		begin
			insert into public.batch select pg_current_xact_id(), count(*) from gone having count(*) > 0;
			return null;
		end $$`,
		`create trigger note after delete on relay.inbox referencing old table as gone
		for each statement execute function note()`,
		"grant insert on batch to relay",
		`insert into relay.inbox (consumer, message_id, received_at)
		select 'stock', gen_random_uuid(), now() - n * interval '1 hour' from generate_series(0, 48) n`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Relay(t).Exec(t.Context(), "call relay.forget_received('23 hours 30 minutes', 10)"); err != nil {
		t.Fatal(err)
	}
	var left, transactions, largest, removed int
	err := admin.QueryRow(t.Context(), `
		select (select count(*) from relay.inbox where received_at > now() - interval '1 day'),
			count(distinct xid), max(removed), sum(removed) from batch`).Scan(&left, &transactions, &largest, &removed)
	if err != nil {
		t.Fatal(err)
	}
	if left != 24 || removed != 25 || transactions != 3 || largest != 10 {
		t.Errorf("%d young ones left, %d removed in %d transactions of at most %d, want 24, 25, 3, 10", left, removed, transactions, largest)
	}
}

func TestForgetReceivedRefuses(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	openInbox(t, db)
	expect(t, db.App(t), "stock", relay.NewID(), true)
	for statement, want := range map[string]string{
		"call relay.forget_received(null)":                     "22023",
		"call relay.forget_received('-1 second')":              "22023",
		"call relay.forget_received('1 hour', 0)":              "22023",
		"call relay.forget_received('1 hour', null)":           "22023",
		"begin; call relay.forget_received('1 hour'); commit;": "2D000",
	} {
		conn, err := pgx.Connect(t.Context(), db.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), statement); code(err) != want {
			t.Errorf("%s: %v, want SQLSTATE %s", statement, err, want)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
