package test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// copyOf restores a dump of a database into another one.
func copyOf(t testing.TB, from *harness.DB) *harness.DB {
	t.Helper()
	binaries, err := throwaway.FindPostgres(15)
	if err != nil {
		t.Fatal(err)
	}
	to, dump := harness.Database(t), filepath.Join(t.TempDir(), "dump")
	for _, args := range [][]string{
		{"pg_dump", "--format=custom", "--file=" + dump, from.AdminURL},
		{"pg_restore", "--exit-on-error", "--dbname=" + to.AdminURL, dump},
	} {
		if out, err := exec.Command(filepath.Join(binaries, args[0]), args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	return to
}

// outstanding leaves a database behind in which messages of every kind wait: with and without a key, delayed, open
// and waiting or failed, rejected for want of a route, and a replay that runs. It returns how many of them a relay
// with a default destination sends.
func outstanding(t testing.TB) (s *system, messages int) {
	t.Helper()
	down := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	s = &system{db: migrated.Database(t), receiver: newReceiver(t, nil)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.relay = start(t, s.db, "RELAY_BACKOFF=1h")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('down', '{down.#}', $1), ('up', '{up}', $2)", down.URL, s.receiver.URL)
	s.waitStatus(t, s.send(t, "topic", "'nowhere'"), "rejected")
	s.waitStatus(t, s.send(t, "topic", "'up'"), "done")
	first := s.send(t, "topic, key", "'down.a', 'k'")
	s.waitStatus(t, first, "open")
	s.waitStatus(t, s.send(t, "topic, key", "'down.b', 'k'"), "open")
	if err := s.relay.stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "update relay.subscription set target = $1", s.receiver.URL)
	s.exec(t, "update relay.delivery set target = $1, next_attempt_at = now() where status in ('waiting', 'push_failed')", s.receiver.URL)
	s.send(t, "topic", "'other'")
	s.send(t, "topic, key", "'other', 'l'")
	s.send(t, "topic, deliver_at", "'other', now() + interval '1 second'")
	s.cli(t, "subscriptions", "replay", "up", "--yes")
	return s, 6
}

// waitsForAdoption starts a relay on a copy and checks that it says what it waits for, and does nothing.
func waitsForAdoption(t testing.TB, c *system, env ...string) {
	t.Helper()
	const states = `
	select coalesce(string_agg(x, ' ' order by x), '') from (
		select o.id || o.status::text || o.outstanding as x from relay.outbox o
		union all select message_id || subscription || status::text || attempts from relay.delivery
		union all select shard || coalesce(owner::text, '') || epoch from relay.lease
	) s`
	before := c.text(t, states)
	c.relay = launch(t, c.db, append([]string{"RELAY_DEFAULT_DESTINATION=" + c.receiver.URL, "RELAY_RETENTION=1ms"}, env...)...)
	harness.Eventually(t, 30*time.Second, "the relay says that the database is a copy", func() bool {
		status, body := get(t, "http://"+c.relay.admin+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "is a copy of another one") && strings.Contains(body, "relay adopt --cancel-outstanding")
	})
	diagnose(t, c.db.URL).names(t, "fail", "identity", "is a copy of another one", "relay adopt --cancel-outstanding")
	if lines := c.relay.log.lines(`"this database is a copy of another one, so the relay sends and changes nothing here"`); len(lines) != 1 {
		t.Errorf("%d lines of the log say it, want 1", len(lines))
	}
	if after := c.text(t, states); after != before || c.receiver.distinct() != 0 {
		t.Errorf("%d messages were sent; the tables were\n%s\nand are\n%s", c.receiver.distinct(), before, after)
	}
}

// adopt runs relay adopt and returns what it prints.
func (s *system) adopt(t testing.TB, args ...string) (out string, err error) {
	t.Helper()
	b, err := command(t, append([]string{"adopt"}, args...), "RELAY_DATABASE_URL="+s.db.URL).CombinedOutput()
	return string(b), err
}

func copied(t testing.TB, original *system) *system {
	t.Helper()
	c := &system{db: copyOf(t, original.db), receiver: newReceiver(t, nil)}
	c.app, c.admin = c.db.App(t), c.db.Admin(t)
	c.exec(t, "update relay.subscription set target = $1", c.receiver.URL)
	c.exec(t, "update relay.delivery set target = $1", c.receiver.URL)
	return c
}

// TestARestoredDumpSendsNothing: a relay that starts on a restored dump of production sends none of its messages.
func TestARestoredDumpSendsNothing(t *testing.T) {
	t.Parallel()
	original, messages := outstanding(t)
	c := copied(t, original)
	waitsForAdoption(t, c)
	out, err := c.adopt(t)
	if err != nil || !strings.Contains(out, "adopted") {
		t.Fatalf("%v: %s", err, out)
	}
	c.relay.waitReady()
	// The one that was rejected for want of a route, and the replayed one, go too.
	harness.Eventually(t, 30*time.Second, "everything is sent", func() bool { return c.receiver.distinct() == messages+1 })
	diagnose(t, c.db.URL).names(t, "ok", "identity", "is no copy", "")
	if out, err := c.adopt(t, "--cancel-outstanding"); err == nil || !strings.Contains(out, "nothing was cancelled") {
		t.Errorf("at home: %v: %s", err, out)
	}
	// The original is as it was.
	original.relay = start(t, original.db, "RELAY_DEFAULT_DESTINATION="+original.receiver.URL)
	harness.Eventually(t, 30*time.Second, "the original delivers", func() bool { return original.receiver.distinct() == messages+1 })
}

// TestACopyIsAdoptedWithoutItsMessages: what the copy holds is cancelled, and what is inserted afterwards is sent.
func TestACopyIsAdoptedWithoutItsMessages(t *testing.T) {
	t.Parallel()
	original, messages := outstanding(t)
	c := copied(t, original)
	waitsForAdoption(t, c)
	out, err := c.adopt(t, "--cancel-outstanding")
	if want := fmt.Sprintf("%d messages cancelled, 1 job stopped", messages); err != nil || !strings.Contains(out, want) {
		t.Fatalf("%v: %s", err, out)
	}
	c.relay.waitReady()
	c.waitStatus(t, c.send(t, "topic, key", "'down.c', 'k'"), "done")
	if n := c.receiver.distinct(); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
	const left = `
	select count(*) from relay.outbox o left join relay.delivery d on d.message_id = o.id
	where o.status not in ('done', 'cancelled') or d.status not in ('handled', 'cancelled')
		or 'cancelled' = o.status::text and o.last_error is distinct from 'cancelled by relay adopt'`
	if n := c.text(t, "select ("+left+")::text"); n != "0" {
		t.Errorf("%s messages and deliveries have not ended as they should", n)
	}
	// The relay removes what was stopped as soon as its retention is over.
	if n := c.text(t, "select count(*)::text from relay.job where status <> 'stopped'"); n != "0" {
		t.Errorf("%s jobs were not stopped", n)
	}
}

// TestACopyIsAdoptedByItself: teams that restore routinely say so once.
func TestACopyIsAdoptedByItself(t *testing.T) {
	t.Parallel()
	original, messages := outstanding(t)
	c := copied(t, original)
	c.relay = start(t, c.db, "RELAY_ADOPT=auto", "RELAY_DEFAULT_DESTINATION="+c.receiver.URL)
	harness.Eventually(t, 30*time.Second, "everything is sent", func() bool { return c.receiver.distinct() == messages+1 })
	if lines := c.relay.log.lines(`"this database is a copy of another one, and the relay delivers from it because RELAY_ADOPT is auto"`); len(lines) != 1 {
		t.Errorf("%d lines of the log say it, want 1", len(lines))
	}
}

// TestACopyTakesTheNameOfItsOriginal while the relay runs: the relay that worked on the original does not go on in
// the copy.
func TestACopyTakesTheNameOfItsOriginal(t *testing.T) {
	t.Parallel()
	original, messages := outstanding(t)
	original.relay = start(t, original.db, "RELAY_CAPTURE=poll", "RELAY_DEFAULT_DESTINATION="+original.receiver.URL, "RELAY_LEASE_TTL=1s")
	before := messages + 1
	harness.Eventually(t, 30*time.Second, "the original delivers", func() bool { return original.receiver.distinct() == before })
	original.settled(t, time.Minute)
	c := copied(t, original)
	for range 3 {
		insertRow(t, c.admin, "topic", "'of the copy'")
	}
	swapNames(t, original.db, c.db)
	harness.Eventually(t, 30*time.Second, "the relay says that the database is a copy", func() bool {
		status, body := get(t, "http://"+original.relay.admin+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "is a copy of another one")
	})
	if n := original.receiver.distinct() + c.receiver.distinct(); n != before {
		t.Errorf("%d messages were sent from the copy", n-before)
	}
	harness.Eventually(t, 30*time.Second, "one line of the log says it", func() bool {
		return len(original.relay.log.lines(`"this database is a copy of another one, so the relay sends and changes nothing here"`)) == 1
	})
	if out, err := original.adopt(t); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	harness.Eventually(t, 30*time.Second, "the relay delivers from the copy", func() bool { return original.receiver.distinct() == before+3 })
}

// swapNames gives two databases each other's name, and ends all of their sessions.
func swapNames(t testing.TB, a, b *harness.DB) {
	t.Helper()
	postgres := pool(t, a.Server.URL(throwaway.Superuser, "", "postgres"))
	run := func(statement string) error { _, err := postgres.Exec(t.Context(), statement); return err }
	for _, name := range []string{a.Name, b.Name} {
		if err := run("alter database " + name + " allow_connections false"); err != nil {
			t.Fatal(err)
		}
	}
	for _, names := range [][2]string{{a.Name, a.Name + "_was"}, {b.Name, a.Name}, {a.Name + "_was", b.Name}} {
		harness.Eventually(t, 10*time.Second, "the database is renamed", func() bool {
			if _, err := postgres.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", names[0]); err != nil {
				t.Fatal(err)
			}
			return run("alter database "+names[0]+" rename to "+names[1]) == nil
		})
	}
	for _, name := range []string{a.Name, b.Name} {
		if err := run("alter database " + name + " allow_connections true"); err != nil {
			t.Fatal(err)
		}
	}
}
