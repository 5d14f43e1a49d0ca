package test

import (
	"strings"
	"testing"

	"relay/test/harness"
	"relay/throwaway"
)

// TestDoctorListsWhatOtherRolesMayDo makes one role for each way to more than relay grant
// gives, and runs the commands that doctor prints until it finds nothing.
func TestDoctorListsWhatOtherRolesMayDo(t *testing.T) {
	t.Parallel()
	// Roles and their members are the whole server's.
	db := harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{"wal_level": "logical"}}))
	prepare(t, db)
	owner, admin := connect(t, db.URL+"&search_path=pg_catalog"), connect(t, db.AdminURL)
	if _, err := admin.Exec(t.Context(), `
		create role ro; create role lender; create role borrower; create role colleague; create role deputy; create role backup;
		create role writer; create role shop_member; create role trainee; create role second_root; create role root superuser login;
		grant relay to colleague; grant colleague to deputy; grant pg_read_all_data to backup; grant pg_write_all_data to writer;
		grant app to shop_member; grant ro to trainee; grant postgres to second_root;
		create function public.spy() returns trigger language plpgsql as 'begin return new; end'; alter function public.spy() owner to ro`); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"grant select on relay.ack_key, relay.attempt to ro", "grant update (status), insert (topic) on relay.outbox to ro",
		"grant execute on function relay.shown_target(text) to public", "grant usage on schema relay to lender", "grant create on schema relay to ro",
		"grant select on relay.subscription to lender with grant option", "grant insert (topic) on relay.outbox to lender with grant option",
		"create trigger spy before update on relay.job for each row execute function public.spy()",
	} {
		if _, err := owner.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := admin.Exec(t.Context(), `set role lender; grant select on relay.subscription to borrower; reset role;
		grant create on schema public to public; create schema extra; grant create on schema extra to borrower;
		alter role relay in database `+db.Name+` set search_path = "$user", public, extra`); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, "", []string{"grant", "app", "--inbox", "warehouse"}, "RELAY_DATABASE_URL="+db.URL); code != 0 {
		t.Fatal(out, errs)
	}
	d := diagnose(t, db.URL)
	for _, w := range []struct{ result, check, what, mend string }{
		{"warn", "privileges", "role ro may SELECT on table relay.ack_key", `revoke select on table relay.ack_key from "ro"`},
		{"warn", "privileges", "role ro may SELECT on table relay.attempt", `revoke select on table relay.attempt from "ro"`},
		{"warn", "privileges", "role ro may UPDATE (status) on table relay.outbox", `revoke update (status) on table relay.outbox from "ro"`},
		{"warn", "privileges", "role ro may CREATE on schema relay", `revoke create on schema relay from "ro"`},
		{"warn", "privileges", "every role (PUBLIC) may EXECUTE on function relay.shown_target(text)", "revoke execute on function relay.shown_target(text) from public"},
		{"warn", "privileges", "role lender may INSERT (topic) with grant option", `revoke grant option for insert (topic) on table relay.outbox from "lender"`},
		{"warn", "privileges", "role borrower may SELECT on table relay.subscription", `set role "lender"; revoke select on table relay.subscription from "borrower"; reset role`},
		{"warn", "privileges", "role colleague is a member of relay, and may do everything", `revoke "relay" from "colleague"`},
		{"warn", "privileges", "role deputy is a member of relay through colleague", `revoke "colleague" from "deputy"`},
		{"warn", "privileges", "role second_root is a member of postgres", `revoke "postgres" from "second_root"`},
		{"warn", "privileges", "role backup is a member of pg_read_all_data, and reads every table", `revoke "pg_read_all_data" from "backup"`},
		{"warn", "privileges", "role writer is a member of pg_write_all_data", `revoke "pg_write_all_data" from "writer"`},
		{"warn", "privileges", "role trainee is a member of ro, and has its privileges", `revoke "ro" from "trainee"`},
		{"ok", "privileges", "role shop_member is a member of app, and has what relay grant gave", ""},
		{"fail", "privileges", `trigger spy on table relay.job uses function public.spy(), which belongs to role "ro"`, "drop trigger spy on relay.job"},
		{"ok", "superusers", "postgres, root", ""},
		{"ok", "inbox", "role app may receive where (consumer = ANY ('{warehouse}'::text[]))", ""},
		{"warn", "path", "every role (PUBLIC) may create functions and operators in schema public", `revoke create on schema "public" from public`},
		{"warn", "path", "role borrower may create functions and operators in schema extra", `alter role "relay" in database "` + db.Name + `" set search_path = pg_catalog`},
		{"warn", "path", "role ro may create functions in schema relay", `revoke create on schema "relay" from "ro"`},
	} {
		d.names(t, w.result, w.check, w.what, w.mend)
	}
	for _, f := range d.Findings {
		if f.Result != "warn" || f.Check != "privileges" && f.Check != "path" {
			continue
		}
		command, _, _ := strings.Cut(f.Mend, "; or ")
		if _, err := admin.Exec(t.Context(), command); err != nil && !strings.Contains(err.Error(), "dependent privileges exist") {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := admin.Exec(t.Context(), "drop trigger spy on relay.job; revoke select on relay.subscription from lender"); err != nil {
		t.Fatal(err)
	}
	d = diagnose(t, db.URL)
	for _, f := range d.Findings {
		if f.Result != "ok" && (f.Check == "privileges" || f.Check == "path") {
			t.Errorf("it stays after the commands ran: %s: %s", f.Check, f.What)
		}
	}
}

// TestDoctorSaysThatConsumersAreNotLimited: without row level security no policy counts.
func TestDoctorSaysThatConsumersAreNotLimited(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	if _, err := db.Relay(t).Exec(t.Context(), "alter table relay.inbox disable row level security"); err != nil {
		t.Fatal(err)
	}
	diagnose(t, db.URL).names(t, "fail", "inbox", "for every consumer", "alter table relay.inbox enable row level security")
	code, _, errs := run(t, "", []string{"grant", "app", "--inbox", "warehouse"}, "RELAY_DATABASE_URL="+db.URL)
	if code == 0 || !strings.Contains(errs, "enable row level security") {
		t.Errorf("consumers that cannot be limited were granted: %d, %s", code, errs)
	}
}

func TestGrantRefusesFlagsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"grant", "app", "warehouse"}, {"grant", "app", "--inbox", "--no-destination"}} {
		if code, out, errs := run(t, "", args, "RELAY_DATABASE_URL=postgres://nobody@127.0.0.1:1/x"); code == 0 || !strings.Contains(errs, "--inbox") {
			t.Errorf("%v: %d, %s%s", args, code, out, errs)
		}
	}
}
