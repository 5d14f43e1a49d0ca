package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// standbyServer starts a relay on a server of the test's own, whose commits can be made to wait for a standby that is
// away, among them the relay's own.
func standbyServer(t *testing.T, env ...string) *system {
	t.Helper()
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{"max_connections": "100"}})
	s := &system{db: harness.NewDatabase(t, server)}
	prepare(t, s.db)
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.receiver = newReceiver(t, nil)
	s.relay = start(t, s.db, append([]string{"RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_RECONCILE=0-63 every 1h", "RELAY_LEASE_TTL=1m", "RELAY_HTTP_TIMEOUT=1m"}, env...)...)
	s.relay.says("stream: ok", "streaming")
	return s
}

// standby has commits wait for a standby that is away, until it is back.
func (s *system) standby(t testing.TB, away bool) {
	t.Helper()
	names := "reset synchronous_standby_names"
	if away {
		names = "set synchronous_standby_names = 'away'"
	}
	s.exec(t, "alter system "+names)
	s.exec(t, "select pg_reload_conf()")
	harness.Eventually(t, 10*time.Second, "the standby is away or back", func() bool {
		return (s.text(t, "show synchronous_standby_names") == "away") == away
	})
}

// waitsForStandby commits in the background, and returns once the commit waits.
func (s *system) waitsForStandby(t testing.TB, statement string, arguments ...any) (committed <-chan error) {
	t.Helper()
	before := s.syncing(t)
	done := make(chan error, 1)
	go func() {
		_, err := s.app.Exec(context.Background(), statement, arguments...)
		done <- err
	}()
	harness.Eventually(t, 20*time.Second, "the commit waits for the standby", func() bool { return s.syncing(t) > before })
	return done
}

func (s *system) syncing(t testing.TB) (n int) {
	t.Helper()
	fmt.Sscan(s.text(t, "select count(*)::text from pg_stat_activity where wait_event = 'SyncRep' and usename = 'app'"), &n)
	return n
}

// What a transaction inserted whose commit waits for a standby comes as soon as it is visible, in its place in its key,
// and although no sweep is due for an hour.
func TestWhatWaitedForAStandbyComesInItsPlace(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"shortly": 100 * time.Millisecond, "given up": 2500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := standbyServer(t)
			s.standby(t, true)
			rung := s.relay.metric("relay_reconcile_rung_messages_total")
			late := s.waitsForStandby(t, "insert into relay.outbox (topic, key) select 'late', k from (select 'k' k union all select null from generate_series(1, 500)) x")
			harness.Eventually(t, 20*time.Second, "the stream has shown the rows", func() bool {
				return s.relay.metric("relay_reconcile_rung_messages_total") == rung+501
			})
			local := func(topic string) {
				s.exec(t, "set synchronous_commit = local; insert into relay.outbox (topic, key) values ('"+topic+"', 'k')")
			}
			local("behind")
			local("elsewhere")
			s.exec(t, "set synchronous_commit = local; insert into relay.outbox (topic, key) values ('other', 'other')")
			harness.Eventually(t, 20*time.Second, "another key goes on", func() bool { return s.receiver.distinct() == 1 })
			<-time.After(wait)
			if n := s.receiver.distinct(); n != 1 {
				t.Errorf("%d messages were sent, want the one of the other key: those of this key have one before them that SQL does not show", n)
			}
			s.standby(t, false)
			if err := <-late; err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, 10*time.Second, "all arrive", func() bool { return s.receiver.distinct() == 504 })
			s.settled(t, 20*time.Second)
			var order []string
			for _, r := range s.receiver.requests("") {
				if r.header.Get("ce-subject") == "k" {
					order = append(order, r.header.Get("ce-type"))
				}
			}
			if got := strings.Join(order, " "); got != "late behind elsewhere" {
				t.Errorf("the order is: %s", got)
			}
		})
	}
}

// Rows that are deleted right after their insert, as Debezium's users do, are gone, and are not looked for.
func TestRowsThatAreGoneCauseNoSweeps(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]string{
		"in the same transaction": "begin; insert into relay.outbox (topic, key) select 't', nullif(n % 2, 0) from generate_series(1, 1000) n; delete from relay.outbox; commit",
		"in the next one":         "insert into relay.outbox (topic, key) select 't', nullif(n % 2, 0) from generate_series(1, 1000) n; delete from relay.outbox",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, "RELAY_RECONCILE=0-63 every 1h")
			s.relay.says("stream: ok", "streaming")
			s.beats(t, 1)
			rung := s.relay.metric("relay_reconcile_rung_messages_total")
			one, err := s.admin.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer one.Release()
			for statement := range strings.SplitSeq(what, "; ") {
				if _, err := one.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			harness.Eventually(t, 20*time.Second, "the stream has shown the rows", func() bool {
				return s.relay.metric("relay_reconcile_rung_messages_total") == rung+1000
			})
			s.relay.says("writing: ok", "0 in flight")
			s.beats(t, 1) // what had been read already, and was deleted before its outcome, may cause a sweep
			before := s.relay.metric("relay_reconcile_sweep_seconds_total")
			s.beats(t, 1)
			if after := s.relay.metric("relay_reconcile_sweep_seconds_total"); after != before {
				t.Errorf("sweeps took %v s", after-before)
			}
		})
	}
}

// beats waits for heartbeats of the relay, which come every 5 seconds.
func (s *system) beats(t testing.TB, n float64) {
	t.Helper()
	before := s.relay.metric("relay_cdc_heartbeats_total")
	harness.Eventually(t, 20*time.Second, "the heart beats", func() bool { return s.relay.metric("relay_cdc_heartbeats_total") >= before+n })
}
