package test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// diagnosis is what `relay doctor --json` printed.
type diagnosis struct {
	OK       bool
	Findings []struct{ Result, Check, What, Mend string }
	code     int
	output   string // of both streams
}

// diagnose runs relay doctor.
func diagnose(t testing.TB, url string, env ...string) diagnosis {
	t.Helper()
	var d diagnosis
	cmd := command(t, []string{"doctor", "--json"}, append([]string{"RELAY_DATABASE_URL=" + url}, env...)...)
	var stderr logBuffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // the exit code says the same, and is judged
	d.code, d.output = cmd.ProcessState.ExitCode(), string(out)+stderr.String()
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("%v\n%s", err, d.output)
	}
	if (d.code == 0) != d.OK || d.OK != (len(d.of("fail")) == 0) {
		t.Errorf("exit code %d, ok %v, failures %v", d.code, d.OK, d.of("fail"))
	}
	return d
}

// of returns the names of the checks with the given result.
func (d diagnosis) of(result string) (checks []string) {
	for _, f := range d.Findings {
		if f.Result == result && !slices.Contains(checks, f.Check) {
			checks = append(checks, f.Check)
		}
	}
	return checks
}

// names checks that a check had the result, and that a finding of it holds both texts.
func (d diagnosis) names(t testing.TB, result, check, what, mend string) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Result == result && f.Check == check && strings.Contains(f.What, what) && strings.Contains(f.Mend, mend) {
			return
		}
	}
	t.Errorf("no %s of %s that says %q and is mended by %q in\n%s", result, check, what, mend, d.output)
}

// demoSecret is a valid signing secret.
const demoSecret = "RELAY_HTTP_SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func TestDoctorFindsAHealthySystemHealthy(t *testing.T) {
	t.Parallel()
	broker := harness.AMQPURL(t)
	s := newSystem(t, demoSecret, "RELAY_AMQP_URL="+broker)
	id := s.send(t, "topic", "'t'")
	s.waitStatus(t, id, "done")
	d := diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL, "RELAY_AMQP_URL="+broker, demoSecret)
	if d.code != 0 {
		t.Errorf("exit code %d", d.code)
	}
	// The shared server does not sync to disk, and has no limit for slots; those of other
	// tests may keep much WAL.
	warned := slices.DeleteFunc(d.of("warn"), func(check string) bool { return check == "WAL" })
	if !slices.Equal(warned, []string{"durability", "keep"}) {
		t.Errorf("warnings of %v in\n%s", warned, d.output)
	}
	for _, check := range []string{"configuration", "database", "clock", "role", "schema", "application", "table", "relays",
		"wal_level", "slots", "senders", "slot", "publication", "transactions", "messages", "deliveries", "destination", "broker"} {
		d.names(t, "ok", check, "", "")
	}
	d.names(t, "ok", "slot", "is read by pid", "")
	d.names(t, "ok", "application", "app", "")
	out, err := command(t, []string{"doctor"}, "RELAY_DATABASE_URL="+s.db.URL, "RELAY_SLOT="+s.db.Name).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok    slot ") || !strings.Contains(string(out), " 0 failures\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDoctorNamesWhatMendsTheServer(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{
		"wal_level": "replica", "max_replication_slots": "0", "synchronous_commit": "off", "max_slot_wal_keep_size": "1GB",
	}})
	db := harness.NewDatabase(t, server)
	prepare(t, db)
	d := diagnose(t, db.URL)
	d.names(t, "fail", "wal_level", "replica", "alter system set wal_level = logical")
	d.names(t, "warn", "slots", "all 0", "alter system set max_replication_slots = 10")
	d.names(t, "fail", "slot", "no room", "alter system set max_replication_slots = 10, then restart the server")
	d.names(t, "warn", "durability", "the server", "synchronous_commit = on")
	d.names(t, "ok", "keep", "1.0 GB", "")
	if d := diagnose(t, db.URL, "RELAY_CAPTURE=notify"); d.code != 0 {
		t.Errorf("without a stream it needs no logical WAL:\n%s", d.output)
	}
}

// A slot of another database keeps WAL, which the server's disk holds for all. It is no slot that this relay left over.
func TestDoctorNamesWhoKeepsWAL(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{"wal_level": "logical"}})
	other, db := harness.NewDatabase(t, server).Admin(t), harness.NewDatabase(t, server)
	prepare(t, db)
	_, err := other.Exec(t.Context(), "select pg_create_logical_replication_slot('of_another', 'pgoutput')")
	if err == nil {
		_, err = other.Exec(t.Context(), "select pg_logical_emit_message(false, 'wal', repeat('x', 1 << 20)) from generate_series(1, 80)")
	}
	if err != nil {
		t.Fatal(err)
	}
	d := diagnose(t, db.URL, "RELAY_CAPTURE=poll")
	d.names(t, "warn", "WAL", `slot "of_another"`, "pg_drop_replication_slot('of_another')")
	d.names(t, "ok", "slot", "none is needed", "")
}

func TestDoctorNamesWhatMendsTheRole(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	admin, role := db.Admin(t), "plain_"+db.Name
	for _, statement := range []string{
		"create role " + role + " login password 'plain'",
		"grant connect on database " + db.Name + " to " + role,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { dropRole(t, db, role) })
	url := db.Server.URL(role, "plain", db.Name)
	d := diagnose(t, url)
	d.names(t, "fail", "role", "no replication right", `alter role "`+role+`" replication`)
	d.names(t, "fail", "schema", "may not make it", "grant create on database")
	prepare(t, db)
	diagnose(t, url).names(t, "fail", "schema", "does not own schema relay, routine relay.changed_by_hand(), ", `alter schema relay owner to "`+role+`"`)
	diagnose(t, db.AdminURL).names(t, "warn", "role", "superuser", "login replication")
	if _, err := admin.Exec(t.Context(), "alter role "+role+" set synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	diagnose(t, db.URL).names(t, "warn", "durability", "role "+role, "alter role "+role+" reset synchronous_commit")
}

func dropRole(t *testing.T, db *harness.DB, role string) {
	t.Helper()
	conn := db.Admin(t)
	for _, statement := range []string{"drop owned by " + role + " cascade", "drop role " + role} {
		// The test's own context has ended by now.
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Error(err)
		}
	}
}

func TestDoctorNamesWhatMendsTheSchema(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	diagnose(t, db.URL).names(t, "fail", "schema", "version 0", "relay migrate")
	prepare(t, db)
	d := diagnose(t, db.URL, "RELAY_SLOT="+db.Name)
	d.names(t, "warn", "slot", "no slot", "relay run")
	d.names(t, "warn", "publication", "no publication", "relay run")
	d.names(t, "warn", "relays", "none runs", "relay run")
	if d.code != 0 {
		t.Errorf("before the first start nothing has failed:\n%s", d.output)
	}
	start(t, db, "RELAY_CAPTURE=poll")
	harness.Eventually(t, 10*time.Second, "the relay tells doctor its variables", func() bool {
		d = diagnose(t, db.URL, "RELAY_SLOT="+db.Name)
		return d.find("ok", "configuration", "runs with") != nil
	})
	d.names(t, "ok", "slot", "none is needed", "") // as the relay's variables say, not the shell's
	d.names(t, "ok", "configuration", "runs with RELAY_CAPTURE=poll", "")
}

// TestDoctorJudgesNoRelayThatIsStarting: a relay tells how it stands twice a second, and what it told when it started
// is true no more when doctor looks at the slot.
func TestDoctorJudgesNoRelayThatIsStarting(t *testing.T) {
	t.Parallel()
	s := bare(t)
	s.exec(t, `insert into relay.instance (id, name, version, streaming, report, reported_at) values (gen_random_uuid(), 'one', 'v1', true,
		'{"settings": {"RELAY_CAPTURE": "stream"}, "doorbell": {"heard": false, "stream": true, "why": "the relay is starting"}}', now())`)
	doctor := command(t, []string{"doctor", "--json"}, "RELAY_DATABASE_URL="+s.db.URL)
	var said logBuffer
	doctor.Stdout = &said
	if err := doctor.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "doctor has read the report", func() bool {
		return s.text(t, `select count(*)::text from pg_stat_activity
			where query like '%relay.instance where report is not null%' and datname = current_database() and pid <> pg_backend_pid()`) == "1"
	})
	s.exec(t, `update relay.instance set report = jsonb_set(report, '{doorbell,heard}', 'true')`)
	_ = doctor.Wait() // there is no slot, which is a failure
	if !strings.Contains(said.String(), `{"result":"ok","check":"stream","what":"one hears of every commit"}`) {
		t.Errorf("doctor says:\n%s", said.String())
	}
}

func TestDoctorNamesWhatMendsThePublication(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	admin := db.Admin(t)
	for statement, mend := range map[string]string{
		"create publication one for all tables":                                              `drop publication "one"; create publication "one" for table relay.outbox (id, key, deliver_at, seq) with (publish = 'insert')`,
		"create publication two for table relay.outbox (id)":                                 `alter publication "two" set table relay.outbox (id, key, deliver_at, seq)`,
		"create publication three for table relay.lease":                                     `alter publication "three" set table relay.outbox`,
		"create publication four for table relay.outbox (id) with (publish = 'update')":      `set (publish = 'insert'`,
		"create publication five for table relay.outbox (id, key, deliver_at) where (false)": `alter publication "five" set table`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		name := strings.Fields(statement)[2]
		diagnose(t, db.URL, "RELAY_PUBLICATION="+name).names(t, "fail", "publication", fmt.Sprintf("%q", name), mend)
		if _, err := admin.Exec(t.Context(), "drop publication "+name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDoctorNamesWhatMendsTheTable(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	admin := db.Admin(t)
	for _, statement := range []string{
		"alter table relay.outbox set (autovacuum_enabled = off)",
		"create function public.f() returns trigger language plpgsql as 'begin return new; end'",
		"create trigger mine before insert on relay.outbox for each row execute function public.f()",
		"insert into relay.outbox (topic, created_at) select 't', now() - interval '1 hour' from generate_series(1, 3)",
		"insert into relay.outbox (topic, status, last_error) values ('t', 'rejected', 'no route: x'), ('t', 'dead', null)",
		"insert into relay.outbox (topic, status) values ('t', 'open')",
		`insert into relay.delivery (message_id, subscription, target, status, reason, last_error, due_at, circuit, shard, seq)
		 select id, 'default', 'x', (case status when 'dead' then 'dead' else 'waiting' end)::relay.delivery_status,
			case status when 'open' then 'circuit_open' end, 'answered 500', now(), 'http://b:80', shard, seq
		 from relay.outbox where status in ('open', 'dead')`,
		`insert into relay.delivery (message_id, subscription, instance, target, status, reason, last_error, due_at, circuit, shard, seq)
		 select id, 'direct', 'x', 'x', 'waiting', 'no_resources', 'no free file descriptor', now(), 'https://user@b:443/hook?token=hunter2', shard, seq
		 from relay.outbox where status = 'open'`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	d := diagnose(t, db.URL)
	d.names(t, "warn", "table", "autovacuum is off", "reset (autovacuum_enabled)")
	d.names(t, "warn", "table", "mine", "drop trigger")
	d.names(t, "warn", "messages", "3 pending, the oldest for 1h0m", "relay run")
	d.names(t, "warn", "messages", ": no route: x", "relay messages retry --status rejected --yes")
	d.names(t, "warn", "messages", "1 dead at default, the youngest ", "relay messages retry --status dead --subscription default --yes")
	d.names(t, "warn", "deliveries", "(waiting, circuit_open); last: answered 500", "relay messages retry --status open")
	d.names(t, "warn", "deliveries", "1 wait for https://b:443/hook?… (waiting, no_resources); last: no free file descriptor", "give the machines of the relays more")
	if _, err := admin.Exec(t.Context(), "alter table relay.outbox enable row level security"); err != nil {
		t.Fatal(err)
	}
	diagnose(t, db.URL).names(t, "warn", "table", "row level security", "disable row level security")
	if _, err := admin.Exec(t.Context(), "alter table relay.outbox force row level security"); err != nil {
		t.Fatal(err)
	}
	diagnose(t, db.URL).names(t, "fail", "table", "row level security", "no force row level security")
}

func TestDoctorNamesWhatMendsTheSubscriptions(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	receiver, nobody := newReceiver(t, nil), harness.FreeAddress(t)
	admin := db.Admin(t)
	diagnose(t, db.URL).names(t, "ok", "subscriptions", "0, and nothing is wrong", "")
	add := func(name, target string, paused bool) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), "insert into relay.subscription (name, topics, target, paused) values ($1, '{#}', $2, $3)", name, target, paused); err != nil {
			t.Fatal(err)
		}
	}
	add("good", receiver.URL+"/good", false)
	add("later", "http://"+nobody+"/later", true)
	diagnose(t, db.URL).names(t, "ok", "subscriptions", "2, and nothing is wrong", "")
	add("down", "http://u:hunter2@"+nobody+"/down?token=hunter3", false)
	add("down-too", "http://"+nobody+"/too", false)
	add("odd", "ftp://example.org/", false)
	add("audit", "amqp:/audit", false)
	d := diagnose(t, db.URL)
	d.names(t, "fail", "endpoints", "http://"+nobody+", of down, down-too: ", "relay subscriptions set down --target")
	d.names(t, "fail", "subscriptions", "nothing is sent to odd: ", "relay subscriptions set odd --target")
	d.names(t, "fail", "subscriptions", "what is for audit waits", "set RELAY_AMQP_URL")
	if strings.Contains(d.output, "hunter") || strings.Contains(d.output, "later") {
		t.Errorf("a secret, or what is paused, is printed:\n%s", d.output)
	}
}

func TestDoctorWorksWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	nobody := harness.FreeAddress(t)
	d := diagnose(t, "postgres://relay:hunter2@"+nobody+"/shop", "RELAY_AMQP_URL=amqp://u:hunter3@"+nobody+"/v",
		"RELAY_DEFAULT_DESTINATION=http://u:hunter4@"+nobody+"/", "RELAY_SOLT=x")
	d.names(t, "warn", "configuration", "RELAY_SOLT", "write RELAY_SLOT")
	d.names(t, "fail", "database", "refused", "start the server")
	d.names(t, "fail", "broker", "refused", "start the broker at "+nobody)
	d.names(t, "fail", "destination", "refused", "start what listens")
	if strings.Contains(d.output, "hunter") {
		t.Errorf("a secret is printed:\n%s", d.output)
	}
	diagnose(t, "not a url").names(t, "fail", "configuration", "RELAY_DATABASE_URL", "set RELAY_DATABASE_URL")
	db := harness.Database(t)
	diagnose(t, db.Server.URL("relay", "wrong", db.Name)).names(t, "fail", "database", "password authentication failed", "user and password")
	diagnose(t, db.Server.URL("relay", "relay", "nowhere")).names(t, "fail", "database", "does not exist", "set the database")
}

func TestDoctorTellsTheBrokersRefusalsApart(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	r := harness.Rabbit(t)
	diagnose(t, db.URL, "RELAY_AMQP_URL="+r.URL("nowhere")).names(t, "fail", "broker", "", `rabbitmqctl add_vhost "nowhere"`)
	wrong := fmt.Sprintf("amqp://relay:wrong@127.0.0.1:%d/", r.Port())
	diagnose(t, db.URL, "RELAY_AMQP_URL="+wrong).names(t, "fail", "broker", "", "user and password in RELAY_AMQP_URL")
	d := diagnose(t, db.URL, "RELAY_DEFAULT_DESTINATION=https://relay.invalid/x")
	d.names(t, "fail", "destination", "relay.invalid", "correct the host's name")
	plain := newReceiver(t, nil)
	start := time.Now()
	diagnose(t, db.URL, "RELAY_DEFAULT_DESTINATION="+strings.Replace(plain.URL, "http:", "https:", 1)).names(t, "fail", "destination", "tls", "start what listens")
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}
