package test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// ownDatabase returns a database on a server of its own.
func ownDatabase(t *testing.T) *harness.DB {
	return harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{}))
}

// statements seeds a fault by SQL of a superuser.
func statements(all ...string) func(*testing.T, *faulty) {
	return func(t *testing.T, f *faulty) {
		for _, statement := range all {
			f.sql(t, f.fill(statement))
		}
	}
}

func nothing(*testing.T, *faulty) {}

// role makes a role of the fault's own, with which doctor connects.
func role(options string, grants ...string) func(*testing.T, *faulty) {
	return func(t *testing.T, f *faulty) {
		name := "faulty_" + f.db.Name
		f.values["ROLE"] = name
		f.sql(t, "create role "+name+" login password 'faulty' "+options)
		t.Cleanup(func() { dropRole(t, f.db, name) })
		for _, grant := range append([]string{"grant connect on database DB to ROLE"}, grants...) {
			f.sql(t, f.fill(grant))
		}
		f.url = f.db.Server.URL(name, "faulty", f.db.Name)
	}
}

// databaseFaults keep doctor from more than a first look.
var databaseFaults = []doctorFault{
	{name: "unknown variable", env: []string{"RELAY_SOLT=x"}, seed: nothing,
		result: "warn", check: "configuration", what: "RELAY_SOLT", mend: "unset RELAY_SOLT"},
	{name: "bad value", env: []string{"RELAY_MAX_ATTEMPTS=many"}, seed: func(_ *testing.T, f *faulty) { f.values["RELAY_MAX_ATTEMPTS"] = "3" },
		result: "fail", check: "configuration", what: "RELAY_MAX_ATTEMPTS", mend: "set RELAY_MAX_ATTEMPTS"},
	{name: "unknown variable of the relay", relay: true, env: []string{"RELAY_BACKOF=1s"}, seed: nothing,
		result: "warn", check: "configuration", what: "RELAY_BACKOF in the environment of", mend: "unset RELAY_BACKOF, then start the relay again"},
	{name: "dead server", own: true, seed: func(t *testing.T, f *faulty) {
		if err := f.db.Server.Stop("fast"); err != nil {
			t.Fatal(err)
		}
		f.begin = func() {
			if err := f.db.Server.Start(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}, result: "fail", check: "database", what: "refused", mend: "start the server"},
	{name: "wrong password", seed: func(_ *testing.T, f *faulty) {
		f.values["RELAY_DATABASE_URL"] = f.url
		f.url = f.db.Server.URL("relay", "wrong", f.db.Name)
	}, result: "fail", check: "database", what: "password authentication failed", mend: "set user and password"},
	{name: "wrong database", seed: func(_ *testing.T, f *faulty) {
		f.values["RELAY_DATABASE_URL"] = f.url
		f.url = f.db.Server.URL("relay", "relay", "nowhere")
	}, result: "fail", check: "database", what: "does not exist", mend: "set the database"},
	{name: "standby", own: true, seed: standby,
		result: "fail", check: "database", what: "it is a standby", mend: "set RELAY_DATABASE_URL to the primary"},
	{name: "WAL without logical decoding", own: true, seed: func(t *testing.T, f *faulty) {
		f.sql(t, "alter system set wal_level = replica")
		f.restart(t)
		f.run(t)
	}, result: "fail", check: "wal_level", what: "a stream needs logical", mend: "alter system set wal_level = logical, then restart the server"},
	{name: "no room for a slot", own: true, seed: func(t *testing.T, f *faulty) {
		f.sql(t, "alter system set max_replication_slots = 0")
		f.restart(t)
	}, result: "fail", check: "slot", what: "no room for it", mend: "alter system set max_replication_slots = 10, then restart the server"},
	{name: "no fsync", own: true, seed: statements("alter system set fsync = off", "select pg_reload_conf()"),
		result: "warn", check: "durability", what: "fsync is off", mend: "alter system set fsync = on"},
}

// standby makes the fault's server one that waits for a primary. The primary is another server.
func standby(t *testing.T, f *faulty) {
	if err := f.db.Server.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	signal := filepath.Join(f.db.Server.Dir(), "data", "standby.signal")
	if err := os.WriteFile(signal, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.db.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	primary := migrated.Database(t)
	f.values["RELAY_DATABASE_URL"] = primary.URL
	t.Cleanup(func() { _ = os.Remove(signal) })
}

// schemaFaults concern the schema and its privileges.
var schemaFaults = []doctorFault{
	{name: "not migrated", bare: true, seed: nothing,
		result: "fail", check: "schema", what: "version 0", mend: "relay migrate"},
	{name: "no right to make the schema", bare: true, seed: role("replication"),
		result: "fail", check: "schema", what: "may not make it", mend: "grant create on database"},
	{name: "another owner", seed: role("replication", "grant create on database DB to ROLE"),
		result: "fail", check: "schema", what: "does not own schema relay", mend: "alter schema relay owner to"},
	{name: "no replication right", seed: role("noreplication", "grant relay to ROLE"),
		result: "fail", check: "role", what: "no replication right", mend: "alter role"},
	{name: "no role may insert", bare: true, seed: func(t *testing.T, f *faulty) { f.step(t, "relay migrate") },
		result: "warn", check: "application", what: "no role but the owner", mend: "relay grant ROLE"},
	{name: "too many privileges", seed: statements("grant select on relay.outbox to app"),
		result: "warn", check: "privileges", what: "role app may SELECT", mend: "revoke"},
	{name: "functions in the relay's schema", seed: statements("grant create on schema relay to app"),
		result: "warn", check: "path", what: "may create functions in schema relay", mend: "revoke create on schema"},
	{name: "a stranger's function", seed: statements("create schema theirs", "grant usage, create on schema theirs to app",
		"set role app; create function theirs.f() returns trigger language plpgsql as 'begin return new; end'",
		"create trigger theirs before insert on relay.outbox for each row execute function theirs.f()"),
		result: "fail", check: "privileges", what: "belongs to role", mend: "drop trigger theirs on relay.outbox"},
	{name: "a copy", seed: statements("insert into relay.identity (system_identifier, database_oid) values (1, 1)"),
		result: "fail", check: "identity", what: "is a copy", mend: "relay adopt"},
	{name: "no relay", env: []string{"RELAY_SLOT=DB"}, seed: nothing,
		result: "warn", check: "relays", what: "none runs", mend: "relay run"},
}

// stateFaults are settings and objects of people.
var stateFaults = []doctorFault{
	{name: "read only", seed: statements("alter database DB set default_transaction_read_only = on"),
		result: "warn", check: "read-only", what: "applications cannot insert", mend: "begin read write; alter database"},
	{name: "triggers that do not fire", seed: statements("alter database DB set session_replication_role = replica"),
		result: "warn", check: "replication role", what: "do not work there", mend: "alter database"},
	{name: "asynchronous commit", seed: statements("alter database DB set synchronous_commit = off"),
		result: "warn", check: "durability", what: "synchronous_commit is off", mend: "alter database"},
	{name: "few connections", seed: statements("alter database DB connection limit 6"),
		result: "fail", check: "connections", what: "may have 6 connections", mend: "alter database"},
	{name: "foreign key", seed: statements("create table public.audit (message uuid constraint leads_there references relay.outbox)"),
		result: "warn", check: "foreign keys", what: "public.audit references relay.outbox", mend: "alter table public.audit drop constraint leads_there"},
	{name: "row level security", seed: statements("alter table relay.outbox enable row level security", "alter table relay.outbox force row level security"),
		result: "fail", check: "table", what: "hides rows of relay.outbox", mend: "alter table relay.outbox no force row level security"},
	{name: "unlogged", seed: statements("alter table relay.outbox set unlogged"),
		result: "fail", check: "table", what: "is unlogged", mend: "alter table relay.outbox set logged"},
	{name: "no autovacuum", seed: statements("alter table relay.outbox set (autovacuum_enabled = off)"),
		result: "warn", check: "table", what: "autovacuum is off", mend: "alter table relay.outbox reset (autovacuum_enabled)"},
	{name: "a trigger of a person", seed: statements("create function public.f() returns trigger language plpgsql as 'begin return new; end'",
		"create trigger mine before insert on relay.outbox for each row execute function public.f()"),
		result: "warn", check: "table", what: "triggers that are not the relay's: mine", mend: `drop trigger "mine" on relay.outbox`},
	{name: "a disabled trigger", seed: statements("alter table relay.delivery disable trigger delivery_died"),
		result: "fail", check: "triggers", what: "delivery_died on relay.delivery is disabled", mend: "alter table relay.delivery enable always trigger delivery_died"},
	{name: "every consumer's inbox", seed: statements("alter table relay.inbox disable row level security"),
		result: "fail", check: "inbox", what: "row level security is off", mend: "alter table relay.inbox enable row level security"},
	{name: "a slot that was left over", seed: func(t *testing.T, f *faulty) {
		f.sql(t, "select pg_create_logical_replication_slot('"+f.db.Name+"_old', 'pgoutput')")
	}, result: "warn", check: "slot", what: "_old", mend: "select pg_drop_replication_slot("},
	{name: "a row that is locked", relay: true, env: []string{"RELAY_DEFAULT_DESTINATION=http://127.0.0.1:1/", "RELAY_BACKOFF=1s"}, seed: lockedRow,
		result: "warn", check: "quarantine", what: "write_outcome", mend: "select pg_terminate_backend("},
}

// lockedRow has a session lock a message that the relay works on, and do nothing.
func lockedRow(t *testing.T, f *faulty) {
	f.relay.waitReady()
	f.app, f.admin = f.db.App(t), f.db.Admin(t)
	id := f.send(t, "topic", "'t'")
	f.waitStatus(t, id, "open")
	tx, err := f.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(t.Context()) })
	harness.Eventually(t, 10*time.Second, "the row is locked", func() bool {
		tag, err := tx.Exec(t.Context(), "select from relay.outbox o join relay.delivery d on d.message_id = o.id where o.id = $1 for update", id)
		return err == nil && tag.RowsAffected() == 1
	})
}
