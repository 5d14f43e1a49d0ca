package test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/harness"
)

func TestBadRowsAreRejectedAndNeighboursAreNot(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_MAX_PAYLOAD=1kB")
	cases := []struct{ columns, values, reason string }{
		{"topic, destination", "'t', 'ftp://host/'", "target"},
		{"topic, destination", "'t', 'http://'", "no host"},
		{"topic, destination", "'t', 'http://h:port/'", "port"},
		{"topic, destination", "'t', 'amqp:noslash'", "slash"},
		{"topic, destination", "'t', 'amqp:exchange/key'", "RELAY_AMQP_URL"},
		{"topic, destination", "'t', 'http://h/p?q=a HTTP/1.0'", "a space"},
		{"topic, destination", `'t', E'http://h/a\tb'`, "control character"},
		{"topic, destination", `'t', 'http://h\@evil.example/'`, "backslash"},
		{"topic, destination", "'t', 'http://bücher.example/'", "xn--"},
		{"topic, destination", "'t', 'nobody'", `no subscription "nobody"`},
		{"topic, headers", `'t', '{"webhook-id": "x"}'`, "reserved"},
		{"topic, headers", `'t', '{"Ce-Type": "x"}'`, "reserved"},
		{"topic, headers", `'t', '{"relay-attempt": "x"}'`, "reserved"},
		{"topic, headers", `'t', '{"Content-Length": "1"}'`, "reserved"},
		{"topic, headers", `'t', '{"webhook_id": "x"}'`, "reserved"},
		{"topic, headers", `'t', '{"CONTENT_TYPE": "x"}'`, "reserved"},
		{"topic, headers", `'t', '{"x_a": "1", "X-A": "2"}'`, "cannot tell the two apart"},
		{"topic, headers", `'t', '{"": "x"}'`, "empty name"},
		{"topic, headers", `'t', '{"a b": "x"}'`, "token"},
		{"topic, headers", `'t', '{"a": "x\r\nb: y"}'`, "CR, LF or NUL"},
		{"topic, headers", `'t', '{"a": "x\ny"}'`, "CR, LF or NUL"},
		{"topic, headers", `'t', '{"a": 1}'`, "not a string"},
		{"topic, headers", `'t', '[1]'`, "not an object"},
		{"topic, payload", `'t', to_json(repeat('x', 2000))::text`, "RELAY_MAX_PAYLOAD"},
		{"topic, headers", `'t', jsonb_build_object('a', repeat('x', 200000))`, "128 KiB"},
		{"topic, source", `'t', repeat('x', 200000)`, "128 KiB"},
	}
	ids := make([]string, len(cases))
	for i, c := range cases {
		ids[i] = s.sendUnlimited(t, c.columns, c.values)
	}
	good := s.send(t, "topic", "'t'")
	s.waitStatus(t, good, "done")
	for i, c := range cases {
		s.waitStatus(t, ids[i], "rejected")
		if reason := s.text(t, "select last_error from relay.outbox where id = $1", ids[i]); !strings.Contains(reason, c.reason) {
			t.Errorf("%s %s: reason %q does not say %q", c.columns, c.values, reason, c.reason)
		}
		if n := s.text(t, "select count(*)::text from relay.delivery where message_id = $1", ids[i]); n != "0" {
			t.Errorf("%s %s: %s deliveries", c.columns, c.values, n)
		}
	}
	if n := s.receiver.distinct(); n != 1 {
		t.Errorf("%d messages arrived, want 1", n)
	}
}

// A destination that did not fit into an index could not be written, nor could anything else.
func TestALongDestinationStopsNoOther(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_EGRESS_ALLOW=loopback", "RELAY_BACKOFF=100ms")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	query := "/?q=" + s.text(t, "select string_agg(md5(n::text), '') from generate_series(1, 200) n")
	good := s.sendUnlimited(t, "topic, destination", "'t', $1", s.receiver.URL+query)
	bad := s.sendUnlimited(t, "topic, destination", "'t', $1", failing.URL+query)
	neighbour := s.send(t, "topic", "'t'")
	s.waitStatus(t, good, "done")
	s.waitStatus(t, neighbour, "done")
	harness.Eventually(t, 20*time.Second, "it is tried again", func() bool { return len(failing.requests(bad)) > 1 })
	if n := s.text(t, "select target from relay.delivery where message_id = $1", good); n != s.receiver.URL+query {
		t.Errorf("the target is cut to %d bytes", len(n))
	}
}

func TestWithoutARouteAMessageIsRejectedAndTakenUpLater(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_DEFAULT_DESTINATION=")
	id := s.send(t, "topic", "'t'")
	s.waitStatus(t, id, "rejected")
	if reason := s.text(t, "select last_error from relay.outbox where id = $1", id); !strings.Contains(reason, "no route") {
		t.Errorf("reason %q", reason)
	}
	if err := s.relay.stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	s.waitStatus(t, id, "done")
}

// The relay reads a message, a route appears, what was rejected is taken up, and only then can
// the rejection be written.
func TestWhatIsRejectedAfterARouteAppearedIsTakenUp(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_DEFAULT_DESTINATION=")
	s.relay.signal(syscall.SIGSTOP)
	held := s.send(t, "topic", "'t'")
	tx, err := s.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "select from relay.outbox where id::text = $1 for update", held); err != nil {
		t.Fatal(err)
	}
	s.relay.signal(syscall.SIGCONT)
	other := s.send(t, "topic", "'t'")
	s.waitStatus(t, other, "rejected")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{t}', $1)", s.receiver.URL)
	s.waitStatus(t, other, "done")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.waitStatus(t, held, "done")
}

func TestTheDatabaseRefusesBadInserts(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	for name, c := range map[string]struct{ columns, values, code string }{
		"payload and body":        {"topic, payload, body", `'t', '{}', '\x00'`, "23514"},
		"empty topic":             {"topic", "''", "23514"},
		"topic over 255 bytes":    {"topic", "repeat('ä', 128)", "23514"},
		"key over 1024 bytes":     {"topic, key", "'t', repeat('k', 1025)", "23514"},
		"empty key":               {"topic, key", "'t', ''", "23514"},
		"invalid JSON":            {"topic, payload", `'t', '{"a":}'`, "22P02"},
		"invalid JSON, charset":   {"topic, payload, content_type", `'t', 'x', 'Application/JSON; charset=utf-8'`, "22P02"},
		"an application's status": {"topic, status", "'t', 'done'", "42501"},
		"an application's seq":    {"topic, seq", "'t', 1", "428C9"},
		"outstanding":             {"topic, outstanding", "'t', 1", "42501"},
		"created_at":              {"topic, created_at", "'t', now()", "42501"},
	} {
		_, err := db.App(t).Exec(t.Context(), "insert into relay.outbox ("+c.columns+") values ("+c.values+")")
		if code := sqlState(err); code != c.code {
			t.Errorf("%s: SQLSTATE %q, want %s (%v)", name, code, c.code, err)
		}
	}
	for _, statement := range []string{
		"select payload from relay.outbox", "update relay.outbox set status = 'done'", "delete from relay.outbox",
		"select * from relay.delivery", "insert into relay.outbox (topic, seq) overriding system value values ('t', 1)",
		"select * from relay.lease", "truncate relay.outbox",
	} {
		if _, err := db.App(t).Exec(t.Context(), statement); sqlState(err) != "42501" {
			t.Errorf("an application may: %s (%v)", statement, err)
		}
	}
	const twice = "insert into relay.outbox (id, topic) values ('01900000-0000-7000-8000-000000000001', 't') on conflict (id) do nothing"
	for range 2 {
		if _, err := db.App(t).Exec(t.Context(), twice); err != nil {
			t.Error(err)
		}
	}
}

// sqlState is the SQLSTATE of a server's error; empty for any other.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return ""
	}
	return pg.Code
}

func TestAnswersBecomeStates(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h", "RELAY_HTTP_TIMEOUT=1s", "RELAY_EGRESS_ALLOW=127.0.0.1")
	answer := func(f http.HandlerFunc) string {
		return newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool { f(w, r); return false }).URL
	}
	code := func(n int, headers ...string) string {
		return answer(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(n)
		})
	}
	hangs := answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, c := range map[string]struct {
		destination, status, delivery string
		says                          string
	}{
		"204":               {code(204), "done", "handled", ""},
		"500":               {code(500), "open", "handle_failed", "500"},
		"404":               {code(404), "open", "handle_failed", "404"},
		"redirect":          {code(302, "Location", s.receiver.URL), "open", "handle_failed", "302"},
		"429":               {code(429, "Retry-After", "60"), "open", "push_failed", "429"},
		"503":               {code(503), "open", "push_failed", "503"},
		"502":               {code(502), "open", "push_failed", "502"},
		"410":               {code(410), "dead", "dead", "410"},
		"relay-retry false": {code(422, "relay-retry", "false"), "dead", "dead", "422"},
		"hangs":             {hangs, "open", "push_failed", ""},
		"refuses":           {"http://" + harness.FreeAddress(t) + "/", "open", "push_failed", "refused"},
		"private":           {"http://127.0.0.2:1/", "open", "push_failed", "RELAY_EGRESS_ALLOW"},
		"metadata":          {"http://169.254.169.254/latest", "dead", "dead", "metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := s.send(t, "topic, destination", "'t', $1", c.destination)
			s.waitStatus(t, id, c.status)
			got := s.text(t, "select status::text from relay.delivery where message_id = $1", id)
			if got != c.delivery {
				t.Errorf("delivery is %s, want %s", got, c.delivery)
			}
			if says := s.text(t, "select last_error from relay.delivery where message_id = $1", id); !strings.Contains(says, c.says) {
				t.Errorf("the error %q does not say %q", says, c.says)
			}
			if n := s.text(t, "select count(*)::text from relay.attempt where message_id = $1", id); n != "1" {
				t.Errorf("%s attempts recorded, want 1", n)
			}
		})
	}
}

func TestRetriesEndDead(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=3")
	down := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	id := s.send(t, "topic, destination", "'t', $1", down.URL)
	s.waitStatus(t, id, "dead")
	attempts := s.text(t, "select string_agg(attempt::text || outcome, ',' order by attempt) from relay.attempt where message_id = $1", id)
	if attempts != "1handle_failed,2handle_failed,3handle_failed" {
		t.Errorf("attempts %s", attempts)
	}
	if n := len(down.requests(id)); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestGivenUpAfterTooLong(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=200ms", "RELAY_GIVE_UP_AFTER=1s")
	id := s.send(t, "topic, destination", "'t', $1", "http://"+harness.FreeAddress(t)+"/")
	s.waitStatus(t, id, "dead")
	if says := s.text(t, "select last_error from relay.delivery where message_id = $1", id); !strings.Contains(says, "RELAY_GIVE_UP_AFTER") {
		t.Errorf("error %q", says)
	}
}

func TestByHandInFlight(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	release := make(gate)
	slow := newReceiver(t, release.answer)
	deleted := s.send(t, "topic, destination", "'deleted', $1", slow.URL)
	cancelled := s.send(t, "topic, destination", "'cancelled', $1", slow.URL)
	locked := s.send(t, "topic, destination", "'locked', $1", slow.URL)
	harness.Eventually(t, 20*time.Second, "all are under way", func() bool { return len(slow.requests("")) == 3 })
	s.exec(t, "delete from relay.outbox where id = $1", deleted)
	s.exec(t, "update relay.outbox set status = 'cancelled' where id = $1", cancelled)
	tx, err := s.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), "select 1 from relay.outbox where id = $1 for update", locked); err != nil {
		t.Fatal(err)
	}
	close(release)
	free := s.send(t, "topic, destination", "'free', $1", slow.URL)
	s.waitStatus(t, free, "done")
	if got := s.status(t, cancelled); got != "cancelled" {
		t.Errorf("a cancelled message became %s", got)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.waitStatus(t, locked, "done")
	for _, id := range []string{deleted, cancelled, locked} {
		if n := len(slow.requests(id)); n != 1 {
			t.Errorf("message %s was attempted %d times, want once", id, n)
		}
	}
	if n := s.text(t, "select count(*)::text from relay.delivery where message_id = any(array[$1, $2]::uuid[])", deleted, cancelled); n != "0" {
		t.Errorf("%s deliveries of messages that were gone", n)
	}
}

func TestARetryByHandHasAllItsTimeAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=100ms", "RELAY_GIVE_UP_AFTER=2s", "RELAY_RECONCILE=0-63 every 300ms")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	id := s.send(t, "topic, destination", "'t', $1", failing.URL)
	s.waitStatus(t, id, "dead")
	before := len(failing.requests(id))
	s.exec(t, "update relay.outbox set status = 'pending' where id = $1", id)
	harness.Eventually(t, 20*time.Second, "it is tried several times again", func() bool { return len(failing.requests(id)) > before+3 })
	s.waitStatus(t, id, "dead")
}

func TestByHandBetweenAttempts(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1s")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	cancelled := s.send(t, "topic, destination", "'t', $1", failing.URL)
	deleted := s.send(t, "topic, destination", "'t', $1", failing.URL)
	s.waitStatus(t, cancelled, "open")
	s.waitStatus(t, deleted, "open")
	s.exec(t, "update relay.outbox set status = 'cancelled' where id = $1", cancelled)
	s.exec(t, "delete from relay.outbox where id = $1", deleted)
	harness.Eventually(t, 20*time.Second, "their deliveries have ended", func() bool {
		return s.text(t, "select string_agg(status::text, ',') from relay.delivery") == "cancelled"
	})
	if n := len(failing.requests("")); n > 3 {
		t.Errorf("%d requests, at most one after the message was cancelled or deleted", n)
	}
}

func TestSetBackToPendingByHandIsSentAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_RECONCILE=0-63 every 300ms")
	id := s.send(t, "topic", "'t'")
	s.waitStatus(t, id, "done")
	s.exec(t, "update relay.outbox set status = 'pending' where id = $1", id)
	harness.Eventually(t, 20*time.Second, "it came again", func() bool { return s.receiver.accepted(id) == 2 })
	s.waitStatus(t, id, "done")
}

func TestABadVariableStopsTheStart(t *testing.T) {
	t.Parallel()
	out, err := command(t, []string{"run"}, "RELAY_DATABASE_URL=postgres://u:hush@127.0.0.1:1/d", "RELAY_IN_FLIGHT=many").CombinedOutput()
	if err == nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "RELAY_IN_FLIGHT") || strings.Contains(string(out), "hush") {
		t.Fatalf("%v: %q", err, out)
	}
}
