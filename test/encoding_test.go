package test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// A database that cannot hold all Unicode text is refused in one line, before anything is made
// in it. A consumer's inbox, which holds no such text, may stand there.
func TestAnotherEncodingIsRefusedBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"EUC_JP", "LATIN1"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseIn(t, encoding)
			env := []string{"RELAY_DATABASE_URL=" + db.URL, "RELAY_METRICS_ADDR=off", "RELAY_ADMIN_ADDR=off"}
			for _, args := range [][]string{{"migrate"}, {"run"}, {"run", "--no-migrate"}, {"doctor"}} {
				harness.Build(t, "relay/cmd/relay")
				begun := time.Now()
				code, stdout, stderr := run(t, "", args, env...)
				if text := stdout + stderr; code == 0 || !strings.Contains(text, "encoding of database \""+db.Name+"\" is "+encoding) || !strings.Contains(text, "encoding 'UTF8'") {
					t.Errorf("relay %s ends with %d: %s", strings.Join(args, " "), code, text)
				}
				if args[0] != "doctor" && strings.Count(stderr, "\n") != 1 || time.Since(begun) > 30*time.Second {
					t.Errorf("relay %s took %s and says more than one line: %s", strings.Join(args, " "), time.Since(begun), stderr)
				}
			}
			s := &system{db: db, admin: db.Admin(t)}
			if made := s.text(t, "select count(*)::text from pg_namespace where nspname = 'relay'"); made != "0" {
				t.Error("there is a schema relay")
			}
			runs(t, env, "migrate", "--inbox-only")
			if taken := s.text(t, "select relay.receive('mail', gen_random_uuid())::text"); taken != "true" {
				t.Errorf("relay.receive() says %s", taken)
			}
		})
	}
}

// With SQL_ASCII the server takes any bytes for text. What is UTF-8 arrives as it was sent, and
// what is not holds up nothing else.
func TestSQLASCIIHoldsUTF8(t *testing.T) {
	t.Parallel()
	const text = `{"way":"a → b","mood":"😀"}`
	db := harness.DatabaseIn(t, "SQL_ASCII")
	prepare(t, db)
	s := &system{db: db, app: db.App(t), admin: db.Admin(t), receiver: newReceiver(t, nil)}
	p := start(t, db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL, "RELAY_BACKOFF=100ms")
	raw, err := pgx.Connect(t.Context(), db.AppURL+"&client_encoding=SQL_ASCII")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close(t.Context())
	if _, err := raw.Exec(t.Context(), "insert into relay.outbox (topic, payload, content_type) values ('t', $1, 'text/plain')", "caf\xe9"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		id := s.send(t, "topic, key, payload, headers", `'t', 'k → 😀', $1, '{"x-way": "→"}'`, text)
		s.waitStatus(t, id, "done")
		if got := string(s.receiver.requests(id)[0].body); got != text {
			t.Errorf("message %s came as %q", id, got)
		}
	}
	harness.Eventually(t, 30*time.Second, "the row is in quarantine", func() bool {
		return s.text(t, "select count(*)::text from relay.quarantine") == "1"
	})
	env := []string{"RELAY_DATABASE_URL=" + db.URL, "RELAY_SLOT=" + db.Name, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_EGRESS_ALLOW=loopback"}
	if code, out, _ := run(t, "", []string{"doctor"}, env...); code != 0 || !strings.Contains(out, "it is SQL_ASCII") || !strings.Contains(out, "SQLSTATE 22021") {
		t.Errorf("doctor ends with %d:\n%s", code, out)
	}
	p.kill()
}
