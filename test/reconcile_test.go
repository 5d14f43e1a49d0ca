package test

import (
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// Groups of shards sweep in parallel, each at its own times: here without any doorbell.
func TestGroupsOfShardsSweepByDelayAndByCron(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_CAPTURE=poll", "RELAY_RECONCILE=0-15 every 300ms limit 7; 16-62 cron */2 * * * * * limit 3; 63 every 1h")
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic, key) select 't', case when n % 3 = 0 then 'k' || n end from generate_series(1, 400) n"); err != nil {
		t.Fatal(err)
	}
	rest := s.text(t, "select count(*)::text from relay.outbox where shard = 63")
	harness.Eventually(t, 30*time.Second, "all but the shard of the idle group are done", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'pending'") == rest
	})
	if n := s.text(t, "select count(*)::text from relay.outbox where status = 'pending' and shard <> 63"); n != "0" {
		t.Errorf("%s messages of other shards are pending", n)
	}
}

// hardlyEver sweeps on the 29th of February, and when there is a reason besides.
const hardlyEver = "0-63 cron 0 0 29 2 *"

// A sweep that fails is tried again soon: of the one after a takeover there is no other for years.
func TestASweepThatFailsIsRepeatedSoon(t *testing.T) {
	t.Parallel()
	env := []string{"RELAY_CAPTURE=poll", "RELAY_RECONCILE=" + hardlyEver}
	s := newSystem(t, env...)
	heir := start(t, s.db, append(env, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)...)
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && heir.owned() == 32 })
	id := s.send(t, "topic", "'t'")
	s.exec(t, "alter table relay.outbox rename to away")
	if err := s.relay.stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, "the sweep after the takeover fails", func() bool {
		return heir.owned() == 64 && strings.Contains(heir.log.String(), "operation=sweep")
	})
	s.exec(t, "alter table relay.away rename to outbox")
	s.waitStatus(t, id, "done")
}

// A notification is a hint: an id that names no visible row is looked for once. The sweep that
// follows finds the row if it is visible by then, and an ordinary one otherwise.
func TestWhatIsVisibleLongAfterItsNotificationIsFound(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"null", "'k'"} {
		t.Run("key "+key, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, "RELAY_CAPTURE=notify", "RELAY_RECONCILE=0-63 every 2s limit 500")
			tx, err := s.admin.Begin(t.Context())
			if err == nil {
				_, err = tx.Exec(t.Context(), "set local session_replication_role = replica") // without the trigger that rings
			}
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(t.Context())
			var id string
			if err := tx.QueryRow(t.Context(), "insert into relay.outbox (topic, key) values ('t', "+key+") returning id::text").Scan(&id); err != nil {
				t.Fatal(err)
			}
			s.exec(t, "select pg_notify('relay_outbox', $1)", id)
			harness.Eventually(t, 10*time.Second, "it is looked for", func() bool {
				return s.relay.metric(`relay_reconcile_notified_ids_total{result="unknown"}`) == 1
			})
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.waitStatus(t, id, "done")
		})
	}
}

func TestRetentionRemovesWhatEndedWell(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_RETENTION=1s")
	kept := s.send(t, "topic, destination", "'t', 'nobody'")
	for range 30 {
		s.send(t, "topic", "'t'")
	}
	harness.Eventually(t, 30*time.Second, "only the rejected one is left", func() bool {
		return s.text(t, "select string_agg(id::text, ',') from relay.outbox") == kept
	})
	const rest = "select ((select count(*) from relay.delivery) + (select count(*) from relay.attempt))::text"
	if n := s.text(t, rest); n != "0" {
		t.Errorf("%s deliveries and attempts are left", n)
	}
	if n := s.receiver.distinct(); n != 30 {
		t.Errorf("%d messages arrived, want 30", n)
	}
}

func TestWhatARelayLeftIsDrainedByTheNext(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if err := s.relay.stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "select pg_drop_replication_slot($1)", s.db.Name)
	const n = 20_000
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic) select 't' from generate_series(1, $1::int)", n); err != nil {
		t.Fatal(err)
	}
	start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	harness.Eventually(t, time.Minute, "all have arrived", func() bool { return s.receiver.distinct() == n })
	s.settled(t, 20*time.Second)
	if d := s.receiver.duplicates(); d != 0 {
		t.Errorf("%d duplicates", d)
	}
}
