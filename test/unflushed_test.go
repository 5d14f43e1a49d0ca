package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// lazyServer is a server that writes WAL to disk late where a commit does not wait for it,
// and a relay whose own commits come seldom.
func lazyServer(t testing.TB, env ...string) *system {
	t.Helper()
	return newOwnSystem(t, map[string]string{"wal_writer_delay": "10s", "autovacuum": "off", "checkpoint_timeout": "1d"},
		append([]string{"RELAY_LEASE_TTL=10m"}, env...)...)
}

// commitAsync inserts by one statement, in a transaction that does not wait for the disk.
func (s *system) commitAsync(t testing.TB, insert string) {
	t.Helper()
	tx, err := s.app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"set local synchronous_commit = off", insert} {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The server dies at the moment at which a message arrives. Whatever has arrived must be in the
// table afterwards, although no session waited for its commit to be on disk.
func TestNothingIsSentThatACrashOfTheServerUndoes(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct{ capture, insert string }{
		"sweep":      {"poll", "insert into relay.outbox (topic) values ('t')"},
		"due time":   {"poll", "insert into relay.outbox (topic, deliver_at) values ('t', clock_timestamp() + interval '300 milliseconds')"},
		"key":        {"poll", "insert into relay.outbox (topic, key) values ('t', 'k')"},
		"notify":     {"notify", "insert into relay.outbox (topic) values ('t')"},
		"notify key": {"notify", "insert into relay.outbox (topic, key) values ('t', 'k')"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lazyServer(t, "RELAY_CAPTURE="+way.capture)
			s.relay.waitReady()
			arrived := make(chan string, 100)
			s.receiver.answers = func(_ http.ResponseWriter, r *http.Request) bool {
				if err := s.db.Server.Kill(); err != nil {
					t.Error(err)
				}
				arrived <- r.Header.Get("webhook-id")
				return true
			}
			s.commitAsync(t, way.insert)
			var id string
			select {
			case id = <-arrived:
			case <-time.After(time.Minute):
				t.Fatal("nothing arrived")
			}
			s.relay.kill()
			if err := s.db.Server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.admin.Reset()
			if s.status(t, id) == "" {
				t.Error("a message was sent whose row the crash has undone")
			}
		})
	}
}

// A commit that waits for a standby holds up the relay between reading and sending.
func TestWhatWaitedForTheDiskIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"null", "'k'", "n::text"} {
		t.Run("key "+key, func(t *testing.T) {
			t.Parallel()
			s := lazyServer(t, "RELAY_CAPTURE=notify")
			s.relay.waitReady()
			s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{paused}', $1)", s.receiver.URL)
			for _, statement := range []string{"alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()"} {
				s.exec(t, statement)
			}
			harness.Eventually(t, 10*time.Second, "commits wait for a standby", func() bool {
				return s.text(t, "show synchronous_standby_names") == "nobody"
			})
			s.commitAsync(t, fmt.Sprintf(`insert into relay.outbox (topic, key)
				select case n when 1 then 'good' when 2 then 'cancelled' when 3 then 'paused' else 'good' end, %s from generate_series(1, 4) n`, key))
			harness.Eventually(t, 20*time.Second, "the relay waits for the disk", func() bool {
				return s.text(t, "select count(*)::text from pg_stat_activity where wait_event = 'SyncRep' and query like '%relay.flush%'") == "1"
			})
			for _, change := range []string{
				"update relay.outbox set status = 'cancelled', finished_at = now() where topic = 'cancelled'",
				"update relay.subscription set paused = true",
			} {
				s.exec(t, "set synchronous_commit = local; "+change)
			}
			<-time.After(1500 * time.Millisecond)
			if n := len(s.receiver.requests("")); n != 0 {
				t.Errorf("%d requests came before the rows were durable", n)
			}
			for _, statement := range []string{"alter system reset synchronous_standby_names", "select pg_reload_conf()"} {
				s.exec(t, statement)
			}
			harness.Eventually(t, 20*time.Second, "each comes to its place", func() bool {
				return s.text(t, "select string_agg(topic || ' ' || status, ', ' order by seq) from relay.outbox") == "good done, cancelled cancelled, paused open, good done"
			})
			var topics []string
			for _, r := range s.receiver.requests("") {
				topics = append(topics, r.header.Get("ce-type"))
			}
			if got := strings.Join(topics, " "); got != "good good" {
				t.Errorf("sent: %s", got)
			}
		})
	}
}
