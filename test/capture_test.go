package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/harness"
)

// system is a database, a receiver and a relay between them.
type system struct {
	db       *harness.DB
	app      *pgxpool.Pool // as the application's role
	admin    *pgxpool.Pool
	receiver *receiver
	relay    *process
}

// newSystem starts a relay that delivers to a receiver by default.
func newSystem(t testing.TB, env ...string) *system {
	t.Helper()
	s := &system{db: migrated.Database(t)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.receiver = newReceiver(t, nil)
	s.relay = start(t, s.db, append([]string{"RELAY_DEFAULT_DESTINATION=" + s.receiver.URL}, env...)...)
	return s
}

// send inserts one message as the application and returns its id.
func (s *system) send(t testing.TB, columns, values string, arguments ...any) string {
	t.Helper()
	return insertRow(t, s.app, columns, values, arguments...)
}

func insertRow(t testing.TB, db *pgxpool.Pool, columns, values string, arguments ...any) string {
	t.Helper()
	var id string
	statement := fmt.Sprintf("insert into relay.outbox (%s) values (%s) returning id::text", columns, values)
	if err := db.QueryRow(t.Context(), statement, arguments...).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// exec runs a statement as the superuser.
func (s *system) exec(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	if _, err := s.admin.Exec(t.Context(), statement, arguments...); err != nil {
		t.Fatal(err)
	}
}

// text asks one text as the superuser; no row is an empty one.
func (s *system) text(t testing.TB, query string, arguments ...any) string {
	t.Helper()
	var out *string
	err := s.admin.QueryRow(t.Context(), query, arguments...).Scan(&out)
	if err != nil && err != pgx.ErrNoRows {
		t.Fatal(err)
	}
	if out == nil {
		return ""
	}
	return *out
}

// status is a message's status.
func (s *system) status(t testing.TB, id string) string {
	t.Helper()
	return s.text(t, "select status::text from relay.outbox where id = $1", id)
}

// waitStatus waits until a message has a status.
func (s *system) waitStatus(t testing.TB, id, want string) {
	t.Helper()
	var got string
	harness.Eventually(t, 30*time.Second, "message "+id+" is "+want, func() bool {
		got = s.status(t, id)
		return got == want
	})
}

// settled waits until nothing is pending, open or due.
func (s *system) settled(t testing.TB, within time.Duration) {
	t.Helper()
	settled(t, s.admin, within)
}

func TestOnlyCommittedRowsAreDelivered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ctx := t.Context()
	committed := s.send(t, "topic, payload", `'a', '{"n": 1}'`)

	tx, err := s.app.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(statement string) {
		t.Helper()
		if _, err := tx.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("insert into relay.outbox (topic) values ('kept')")
	exec("savepoint s")
	exec("insert into relay.outbox (topic) values ('phantom')")
	exec("rollback to savepoint s")
	exec("insert into relay.outbox (topic) values ('kept')")
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"rollback prepared", "commit prepared"} {
		topic := "phantom"
		if end == "commit prepared" {
			topic = "kept"
		}
		name := s.db.Name + topic
		conn, err := pgx.Connect(ctx, s.db.AppURL)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			"begin", "insert into relay.outbox (topic) values ('" + topic + "')",
			"prepare transaction '" + name + "'", end + " '" + name + "'",
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close(ctx)
	}
	tx, err = s.app.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec("insert into relay.outbox (topic) values ('phantom')")
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "four messages have arrived", func() bool { return s.receiver.distinct() == 4 })
	s.settled(t, 20*time.Second)
	for _, got := range s.receiver.requests("") {
		if got.header.Get("ce-type") == "phantom" {
			t.Error("a rolled back message was delivered")
		}
	}
	if got := string(s.receiver.requests(committed)[0].body); got != `{"n": 1}` {
		t.Errorf("body %q", got)
	}
}

func TestCopyIsDelivered(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	rows := make([][]any, 500)
	for i := range rows {
		rows[i] = []any{"copied", fmt.Sprintf(`{"n":%d}`, i)}
	}
	n, err := s.app.CopyFrom(t.Context(), pgx.Identifier{"relay", "outbox"}, []string{"topic", "payload"}, pgx.CopyFromRows(rows))
	if err != nil || n != 500 {
		t.Fatalf("copied %d: %v", n, err)
	}
	harness.Eventually(t, 20*time.Second, "all have arrived", func() bool { return s.receiver.distinct() == 500 })
}

func TestOneTransactionOf100000Rows(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const n = 100_000
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic, payload) select 'big', to_json(n)::text from generate_series(1, $1::int) n", n); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 2*time.Minute, "all have arrived", func() bool { return s.receiver.distinct() == n })
	s.settled(t, time.Minute)
	if d := s.receiver.duplicates(); d != 0 {
		t.Errorf("%d duplicates without any fault", d)
	}
	if kb := s.relay.residentKB(); kb > 256<<10 {
		t.Errorf("resident memory is %d kB", kb)
	}
}

func TestBodiesArriveByteForByte(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	odd := "{ \"big\" : 123456789012345678901234567890.10,\n\t\"e\":1e400, \"dup\":1, \"dup\":2, \"s\":\"\\u0000 ü 😀\" }  "
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	large := `"` + strings.Repeat("x", 1<<20-2) + `"`
	want := map[string][]byte{
		s.send(t, "topic, payload", "'t', $1", odd):                                             []byte(odd),
		s.send(t, "topic, body, content_type", "'t', $1, 'application/octet-stream'", binary):   binary,
		s.send(t, "topic", "'t'"):                                                               {},
		s.send(t, "topic, payload", "'t', $1", large):                                           []byte(large),
		s.send(t, "topic, payload, content_type", "'t', 'plain text', 'text/plain; charset=x'"): []byte("plain text"),
	}
	harness.Eventually(t, 20*time.Second, "all have arrived", func() bool { return s.receiver.distinct() == len(want) })
	for id, body := range want {
		if got := s.receiver.requests(id)[0]; !slices.Equal(got.body, body) {
			t.Errorf("message %s: body of %d bytes differs from the %d stored", id, len(got.body), len(body))
		}
	}
}

func TestPublishIsTheSameInsert(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var id, delayed string
	err := s.app.QueryRow(context.Background(), `select relay.publish('a.b', '{"x": 1}', key => 'k', headers => '{"traceparent": "00-1-1-01"}', source => 'shop')::text,
		relay.publish('a.c', null, body => '\x0001', content_type => 'application/octet-stream', delay => interval '700 milliseconds')::text`).Scan(&id, &delayed)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	harness.Eventually(t, 20*time.Second, "both have arrived", func() bool { return s.receiver.distinct() == 2 })
	if waited := time.Since(started); waited < 500*time.Millisecond {
		t.Errorf("the delayed message arrived after %s", waited)
	}
	got := s.receiver.requests(id)[0].header
	for name, want := range map[string]string{"ce-type": "a.b", "ce-subject": "k", "ce-source": "shop", "traceparent": "00-1-1-01", "relay-attempt": "1"} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
	if _, err := s.app.Exec(t.Context(), "select relay.publish('a', '{}', delay => '1s', deliver_at => now())"); err == nil {
		t.Error("delay and deliver_at together were accepted")
	}
}
