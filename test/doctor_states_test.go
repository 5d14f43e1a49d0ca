package test

import (
	"testing"

	"relay/test/harness"
)

// TestDoctorNamesWhatPeopleHaveSet: what is set for roles and databases, or made beside the relay's tables, so that
// messages cannot be inserted, sent or removed.
func TestDoctorNamesWhatPeopleHaveSet(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	admin, role := db.Admin(t), "limited_"+db.Name
	diagnose(t, db.URL).names(t, "ok", "states", "nothing that a person has set", "")
	for _, statement := range []string{
		"create role " + role + " login replication password 'limited' connection limit 3",
		"grant relay to " + role,
		"grant connect on database " + db.Name + " to " + role,
		"alter database " + db.Name + " connection limit 20",
		"alter database " + db.Name + " set default_transaction_read_only = on",
		"alter role " + role + " in database " + db.Name + " set session_replication_role = replica",
		"set default_transaction_read_only = off; create table public.audit (message uuid constraint leads_there references relay.outbox)",
		"set default_transaction_read_only = off; alter table relay.delivery enable row level security; alter table relay.delivery force row level security; alter table relay.lease enable row level security",
		"set default_transaction_read_only = off; alter table relay.subscription enable trigger subscription_changed; alter table relay.delivery disable trigger delivery_died",
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	t.Cleanup(func() { dropRole(t, db, role) })
	d := diagnose(t, db.Server.URL(role, "limited", db.Name))
	d.names(t, "warn", "read-only", "for database "+db.Name, "alter database "+db.Name+" reset default_transaction_read_only")
	d.names(t, "warn", "replication role", "for role "+role, "alter role "+role+" in database "+db.Name+" reset session_replication_role")
	d.names(t, "fail", "connections", "may have 3 connections", `alter role "`+role+`" connection limit -1`)
	d.names(t, "warn", "connections", "may have 20 connections", `alter database "`+db.Name+`" connection limit -1`)
	d.names(t, "warn", "foreign keys", "public.audit references relay.outbox", "alter table public.audit drop constraint leads_there")
	d.names(t, "fail", "table", "hides rows of relay.delivery", "alter table relay.delivery no force row level security")
	d.names(t, "warn", "table", "relay.lease has row level security", "alter table relay.lease disable row level security")
	d.names(t, "warn", "triggers", "subscription_changed on relay.subscription", "alter table relay.subscription enable always trigger subscription_changed")
	d.names(t, "fail", "triggers", "delivery_died on relay.delivery is disabled", "alter table relay.delivery enable always trigger delivery_died")
}

// TestTriggersFireAlways: where everything that may be set for a role and a database keeps triggers from firing and
// transactions from writing, messages go out and deaths are told.
func TestTriggersFireAlways(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := &system{db: db, receiver: newReceiver(t, nil)}
	for _, setting := range []string{"session_replication_role = replica", "default_transaction_read_only = on"} {
		if _, err := db.Admin(t).Exec(t.Context(), "alter database "+db.Name+" set "+setting); err != nil {
			t.Fatal(err)
		}
	}
	db.Admin(t).Reset()
	prepare(t, db)
	s.app, s.admin = pool(t, db.AppURL+"&default_transaction_read_only=off"), pool(t, db.AdminURL+"&default_transaction_read_only=off")
	s.relay = start(t, db, "RELAY_CAPTURE=notify", "RELAY_RECONCILE=0-63 every 1h", "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	// Each of these needs a trigger: relays hear of the subscription, of the row, and of its death.
	s.exec(t, "insert into relay.subscription (name, topics, target, max_attempts) values ('dead', '{relay.dead}', $1, 20), ('refused', '{refused}', 'http://127.0.0.1:1/', 1)", s.receiver.URL)
	s.waitStatus(t, s.send(t, "topic", "'refused'"), "dead")
	harness.Eventually(t, 20e9, "the death is told", func() bool { return s.receiver.distinct() == 1 })
	if left := s.text(t, `select string_agg(tgname, ', ') from pg_trigger t join pg_proc p on p.oid = t.tgfoid
		where p.pronamespace = 'relay'::regnamespace and tgenabled <> 'A'`); left != "" {
		t.Errorf("these triggers do not fire always: %s", left)
	}
}
