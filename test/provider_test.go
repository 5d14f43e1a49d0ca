package test

import (
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// On servers of providers the right to replicate comes in other ways than by the attribute. The
// test makes the roles by which the relay recognises a provider on a server of its own, where
// these roles give no right to replicate. Doctor and the relay say what helps at that provider,
// and report a failure until the server gives a stream.
func TestProvidersHaveTheirOwnWayToReplicate(t *testing.T) {
	t.Parallel()
	s := &system{db: harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{}))}
	prepare(t, s.db)
	s.app, s.admin, s.receiver = s.db.App(t), s.db.Admin(t), newReceiver(t, nil)
	env := []string{"RELAY_SLOT=" + s.db.Name, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, demoSecret}
	s.exec(t, "alter role relay noreplication")
	s.relay = launch(t, s.db, env...)
	newTraffic(t, s, 1, 10)
	diagnose(t, s.db.URL, env...).names(t, "fail", "role", "no replication right", `alter role "relay" replication`)
	for _, p := range []struct{ role, before, after, setting string }{
		{"rds_replication", `grant rds_replication to "relay", as the master user`, "set rds.logical_replication = 1 in the parameter group", "set max_slot_wal_keep_size = 10240 in the parameter group"},
		{"cloudsqlsuperuser", `alter role "relay" replication, as postgres or another member of cloudsqlsuperuser`, `alter role "relay" replication`, "database flags"},
		{"azure_pg_admin", `alter role "relay" replication, as the server's administrator`, `alter role "relay" replication`, "alert on the server's storage"},
		{"supabase_admin", `alter role "relay" replication, as postgres`, `alter role "relay" replication`, "postgres-config update --config max_slot_wal_keep_size=10GB"},
	} {
		s.exec(t, "create role "+p.role)
		d := diagnose(t, s.db.URL, env...)
		d.names(t, "fail", "role", "no replication right", p.before)
		d.names(t, "warn", "keep", "is not set", p.setting)
		s.deliversWithoutStream(t, `role "relay" has no replication right`, p.before)
		s.exec(t, "grant "+p.role+" to relay")
		d = diagnose(t, s.db.URL, env...)
		d.names(t, "ok", "role", "as a member of "+p.role, "")
		d.names(t, "fail", "replication", "although it is a member of "+p.role, p.after)
		s.deliversWithoutStream(t, "although it is a member of "+p.role, p.after)
		s.exec(t, "drop role "+p.role)
	}
	s.exec(t, "create role azure_pg_admin; alter role relay replication")
	s.relay.waitReady()
	// The relay reports a change to the table within half a second, and doctor reads it there.
	var d diagnosis
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("doctor's last words:\n%s", d.output)
		}
	})
	harness.Eventually(t, 20*time.Second, "doctor is content", func() bool {
		d = diagnose(t, s.db.URL, env...)
		return d.code == 0
	})
}
