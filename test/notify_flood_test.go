package test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// outsider makes a role that can only connect, and returns its URL.
func (s *system) outsider(t testing.TB) string {
	t.Helper()
	s.exec(t, "create role outsider login password 'outsider'")
	s.exec(t, "grant connect on database "+s.db.Name+" to outsider")
	return s.db.Server.URL("outsider", "outsider", s.db.Name)
}

// floodNotices notifies from the given number of connections until stop is called, which returns
// how many notifications were sent: random ids, 200 in each, requests to sweep, and what is no id.
func floodNotices(t testing.TB, url string, connections int) (stop func() int64) {
	t.Helper()
	const statement = `select count(pg_notify(channel, payload)) from (
		select case n % 2 when 0 then 'relay_changed' else 'relay_outbox' end as channel,
			case when n % 10 in (0, 5) then '' when n % 10 in (1, 6) then repeat('x', 7000) || random()::text
				else (select string_agg(gen_random_uuid()::text, ',') from generate_series(1, 200) where n = n) end as payload
		from generate_series(1, 50) n) x`
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	sent := make([]int64, connections)
	for i := range connections {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer conn.Close(context.Background())
			for ctx.Err() == nil {
				var n int64
				if err := conn.QueryRow(context.Background(), statement).Scan(&n); err != nil {
					t.Error(err)
					return
				}
				sent[i] += n
			}
		})
	}
	return func() (n int64) {
		cancel()
		all.Wait()
		for _, s := range sent {
			n += s
		}
		return n
	}
}

// latencies sends n messages, one every few milliseconds, and returns the median of the times from
// before the insert to the acceptance, and their 99th percentile.
func (s *system) latencies(t testing.TB, n int) (p50, p99 time.Duration) {
	t.Helper()
	begun := make(map[string]time.Time, n)
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for range n {
		<-tick.C
		at := time.Now()
		begun[s.send(t, "topic", "'t'")] = at
	}
	harness.Eventually(t, time.Minute, "all have arrived", func() bool {
		for id := range begun {
			if s.receiver.accepted(id) == 0 {
				return false
			}
		}
		return true
	})
	var took []time.Duration
	for _, receipt := range s.receiver.receipts() {
		if at, mine := begun[receipt.ID]; mine {
			took = append(took, receipt.At.Sub(at))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// A role that may only connect raised the latency of all messages from 97 ms to 12 s, with
// random ids that filled the memory.
func TestAFloodOfNotificationsDelaysNoMessage(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name   string
		relays int
		env    string
	}{
		{"stream", 1, "RELAY_CAPTURE=stream"},
		{"two relays", 2, "RELAY_CAPTURE=stream"},
		{"notify", 1, "RELAY_CAPTURE=notify"},
	} {
		t.Run(mode.name, func(t *testing.T) {
			s := newOwnSystem(t, map[string]string{"fsync": "off"}, mode.env, "RELAY_RECONCILE=0-63 every 1h", "RELAY_LEASE_TTL=2s")
			s.relay.waitReady()
			relays := []*process{s.relay}
			for len(relays) < mode.relays {
				relays = append(relays, start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL, "RELAY_RECONCILE=0-63 every 1h", "RELAY_LEASE_TTL=2s"))
			}
			for _, r := range relays {
				r.says("shards: ok: ", fmt.Sprintf("owns %d of 64", 64/mode.relays))
			}
			outsider := s.outsider(t)
			calm50, calm99 := s.latencies(t, 300)
			stop := floodNotices(t, outsider, 2)
			p50, p99 := s.latencies(t, 300)
			resident := 0
			for _, r := range relays {
				resident = max(resident, r.residentKB()>>10)
			}
			sent := stop()
			t.Logf("calm: median %s, p99 %s; beside %d notifications: median %s, p99 %s, %d MB resident",
				calm50.Round(time.Millisecond), calm99.Round(time.Millisecond), sent, p50.Round(time.Millisecond), p99.Round(time.Millisecond), resident)
			if p99 > 2*time.Second {
				t.Errorf("p99 rose to %s", p99)
			}
			if resident > 150 {
				t.Errorf("%d MB resident", resident)
			}
			if sent < 500 {
				t.Errorf("only %d notifications were sent", sent)
			}
			harness.Eventually(t, 30*time.Second, "what was notified is counted", func() bool {
				return s.relay.metric("relay_cdc_notifications_ignored_total") > 0 && s.relay.metric(`relay_reconcile_notified_ids_total{result="unknown"}`) > 0
			})
		})
	}
}
