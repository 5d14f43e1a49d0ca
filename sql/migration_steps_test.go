package sql

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
	"relay/throwaway"
)

// probe is a sequence with every kind of step.
var probe = sequence{name: "probe", folder: ".", versionTable: "probe_version", files: fstest.MapFS{
	"001_probe.sql": file(`
create table relay.probe (id bigint generated always as identity primary key, n integer, status text not null default 'pending');
create index probe_n on relay.probe (n);
insert into relay.probe (n, status) select i, case when i % 7 = 0 then 'done' else 'pending' end from generate_series(1, 2000) i`),
	"002_steps.sql": file(`
-- Comments may come first.
-- step: lock relay.probe
alter table relay.probe add column more text not null default 'x';
alter table relay.probe add constraint probe_positive check (n > 0) not valid;
-- step: transaction
alter table relay.probe validate constraint probe_positive;
-- step: concurrently
-- What is looked for.
create unique index concurrently if not exists probe_pending on relay.probe (n, id)
  where status = 'pending'; -- only these
-- step: lock relay.probe
create function relay.probe_changed() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger probe_changed before insert on relay.probe for each row execute function relay.probe_changed();
-- step: concurrently
drop index concurrently if exists relay.probe_n`),
	"003_last.sql": file(`
-- step: transaction
comment on table relay.probe is 'done'`),
}}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// upTo is the sequence as a program knew it that ended with a version.
func (q sequence) upTo(t *testing.T, version int) sequence {
	t.Helper()
	files, err := readMigrations(q.files, q.folder)
	if err != nil {
		t.Fatal(err)
	}
	known := fstest.MapFS{}
	for _, f := range files[:version] {
		text, err := fs.ReadFile(q.files, path.Join(q.folder, f.name))
		if err != nil {
			t.Fatal(err)
		}
		known[f.name] = file(string(text))
	}
	q.files, q.folder = known, "."
	return q
}

// migrateWith runs a sequence over a connection of its own.
func migrateWith(ctx context.Context, s *Store, q sequence, report func(*pgx.Conn, StepReport)) error {
	return s.migrating(ctx, func(conn *pgx.Conn) error {
		_, _, err := q.migrate(ctx, conn, func(r StepReport) { report(conn, r) })
		return err
	})
}

func silent(*pgx.Conn, StepReport) {}

// describe lists all that the catalogue knows of the schema relay, a line each.
func describe(t *testing.T, db *harness.DB) string {
	t.Helper()
	const statement = `
	with rel as (select c.* from pg_class c where c.relnamespace = 'relay'::regnamespace)
	select line from (
		select format('relation %s %s %s %s %s', relname, relkind, relpersistence, reloptions, relacl) from rel
		union all
		select format('column %s %s %s %s notnull=%s %s %s %s %s', c.relname, row_number() over (partition by c.oid order by a.attnum), a.attname,
			format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attacl)
		from rel c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
		union all
		select format('constraint %s %s %s valid=%s', c.relname, n.conname, pg_get_constraintdef(n.oid), n.convalidated) from rel c join pg_constraint n on n.conrelid = c.oid
		union all
		select format('index %s valid=%s', pg_get_indexdef(i.indexrelid), i.indisvalid and i.indisready) from rel c join pg_index i on i.indexrelid = c.oid
		union all
		select format('trigger %s %s', pg_get_triggerdef(g.oid), g.tgenabled) from rel c join pg_trigger g on g.tgrelid = c.oid
		union all
		select format('function %s %s', pg_get_functiondef(p.oid), p.proacl) from pg_proc p where p.pronamespace = 'relay'::regnamespace
		union all
		select format('type %s %s', y.typname, array(select enumlabel from pg_enum where enumtypid = y.oid order by enumsortorder))
		from pg_type y where y.typnamespace = 'relay'::regnamespace
		union all
		select format('comment %s %s %s', o.classoid::regclass, o.objsubid, o.description) from pg_description o
		where o.objoid in (select oid from rel union all select oid from pg_proc where pronamespace = 'relay'::regnamespace)
	) x(line) order by 1`
	rows, err := db.Admin(t).Query(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// same fails if two descriptions differ, and shows the lines that only one has.
func same(t *testing.T, got, want string) {
	t.Helper()
	have := map[string]int{}
	for line := range strings.Lines(got) {
		have[line]++
	}
	for line := range strings.Lines(want) {
		have[line]--
	}
	for line, n := range have {
		if n != 0 {
			t.Errorf("the schema differs (%+d): %s", n, line)
		}
	}
}

// manner is how a migration ends before its time.
type manner struct {
	name string
	kill func(ctx context.Context, db *pgx.Conn, pid uint32, wire net.Conn, cancel func())
}

var manners = []manner{
	{"terminated", func(ctx context.Context, db *pgx.Conn, pid uint32, _ net.Conn, _ func()) {
		db.Exec(ctx, "select pg_terminate_backend($1)", pid)
	}},
	{"cancelled", func(_ context.Context, _ *pgx.Conn, _ uint32, _ net.Conn, cancel func()) { cancel() }},
	// As after kill -9: the server goes on until it misses the program.
	{"cut off", func(_ context.Context, _ *pgx.Conn, _ uint32, wire net.Conn, _ func()) { wire.Close() }},
}

// place is what keeps a step waiting when the migration is killed.
type place struct {
	name   string
	always bool // it keeps every step waiting
	hold   func(version, table string, kind stepKind) string
}

var places = []place{
	{"at its work", false, func(_, table string, kind stepKind) string {
		if kind == stepConcurrently {
			return "lock table " + table + " in row exclusive mode"
		}
		return "lock table " + table + " in share update exclusive mode"
	}},
	{"at its record", true, func(version, _ string, _ stepKind) string { return "select from relay." + version + " for update" }},
}

// killing is a place and a manner.
type killing struct {
	where place
	how   manner
}

// killingsOn are each manner and each place on the oldest server, and one of both on the others.
func killingsOn(major int) []killing {
	all := []killing{{places[0], manners[0]}}
	if major != throwaway.OldestPostgres {
		return all
	}
	for _, how := range manners {
		all = append(all, killing{places[1], how})
	}
	return all
}

// killAt migrates, and kills the migration while one step waits for what another session
// holds. It reports whether the step waited for it; if not, the migration ends before the
// next step.
func killAt(t *testing.T, s *Store, db *harness.DB, q sequence, f migrationFile, step int, table string, where place, how manner) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	holder, watcher := connect(t, db), connect(t, db)
	if of := f.steps[step].table; of != "" {
		table = of
	}
	waited, done := make(chan bool, 1), make(chan struct{})
	var began, passed bool
	err := migrateWith(ctx, s, q, func(conn *pgx.Conn, r StepReport) {
		if r.Migration != f.name || r.Step != step+1 {
			if began && !passed {
				passed = true
				close(done)
				cancel()
			}
			return
		}
		if began {
			return
		}
		began = true
		if _, err := holder.Exec(ctx, "begin;"+where.hold(q.versionTable, table, f.steps[step].kind)); err != nil {
			t.Error(err)
		}
		pid, wire := conn.PgConn().PID(), conn.PgConn().Conn()
		go func() {
			waits := waitsForLock(t, watcher, pid, done)
			if waits {
				how.kill(t.Context(), watcher, pid, wire, cancel)
			}
			holder.Exec(t.Context(), "rollback")
			waited <- waits
		}()
	})
	if !began {
		t.Fatalf("%s, step %d never began: %v", f.name, step+1, err)
	}
	if !passed {
		close(done)
	}
	if !<-waited {
		if err != nil && !passed {
			t.Fatal(err)
		}
		return false
	}
	if err == nil {
		t.Errorf("%s, step %d was %s and ended well", f.name, step+1, how.name)
	}
	return true
}

func connect(t *testing.T, db *harness.DB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// waitsForLock reports whether a server process comes to wait for a lock before done.
func waitsForLock(t *testing.T, db *pgx.Conn, pid uint32, done <-chan struct{}) bool {
	for {
		var waits bool
		err := db.QueryRow(t.Context(), "select exists (select from pg_locks where pid = $1 and not granted)", pid).Scan(&waits)
		if err != nil || waits {
			return waits
		}
		select {
		case <-done:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// killEverywhere kills a migration from one version on at every step, one run after the other,
// and compares what all of them made with what an undisturbed one does.
func killEverywhere(t *testing.T, major int, q sequence, from int, table string, load func(*testing.T, *harness.DB) (stop func())) {
	want := harness.DatabaseOn(t, major)
	if err := migrateWith(t.Context(), openAt(t, want.URL), q, silent); err != nil {
		t.Fatal(err)
	}
	fresh := describe(t, want)
	files, err := readMigrations(q.files, q.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range killingsOn(major) {
		t.Run(k.how.name+" "+k.where.name, func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			s := openAt(t, db.URL)
			if err := migrateWith(t.Context(), s, q.upTo(t, from), silent); err != nil {
				t.Fatal(err)
			}
			stop := load(t, db)
			for _, f := range files[from:] {
				for step := range f.steps {
					if waited := killAt(t, s, db, q, f, step, table, k.where, k.how); !waited && k.where.always {
						t.Errorf("%s, step %d was not kept waiting %s", f.name, step+1, k.where.name)
					}
				}
			}
			if err := migrateWith(t.Context(), s, q, silent); err != nil {
				t.Errorf("the next run: %v", err)
			}
			stop()
			same(t, describe(t, db), fresh)
		})
	}
}

// TestAKilledMigrationIsCompletedByTheNextRun: at every kind of step, on every server.
func TestAKilledMigrationIsCompletedByTheNextRun(t *testing.T) {
	t.Parallel()
	for major := 15; major <= 18; major++ {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			killEverywhere(t, major, probe, 1, "relay.probe", func(*testing.T, *harness.DB) func() { return func() {} })
		})
	}
}

// TestAnInvalidIndexIsBuiltAgain: what a killed concurrent build leaves has the name of
// what is to be built.
func TestAnInvalidIndexIsBuiltAgain(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := openAt(t, db.URL)
	if err := migrateWith(t.Context(), s, probe.upTo(t, 1), silent); err != nil {
		t.Fatal(err)
	}
	files, err := readMigrations(probe.files, probe.folder)
	if err != nil {
		t.Fatal(err)
	}
	if !killAt(t, s, db, probe, files[1], 2, "relay.probe", places[0], manners[0]) {
		t.Fatal("the build did not wait for the transaction")
	}
	const valid = "select indisvalid from pg_index where indexrelid = 'relay.probe_pending'::regclass"
	var is bool
	if err := db.Admin(t).QueryRow(t.Context(), valid).Scan(&is); err != nil || is {
		t.Fatalf("the killed build left an index that is valid: %t, %v", is, err)
	}
	if err := migrateWith(t.Context(), s, probe, silent); err != nil {
		t.Fatal(err)
	}
	if err := db.Admin(t).QueryRow(t.Context(), valid).Scan(&is); err != nil || !is {
		t.Fatalf("the next run left an index that is valid: %t, %v", is, err)
	}
}

// TestMigrationsWaitForEachOtherWithoutASnapshot: PostgreSQL would end one of the two if
// the one that waits kept the index of the other from being built.
func TestMigrationsWaitForEachOtherWithoutASnapshot(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := openAt(t, db.URL)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			errs <- migrateWith(context.Background(), s, probe, func(_ *pgx.Conn, r StepReport) {
				if r.Tries > 0 {
					t.Errorf("step %d of %s was tried again: %v", r.Step, r.Migration, r.Err)
				}
			})
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestAStepThatFailsIsRolledBack: its record too, and the error names it.
func TestAStepThatFailsIsRolledBack(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := openAt(t, db.URL)
	q := probe.upTo(t, 2)
	q.files.(fstest.MapFS)["003_wrong.sql"] = file("-- step: transaction\ncreate table relay.other (n int);\n-- step: transaction\ncreate table relay.third (n int);\nselect 1/0")
	err := migrateWith(t.Context(), s, q, silent)
	if err == nil || !strings.Contains(err.Error(), "003_wrong.sql, step 2 of 2") {
		t.Errorf("the error is %v", err)
	}
	var version, step int
	var there bool
	err = db.Admin(t).QueryRow(t.Context(), "select version, step, to_regclass('relay.third') is not null from relay.probe_version").Scan(&version, &step, &there)
	if err != nil || version != 2 || step != 1 || there {
		t.Errorf("version %d, step %d, what the step made is there: %t, %v", version, step, there, err)
	}
}

// TestMigrationFilesAreParsed: what a file may not say is an error before anything runs.
func TestMigrationFilesAreParsed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"select 1;\n-- step: transaction\nselect 2":                                                 "before the first step",
		"-- step: later\nselect 1":                                                                  "is none of",
		"-- step: lock outbox\nselect 1":                                                            "is none of",
		"-- step: transaction\n-- nothing\n-- step: transaction\nselect 1":                          "step 1: there is no statement",
		"-- step: concurrently\ncreate index concurrently x on relay.outbox (n)":                    "a concurrent step is one statement",
		"-- step: concurrently\nreindex index concurrently relay.x":                                 "a concurrent step is one statement",
		"-- step: concurrently\ndrop index concurrently if exists relay.x; drop table relay.y":      "a concurrent step is one statement",
		"-- step: concurrently\ncreate index concurrently if not exists x on relay.y (n); select 1": "a concurrent step is one statement",
	} {
		if _, err := parseMigration("001_x.sql", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, names := range [][]string{{"002_x.sql"}, {"001_x.sql", "003_y.sql"}, {"001_x.sql", "001_y.sql"}, {"1_x.sql"}} {
		files := fstest.MapFS{}
		for _, name := range names {
			files[name] = file("select 1")
		}
		if _, err := readMigrations(files, "."); err == nil {
			t.Errorf("%v were read without an error", names)
		}
	}
}
