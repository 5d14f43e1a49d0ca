package sql

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/harness"
)

// mallory makes a role without rights that may create objects in public, drops it at the
// end with all it made, and returns a connection as it.
func mallory(t *testing.T, db *harness.DB) (conn *pgx.Conn, role string) {
	t.Helper()
	role = "mallory_" + db.Name
	admin := db.Admin(t)
	for _, statement := range []string{"create role " + role + " login password 'secret'", "grant connect on database " + db.Name + " to " + role,
		"grant create on schema public to " + role} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), db.Server.URL(role, "secret", db.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended.
		ctx := context.Background()
		_ = conn.Close(ctx)
		for _, statement := range []string{"drop owned by " + role + " cascade", "drop role " + role} {
			if _, err := admin.Exec(ctx, statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
	return conn, role
}

// executing is a pool or a connection.
type executing interface {
	Exec(ctx context.Context, statement string, arguments ...any) (pgconn.CommandTag, error)
}

// do runs texts of one or more statements, which must succeed.
func do(t *testing.T, on executing, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := on.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// hostileBody is that of a function which fails in every session that runs it.
const hostileBody = ` language plpgsql immutable as $$ begin raise exception 'HOSTILE, as %', current_user; end $$`

// releasedFour brings a database to version 4 of the schema and 1 of the inbox as a relay of
// that time did: with the search path that the role has. between runs after the types were
// made.
func releasedFour(t *testing.T, db *harness.DB, between func()) {
	t.Helper()
	owner, err := pgx.Connect(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	do(t, owner, "create schema relay")
	for _, file := range []string{"001_outbox.sql", "002_subscription.sql", "003_job.sql", "004_ack.sql"} {
		text, err := outboxFiles.ReadFile(path.Join("migrations", file))
		if err != nil {
			t.Fatal(err)
		}
		do(t, owner, string(text))
		if file == "001_outbox.sql" {
			between()
		}
	}
	text, err := inboxFiles.ReadFile("migrations/inbox/001_inbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	do(t, owner, string(text), "create table relay.schema_version (version int4 not null)", "insert into relay.schema_version values (4)",
		"create table relay.inbox_version (version int4 not null)", "insert into relay.inbox_version values (1)")
}

// TestMigrateBindsAnewWhatWasBoundWrongly: functions and operators were in public before the
// schema was made, and the released migrations took them.
func TestMigrateBindsAnewWhatWasBoundWrongly(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			hostile, role := mallory(t, db)
			for _, f := range []string{"array_position(text[], text) returns integer", "array_position(interval[], interval) returns integer",
				"cardinality(text[]) returns integer", "cardinality(interval[]) returns integer", "set_bit(bytea, integer, integer) returns bytea",
				"unnest(text[]) returns setof text", "unnest(uuid[]) returns setof uuid", "more(double precision, integer) returns boolean"} {
				do(t, hostile, "create function public."+f+hostileBody)
			}
			do(t, hostile, "create operator public.> (leftarg = double precision, rightarg = integer, function = public.more)")
			releasedFour(t, db, func() {
				do(t, db.Relay(t), "grant usage on schema relay to "+role)
				for _, status := range []string{"relay.message_status", "relay.delivery_status"} {
					do(t, hostile, "create function public.same("+status+", "+status+") returns boolean"+hostileBody)
					for _, operator := range []string{"=", "<>"} {
						do(t, hostile, "create operator public."+operator+" (leftarg = "+status+", rightarg = "+status+", function = public.same)")
					}
				}
			})
			before, err := foreign(t.Context(), db.Relay(t), foreignCode)
			if err != nil || len(before) < 8 {
				t.Fatalf("nothing was bound wrongly, so the test shows nothing: %v, %v", before, err)
			}
			do(t, db.Relay(t), "insert into relay.outbox (id, topic) values (gen_random_uuid(), 'old')")
			s := openAt(t, db.URL)
			if _, _, err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after, err := foreign(t.Context(), db.Relay(t), foreignCode); err != nil || len(after) > 0 {
				t.Errorf("still bound: %v, %v", after, err)
			}
			if err := s.Grant(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
			do(t, db.App(t), "insert into relay.outbox (topic, key) values ('t', 'k')", "select relay.publish('t', '{}')")
			do(t, db.Admin(t), "insert into relay.subscription (name, topics, target, rate_limit, backoff) values ('s', '{relay.dead}', 'http://h/', 3, '{1s}')",
				"update relay.outbox set status = 'rejected'",
				`insert into relay.delivery (message_id, subscription, target, status, due_at, circuit, shard, seq)
				select id, 's', 'http://h/', 'dead', now(), 'c', shard, seq from relay.outbox where topic = 'old'`)
		})
	}
}

// TestMigrateRefusesCodeOfOtherRoles names what it cannot bind anew.
func TestMigrateRefusesCodeOfOtherRoles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ plant, spoil, want, mend string }{
		"a trigger": {
			plant: "create function public.spy() returns trigger" + hostileBody,
			spoil: "grant trigger on relay.outbox to MALLORY; set role MALLORY; create trigger spy before update on relay.outbox for each row execute function public.spy(); reset role",
			want:  "trigger spy on table relay.outbox uses function public.spy()",
			mend:  "drop trigger spy on relay.outbox",
		},
		"an index": {
			plant: "create function public.weigh(text) returns text" + hostileBody,
			spoil: "create index spied on relay.delivery (public.weigh(circuit))",
			want:  "index relay.spied uses function public.weigh(text)",
			mend:  "drop index relay.spied",
		},
		"a default": {
			plant: "create function public.spy() returns text" + hostileBody,
			spoil: "alter table relay.delivery alter instance set default public.spy()",
			want:  "default value for column instance of table relay.delivery uses function public.spy()",
			mend:  "alter table relay.delivery alter instance set default ''",
		},
		"an overload in the schema": {
			plant: "select 1",
			spoil: "grant create on schema relay to MALLORY; set role MALLORY; create function relay.wants_dead(varchar[]) returns boolean" + hostileBody + "; reset role; revoke create on schema relay from MALLORY",
			want:  "function relay.wants_dead(character varying[]) belongs to role",
			mend:  "drop function relay.wants_dead(varchar[])",
		},
		"a trigger that its owner vouches for": {
			plant: "create function public.spy() returns trigger" + hostileBody,
			spoil: "create trigger spy before update on relay.outbox for each row execute function public.spy(); alter function public.spy() owner to postgres",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db := open(t)
			hostile, role := mallory(t, db)
			do(t, hostile, strings.ReplaceAll(c.plant, "MALLORY", role))
			do(t, db.Admin(t), "grant usage on schema relay to "+role, strings.ReplaceAll(c.spoil, "MALLORY", role))
			_, _, err := s.Migrate(t.Context())
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"`+role+`"`) {
				t.Fatalf("%v does not say %q", err, c.want)
			}
			do(t, db.Admin(t), c.mend)
			if _, _, err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMigrateKeepsConsumers: roles that could receive before there were policies go on.
func TestMigrateKeepsConsumers(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	releasedFour(t, db, func() {})
	do(t, db.Relay(t), "grant usage on schema relay to app", "grant execute on function relay.receive to app")
	do(t, db.App(t), "select relay.receive('stock', '01890000-0000-7000-8000-000000000001')")
	s := openAt(t, db.URL)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var first bool
	err := db.App(t).QueryRow(t.Context(), "select relay.receive('stock', '01890000-0000-7000-8000-000000000001')").Scan(&first)
	if err != nil || first {
		t.Errorf("a message that was received is new: %t, %v", first, err)
	}
}

// unbound are the functions that are neither bound nor have a path, and why they are safe.
var unbound = map[string]string{
	"relay.outbox_checked()":                  "it runs inside of each INSERT, where a SET clause would cost more than the checks: its names are qualified",
	"relay.forget_received(interval,integer)": "it commits, which a SET clause forbids, and sets the path in its body after each commit",
}

// TestEveryFunctionIsBoundOrHasAPath holds for every function that a migration makes: its
// body is bound, or its search path is fixed.
func TestEveryFunctionIsBoundOrHasAPath(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	rows, err := s.pool.Query(t.Context(), `
		select p.oid::regprocedure::text from pg_proc p
		where p.pronamespace = 'relay'::regnamespace and p.prosqlbody is null
			and not coalesce(p.proconfig, '{}') && '{"search_path=pg_catalog","search_path=pg_catalog, pg_temp"}'`)
	if err != nil {
		t.Fatal(err)
	}
	loose, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range loose {
		if unbound[function] == "" {
			t.Errorf("%s looks names up by its caller's search path", function)
		}
	}
}

// TestNewIDIsInlined: an INSERT pays for no function call.
func TestNewIDIsInlined(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 18} {
		db := harness.DatabaseOn(t, major)
		s := openAt(t, db.URL)
		if _, _, err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := db.Relay(t).Query(t.Context(), "explain verbose insert into relay.outbox (topic) values ('t')")
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if plan := strings.Join(lines, "\n"); err != nil || strings.Contains(plan, "new_id") || !strings.Contains(plan, "set_bit") {
			t.Errorf("%d: %v\n%s", major, err, plan)
		}
	}
}

// TestGrantBesideAnothersInbox: what the owner of the inbox granted is not for the relay to
// take back, nor a reason to fail.
func TestGrantBesideAnothersInbox(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	keeper := openAt(t, db.AdminURL)
	if _, _, err := keeper.MigrateInbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, db.Admin(t), "grant usage, create on schema relay to relay with grant option")
	s := openAt(t, db.URL)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := keeper.GrantInbox(t.Context(), "app", "stock"); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	do(t, db.App(t), "select relay.receive('stock', gen_random_uuid())", "insert into relay.outbox (topic) values ('t')")
	if err := keeper.GrantInbox(t.Context(), "app", "billing"); err != nil {
		t.Fatal(err)
	}
	do(t, db.App(t), "select relay.receive('billing', gen_random_uuid())", "insert into relay.outbox (topic) values ('t')")
	do(t, db.Admin(t), "grant select on relay.inbox to app")
	if err := s.Grant(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "SELECT on table relay.inbox") {
		t.Errorf("a privilege that the relay cannot take back: %v", err)
	}
}
