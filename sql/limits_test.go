package sql

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay"
	"relay/test/harness"
	"relay/throwaway"
)

// granted returns a store on a migrated database whose application may insert.
func granted(t *testing.T) (*Store, *harness.DB) {
	t.Helper()
	s, db := open(t)
	if err := s.Grant(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	return s, db
}

// refusedAs returns the SQLSTATE and the constraint of an error.
func refusedAs(err error) (code, constraint string) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code, pg.ConstraintName
	}
	return "", ""
}

// TestLimitsAtInsert: to the byte, as the application and as the relay's own role.
func TestLimitsAtInsert(t *testing.T) {
	t.Parallel()
	_, db := granted(t)
	const key, topic, tooLong, headers = "outbox_key_length", "outbox_topic_length", "outbox_content_type_length", "outbox_headers"
	for _, c := range []struct{ columns, values, constraint string }{
		{"topic", "repeat('t', 255)", ""},
		{"topic", "repeat('t', 256)", topic},
		{"topic", "repeat('ä', 128)", topic},
		{"topic", "''", topic},
		{"topic, key", "'', 'k'", topic},
		{"topic, key", "'t', repeat('k', 1024)", ""},
		{"topic, key", "'t', repeat('k', 1025)", key},
		{"topic, key", "'t', ''", key},
		{"topic, content_type", "'t', repeat('c', 255)", ""},
		{"topic, content_type", "'t', repeat('c', 256)", tooLong},
		{"topic, content_type", "'t', ''", tooLong},
		{"topic, source", "'t', repeat('s', 255)", ""},
		{"topic, source", "'t', repeat('s', 256)", "outbox_source_length"},
		{"topic, destination", "'t', repeat('d', 2048)", ""},
		{"topic, destination", "'t', repeat('d', 2049)", "outbox_destination_length"},
		{"topic, destination", "'t', repeat('d', 50000000)", "outbox_destination_length"},
		{"topic, payload, body", "'t', '1', '1'", "outbox_payload_or_body"},
		{"topic, payload, body, content_type", "'t', '1', '1', 'text/plain'", "outbox_payload_or_body"},
		{"topic, body", "'t', '\\xff'", ""},
		{"topic, payload, content_type", "'t', '{', 'text/plain'", ""},
		{"topic, headers", "'t', '{\"a\": \"b\"}'", ""},
		{"topic, headers", "'t', '\"a\"'", headers},
		{"topic, headers", "'t', '[\"a\"]'", headers},
		{"topic, headers", "'t', '[]'", headers},
		{"topic, headers", "'t', 'true'", headers},
		{"topic, headers", "'t', '{\"a\": 1}'", headers},
		{"topic, headers", "'t', '{\"a\": null}'", headers},
		{"topic, headers", "'t', '{\"a\": \"b\", \"c\": [\"d\"]}'", headers},
		{"topic, headers", "'t', '{\"a\": {}}'", headers},
		{"topic, headers", "'t', json_build_object('a', repeat('b', 65536 - 9))::jsonb", ""},
		{"topic, headers", "'t', json_build_object('a', repeat('b', 65536 - 8))::jsonb", headers},
		{"topic, headers", "'t', json_build_object('a', repeat('b', 20000000))::jsonb", headers},
		{"topic", "'relay.dead'", "outbox_topic_reserved"},
		{"topic", "'relay.'", "outbox_topic_reserved"},
		{"topic, headers", "'relay.x', null", "outbox_topic_reserved"},
		{"topic", "'relay'", ""},
		{"topic", "'relayed.x'", ""},
	} {
		statement := fmt.Sprintf("insert into relay.outbox (%s) values (%s)", c.columns, c.values)
		_, asApp := db.App(t).Exec(t.Context(), statement)
		_, asRelay := db.Relay(t).Exec(t.Context(), statement)
		for _, err := range []error{asApp, asRelay} {
			code, constraint := refusedAs(err)
			if err == nil && c.constraint != "" || err != nil && (code != "23514" || constraint != c.constraint) {
				t.Errorf("%s: %v, constraint %q, want %q", statement, err, constraint, c.constraint)
			}
		}
	}
}

// TestPayloadsAreJSONWhereTheContentTypeSaysSo: however it is written.
func TestPayloadsAreJSONWhereTheContentTypeSaysSo(t *testing.T) {
	t.Parallel()
	_, db := granted(t)
	for _, contentType := range []string{"application/json", "Application/JSON", " application/json ; charset=utf-8"} {
		for _, key := range []string{"k", strings.Repeat("k", 1000)} { // an ordinary row, and one that is not
			_, err := db.App(t).Exec(t.Context(), "insert into relay.outbox (topic, key, payload, content_type) values ('t', $1, '{', $2)", key, contentType)
			if code, _ := refusedAs(err); code != "22P02" {
				t.Errorf("%q: %v", contentType, err)
			}
			_, err = db.App(t).Exec(t.Context(), `insert into relay.outbox (topic, key, payload, content_type) values ('t', $1, '{"a": 1}', $2)`, key, contentType)
			if err != nil {
				t.Errorf("%q: %v", contentType, err)
			}
		}
	}
}

// TestMissingHeadersAreNone: frameworks send null for what they do not know.
func TestMissingHeadersAreNone(t *testing.T) {
	t.Parallel()
	_, db := granted(t)
	app := db.App(t)
	for _, statement := range []string{
		"insert into relay.outbox (topic, headers) values ('t', null)",
		"insert into relay.outbox (topic, headers) values ('t', 'null')",
		"insert into relay.outbox (topic, headers) values ('t', '{}'), ('t', default), ('t', null)",
		"insert into relay.outbox (topic, headers) select 't', null::jsonb on conflict do nothing",
		"insert into relay.outbox (topic, headers, destination) values ('t', null, repeat('d', 300))",
		"merge into relay.outbox o using (select 't' as topic) n on false when not matched then insert (topic, headers) values (n.topic, null)",
		"select relay.publish('t', '1', headers => 'null')",
	} {
		if _, err := app.Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := app.CopyFrom(t.Context(), pgx.Identifier{"relay", "outbox"}, []string{"topic", "headers"}, pgx.CopyFromRows([][]any{{"t", nil}, {"t", "null"}, {"t", "{}"}})); err != nil {
		t.Error(err)
	}
	var other int
	if err := db.Admin(t).QueryRow(t.Context(), "select count(*) filter (where headers <> '{}') from relay.outbox").Scan(&other); err != nil || other != 0 {
		t.Errorf("%d rows have other headers than none: %v", other, err)
	}
}

// TestLimitsHoldForCOPYAndForReplicas: a trigger does not fire in a replica's session by itself.
func TestLimitsHoldForCOPYAndForReplicas(t *testing.T) {
	t.Parallel()
	_, db := granted(t)
	_, err := db.App(t).CopyFrom(t.Context(), pgx.Identifier{"relay", "outbox"}, []string{"topic", "source"},
		pgx.CopyFromRows([][]any{{"t", "s"}, {"t", strings.Repeat("s", 256)}}))
	if code, constraint := refusedAs(err); code != "23514" || constraint != "outbox_source_length" {
		t.Errorf("COPY: %v", err)
	}
	conn := connect(t, db)
	if _, err := conn.Exec(t.Context(), "set session_replication_role = replica"); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "insert into relay.outbox (topic) values ('relay.dead')")
	if code, constraint := refusedAs(err); code != "23514" || constraint != "outbox_topic_reserved" {
		t.Errorf("a replica: %v", err)
	}
}

// TestAnIDThatIsThereAlreadyIsIgnored: ON CONFLICT works with the trigger.
func TestAnIDThatIsThereAlreadyIsIgnored(t *testing.T) {
	t.Parallel()
	_, db := granted(t)
	id := relay.NewID()
	for want := int64(1); want >= 0; want-- {
		tag, err := db.App(t).Exec(t.Context(), "insert into relay.outbox (id, topic, headers) values ($1, 't', null) on conflict (id) do nothing", [16]byte(id))
		if err != nil || tag.RowsAffected() != want {
			t.Errorf("%d rows, want %d: %v", tag.RowsAffected(), want, err)
		}
	}
}

// TestNoApplicationMarksItsRowsInternal: the column is the relay's.
func TestNoApplicationMarksItsRowsInternal(t *testing.T) {
	t.Parallel()
	s, db := granted(t)
	_, err := db.App(t).Exec(t.Context(), "insert into relay.outbox (topic, internal) values ('relay.dead', true)")
	if code, _ := refusedAs(err); code != "42501" {
		t.Errorf("the application: %v", err)
	}
	_, err = s.Send(t.Context(), Draft{Topic: "relay.dead"})
	if err == nil || !strings.Contains(err.Error(), "choose another topic") {
		t.Errorf("relay send: %v", err)
	}
	dead := insert(t, db.Admin(t), "topic, payload, internal", "'relay.dead', '{}', true")
	copied, err := s.CopyMessage(t.Context(), dead, "http://h/")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.CopyMessage(t.Context(), copied, "")
	if err != nil || again == copied {
		t.Errorf("a copy of a copy: %v", err)
	}
}

// TestWhatPsqlShowsOfARefusal: the column, the limit and the value's size, not the value.
func TestWhatPsqlShowsOfARefusal(t *testing.T) {
	t.Parallel()
	_, db := granted(t)
	const statement = "insert into relay.outbox (topic, destination) values ('t', repeat('secret', 500))"
	out, err := exec.CommandContext(t.Context(), "psql", "-X", "-c", statement, db.AppURL).CombinedOutput()
	const want = "ERROR:  relay.outbox refuses the message: destination has 3000 bytes, and at most 2048 are allowed\n"
	if err == nil || !strings.HasPrefix(string(out), want) || strings.Contains(string(out), "secretsecret") {
		t.Errorf("psql printed %s (%v), want %s", out, err, want)
	}
}

// withoutLimits inserts a row as it may be left of a time before there were limits.
func withoutLimits(t *testing.T, db *harness.DB, columns, values string, arguments ...any) relay.ID {
	t.Helper()
	admin := db.Admin(t)
	if _, err := admin.Exec(t.Context(), "alter table relay.outbox disable trigger outbox_checked"); err != nil {
		t.Fatal(err)
	}
	defer admin.Exec(t.Context(), "alter table relay.outbox enable always trigger outbox_checked")
	return insert(t, admin, columns, values, arguments...)
}

// TestRowsOverALimitComeToTheirEnd: their status is written, and what is said of them is short.
func TestRowsOverALimitComeToTheirEnd(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	lease := own(t, s)
	set(t, s, "alert", `{"topics": ["relay.dead"], "target": "http://h/"}`)
	id := withoutLimits(t, db, "topic, headers, payload, source, destination",
		`'t', '["x"]', '{', repeat('s', 5000000), 'http://user:hunter2@h/' || repeat('d', 30000000)`)
	rejected := taken(id, "", "")
	rejected.MessageStatus, rejected.Attempt, rejected.Error = relay.MessageRejected, nil, strings.Repeat("e", 100_000)
	if ids, err := s.WriteTaken(t.Context(), lease, []Change{rejected}); err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	if status, _ := messageStatus(t, db.Admin(t), id); status != "rejected" {
		t.Errorf("the message is %s", status)
	}
	var report string
	if err := db.Admin(t).QueryRow(t.Context(), "select payload from relay.outbox where topic = 'relay.dead'").Scan(&report); err != nil {
		t.Fatal(err)
	}
	if len(report) > 20_000 || !strings.Contains(report, "(a target of 30000022 bytes)") || strings.Contains(report, "hunter2") {
		t.Errorf("the report has %d bytes: %.200s", len(report), report)
	}
	dead := taken(withoutLimits(t, db, "topic, source", "'t', repeat('s', 5000000)"), "x", relay.DeliveryDead)
	dead.MessageStatus, dead.Error = relay.MessageDead, strings.Repeat("e", 100_000)
	dead.Target = "http://h/" + strings.Repeat("x", 100_000)
	if ids, err := s.WriteTaken(t.Context(), lease, []Change{dead}); err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	var longest int
	if err := db.Admin(t).QueryRow(t.Context(), "select max(octet_length(payload)) from relay.outbox where topic = 'relay.dead'").Scan(&longest); err != nil || longest > 20_000 {
		t.Errorf("the longest report has %d bytes: %v", longest, err)
	}
}

// TestADumpIsRestored: as a whole and as rows alone, the relay's own messages among them.
func TestADumpIsRestored(t *testing.T) {
	t.Parallel()
	dir, err := throwaway.FindPostgres(15)
	if err != nil {
		t.Fatal(err)
	}
	from := harness.Database(t)
	s := openAt(t, from.URL)
	if err := migrateWith(t.Context(), s, outboxSequence.upTo(t, 4), silent); err != nil {
		t.Fatal(err)
	}
	insert(t, from.Admin(t), "topic, payload", "'relay.dead', '{}'")
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, from.Admin(t), "topic, payload, headers", `'order.created', '{"a": 1}', '{"x": "y"}'`)
	insert(t, from.Admin(t), "topic, payload, internal", "'relay.dead', '{}', true")
	const rows = "select coalesce(string_agg(o::text, E'\n' order by id), '') from relay.outbox o"
	text := func(db *harness.DB) (rowsThere string) {
		if err := db.Admin(t).QueryRow(t.Context(), rows).Scan(&rowsThere); err != nil {
			t.Fatal(err)
		}
		return rowsThere
	}
	for _, args := range [][]string{{"--format=custom"}, {"--format=custom", "--data-only", "--table=relay.outbox"}} {
		to, archive := harness.Database(t), filepath.Join(t.TempDir(), "dump")
		tool(t, filepath.Join(dir, "pg_dump"), append(args, "--file="+archive, from.AdminURL)...)
		if len(args) > 1 {
			if _, _, err := openAt(t, to.URL).Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tool(t, filepath.Join(dir, "pg_restore"), "--exit-on-error", "--dbname="+to.AdminURL, archive)
		if got, want := text(to), text(from); got != want {
			t.Errorf("%v: restored\n%s\nwant\n%s", args, got, want)
		}
		_, err := to.Admin(t).Exec(t.Context(), "insert into relay.outbox (topic) values ('relay.x')")
		if code, constraint := refusedAs(err); code != "23514" || constraint != "outbox_topic_reserved" {
			t.Errorf("%v: after the restore: %v", args, err)
		}
		var enabled string
		const trigger = "select tgenabled::text from pg_trigger where tgname = 'outbox_checked'"
		if err := to.Admin(t).QueryRow(t.Context(), trigger).Scan(&enabled); err != nil || enabled != "A" {
			t.Errorf("%v: the trigger's state is %q: %v", args, enabled, err)
		}
	}
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", filepath.Base(name), err, out)
	}
}

// TestASubscriptionIsBounded: no value of an operator can fill the relay's memory.
func TestASubscriptionIsBounded(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	for assignment, constraint := range map[string]string{
		"topics = array[repeat('x', 65537)]":                                   "subscription_topics_size",
		"backoff = array_fill(interval '1 second', array[1001])":               "subscription_backoff_size",
		"secrets = array[repeat('x', 65537)]":                                  "subscription_secrets_size",
		"headers = json_build_object('x', repeat('y', 65536))::jsonb":          "subscription_headers_size",
		"rate_limit = 'nan'":                                                   "subscription_rate_finite",
		"rate_limit = 'infinity'":                                              "subscription_rate_finite",
		"topics = array[repeat('x', 65536)], backoff = null, rate_limit = 0.1": "",
	} {
		const insert = "insert into relay.subscription (name, topics, target) values ('s', '{x}', 'http://h/') on conflict do nothing"
		if _, err := db.Relay(t).Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
		_, err := db.Relay(t).Exec(t.Context(), "update relay.subscription set "+assignment)
		if _, got := refusedAs(err); got != constraint || (err == nil) != (constraint == "") {
			t.Errorf("%s: %v", assignment, err)
		}
	}
}
