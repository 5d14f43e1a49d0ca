package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/harness"
	"relay/throwaway"
)

// newOwnSystem is newSystem on a server of the test's own, which may be stopped, locked or
// filled. It does not wait for the relay.
func newOwnSystem(t testing.TB, settings map[string]string, env ...string) *system {
	t.Helper()
	s := &system{db: harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{Settings: settings}))}
	prepare(t, s.db)
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.receiver = newReceiver(t, nil)
	s.relay = launch(t, s.db, append([]string{"RELAY_DEFAULT_DESTINATION=" + s.receiver.URL}, env...)...)
	return s
}

// readyz is what the relay says about itself.
func (p *process) readyz() string {
	_, body := get(p.t, "http://"+p.admin+"/readyz")
	return body
}

// says waits until one line of /readyz begins with the first words and holds the others.
func (p *process) says(begin string, words ...string) {
	p.t.Helper()
	p.saysWithin(30*time.Second, begin, words...)
}

func (p *process) saysWithin(within time.Duration, begin string, words ...string) {
	p.t.Helper()
	var body string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("/readyz: %s", body)
		}
	}()
	harness.Eventually(p.t, within, fmt.Sprintf("the relay says %q with %q", begin, words), func() bool {
		body = p.readyz()
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, begin) && holdsAll(line, words) {
				return true
			}
		}
		return false
	})
}

func holdsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// delivers waits until the given number of further messages have arrived.
func (s *system) delivers(t testing.TB, more int) {
	t.Helper()
	already := s.receiver.distinct()
	harness.Eventually(t, 40*time.Second, "the relay delivers", func() bool { return s.receiver.distinct() >= already+more })
}

// deliversWithoutStream checks that messages are delivered without a stream, and that the relay
// says in one line why there is none and what mends it.
func (s *system) deliversWithoutStream(t testing.TB, why, mend string) {
	t.Helper()
	s.relay.says("stream: failed: no stream: ", why, "to mend it: ", mend)
	s.delivers(t, 40)
	if body := s.relay.readyz(); !strings.Contains(body, "stream: failed") || !strings.HasPrefix(body, "ready") {
		t.Errorf("it is not ready without a stream:\n%s", body)
	}
}

// restart stops the server in one of pg_ctl's modes, or kills it, and starts it again. It
// returns how long the stop took.
func (s *system) restart(t testing.TB, mode string) time.Duration {
	t.Helper()
	begun := time.Now()
	stop := func() error { return s.db.Server.Stop(mode) }
	if mode == "kill" {
		stop = s.db.Server.Kill
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	if err := s.db.Server.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.admin.Reset()
	return took
}

// endSessions ends the relay's ordinary sessions, so that the next ones begin with what was
// changed for its role.
func (s *system) endSessions(t testing.TB) {
	t.Helper()
	s.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay' and backend_type = 'client backend'")
}

// walsender opens a replication connection as the superuser, closed by the caller or at
// the end of the test.
func (s *system) walsender(t testing.TB) *pgconn.PgConn {
	t.Helper()
	var conn *pgconn.PgConn
	harness.Eventually(t, 20*time.Second, "a WAL sender is free", func() bool {
		var err error
		conn, err = pgconn.Connect(t.Context(), s.db.AdminURL+"&replication=database")
		return err == nil
	})
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
