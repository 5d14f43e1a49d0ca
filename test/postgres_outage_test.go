package test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

func TestPostgreSQLGoesAndComesBack(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, nil)
	s.relay.waitReady()
	tr := newTraffic(t, s, 3, 2*time.Millisecond)
	for _, mode := range []string{"kill", "immediate", "fast"} {
		s.delivers(t, 100)
		begun := time.Now()
		took := s.restart(t, mode)
		tr.interrupted(mode, begun)
		// A walsender that waits for a reader which never confirms would hold a fast stop up.
		if took > 5*time.Second {
			t.Errorf("to stop the server (%s) while the relay streams took %s", mode, took)
		}
		s.relay.waitReady()
		t.Logf("%s: stopped in %s, the stream was back after %s", mode, took, time.Since(begun))
	}
	s.delivers(t, 100)
	tr.verify(t, s, time.Minute)
}

// burst inserts n messages at once, and waits until the first of them have been sent.
func (s *system) burst(t testing.TB, n int) {
	t.Helper()
	already := s.receiver.distinct()
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic) select 'burst' from generate_series(1, $1::int)", n); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, "the burst begins to arrive", func() bool { return s.receiver.distinct() > already+200 })
}

// slowly answers requests after 100 ms, so that a burst is under way for a while.
func slowly(http.ResponseWriter, *http.Request) bool {
	<-time.After(100 * time.Millisecond)
	return true
}

// concurrency is how many requests a relay has under way to one endpoint at most.
const concurrency = 64

// sendsNothing checks that from now on, while outcomes cannot be written, nothing is sent but
// what was under way, for so long, although of n messages some wait.
func (s *system) sendsNothing(t testing.TB, n int, during time.Duration) {
	t.Helper()
	before := len(s.receiver.requests(""))
	<-time.After(during)
	after := len(s.receiver.requests(""))
	if more := after - before; more > concurrency {
		t.Errorf("%d requests were begun while outcomes could not be written", more)
	}
	if after >= n {
		t.Errorf("all %d messages had been sent before: it proves nothing", n)
	}
	t.Logf("%d requests in %s while outcomes could not be written; %d messages wait", after-before, during, n-after)
}

// arrives waits until everything has arrived once and nothing is left to be done.
func (s *system) arrives(t testing.TB, n int) {
	t.Helper()
	harness.Eventually(t, time.Minute, fmt.Sprintf("%d messages arrive", n), func() bool { return s.receiver.distinct() >= n })
	s.settled(t, time.Minute)
	if got, d := s.receiver.distinct(), s.receiver.duplicates(); got != n || d != 0 {
		t.Errorf("%d messages arrived, want %d; %d duplicates", got, n, d)
	}
}

// A default of the role or the database would not do: the relay's sessions set their own.
func TestNothingIsSentWhileTheRelayMayNotWrite(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, nil)
	s.receiver.answers = slowly
	s.relay.waitReady()
	const n = 4000
	s.burst(t, n)
	s.exec(t, "revoke insert, update on all tables in schema relay from relay")
	s.relay.says("writing: failed: ", "permission denied")
	s.sendsNothing(t, n, 3*time.Second)
	s.exec(t, "grant insert, update on all tables in schema relay to relay")
	s.arrives(t, n)
	s.relay.waitReady()
}

// The table is locked for a minute: longer than any time-out of the relay, and each of its
// statements gives up several times.
func TestNothingIsSentWhileTheTableIsLocked(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, nil)
	s.receiver.answers = slowly
	s.relay.waitReady()
	const n = 4000
	s.burst(t, n)
	locked := time.Now()
	tx, err := s.admin.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "lock table relay.outbox in access exclusive mode")
	}
	if err != nil {
		t.Fatal(err)
	}
	s.relay.says("writing: failed: ", "lock timeout")
	s.sendsNothing(t, n, time.Until(locked.Add(time.Minute)))
	s.relay.says("writing: failed: ", "lock timeout")
	if shards := s.relay.owned(); shards != 64 {
		t.Errorf("%d shards are owned after a minute, want 64: leases do not need the table", shards)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.arrives(t, n)
	s.relay.waitReady()
	if most := longest(t, s.relay.log, "lock timeout"); most < 3 {
		t.Errorf("a statement gave up %d times at most, want 3 within the minute:\n%s", most, s.relay.log.excerpt())
	}
}

// longest returns how often in a row an operation failed that had once failed with these words,
// by what the relay says when it works again.
func longest(t testing.TB, log *logBuffer, words string) (most int) {
	t.Helper()
	failed := make(map[string]bool)
	operation := regexp.MustCompile(`operation=("[^"]*"|\S+)`)
	for line := range strings.Lines(log.String()) {
		name := operation.FindString(line)
		if name != "" && strings.Contains(line, words) {
			failed[name] = true
		}
		var n int
		if _, after, ok := strings.Cut(line, " failures="); ok && failed[name] && strings.Contains(line, `msg="works again"`) {
			fmt.Sscan(after, &n)
		}
		most = max(most, n)
	}
	return most
}

// A statement that hangs, whatever for, is ended by its time-out and run again.
func TestNothingIsSentWhileStatementsHang(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, nil)
	s.receiver.answers = slowly
	s.relay.waitReady()
	s.exec(t, "create table public.hangs ()")
	s.exec(t, "grant select on public.hangs to public")
	s.exec(t, `create function public.hang() returns trigger language plpgsql as $$
		begin
			if exists (select from public.hangs) then perform pg_sleep(600); end if;
			return new;
		end $$`)
	s.exec(t, "create trigger hang before insert on relay.delivery for each row execute function public.hang()")
	const n = 4000
	s.burst(t, n)
	s.exec(t, "insert into public.hangs default values")
	s.relay.saysWithin(time.Minute, "writing: failed: ", "statement timeout")
	s.sendsNothing(t, n, 3*time.Second)
	s.exec(t, "delete from public.hangs")
	s.endSessions(t) // as they would end by themselves half a minute later
	s.arrives(t, n)
	s.relay.waitReady()
}

func TestNothingIsSentWhileConnectionsAreUsedUp(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"max_connections": "40"})
	// It may take long until no connection is left, and much must still wait then.
	var usedUp atomic.Bool
	s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if !usedUp.Load() {
			<-time.After(time.Second)
		}
		return slowly(w, r)
	}
	s.relay.waitReady()
	const n = 4000
	s.burst(t, n)
	var held []*pgx.Conn
	release := func() {
		for _, conn := range held {
			conn.Close(context.WithoutCancel(t.Context()))
		}
	}
	defer release()
	full := 0 // rounds in a row
	harness.Eventually(t, 30*time.Second, "no connection is left for the relay", func() bool {
		s.endSessions(t)
		already := len(held)
		for {
			conn, err := pgx.Connect(t.Context(), s.db.AppURL)
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		// A connection that is being refused, or has just ended, holds its place until a moment later.
		full++
		if len(held) > already || s.text(t, "select count(*)::text from pg_stat_activity where usename = 'relay' and backend_type = 'client backend'") != "0" {
			full = 0
		}
		return full == 50
	})
	s.relay.says("writing: failed: ")
	s.relay.says("database: failed", "connection slots")
	usedUp.Store(true)
	s.sendsNothing(t, n, 3*time.Second)
	release()
	s.arrives(t, n)
	s.relay.waitReady()
}
