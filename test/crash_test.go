package test

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

func TestKilledRelayLosesNothing(t *testing.T) {
	t.Parallel()
	const lease = "RELAY_LEASE_TTL=1s"
	s := newSystem(t, lease)
	tr := newTraffic(t, s, 4, time.Millisecond)
	for range 5 {
		already := s.receiver.distinct()
		harness.Eventually(t, 30*time.Second, "the relay delivers", func() bool { return s.receiver.distinct() > already+100 })
		killed := time.Now()
		s.relay.kill()
		tr.interrupted("kill", killed)
		s.relay = start(t, s.db, lease, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	}
	tr.verify(t, s, time.Minute)
}

func TestSIGTERMLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.receiver.answers = func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(5 * time.Millisecond) // requests are under way when the signal comes
		return true
	}
	tr := newTraffic(t, s, 4, time.Millisecond)
	for range 3 {
		already := s.receiver.distinct()
		harness.Eventually(t, 30*time.Second, "the relay delivers", func() bool { return s.receiver.distinct() > already+100 })
		if err := s.relay.stop(25 * time.Second); err != nil {
			t.Fatalf("the relay ended with %v", err)
		}
		s.relay = start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	}
	tr.verify(t, s, time.Minute)
}

func TestASecondSIGTERMEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_HTTP_TIMEOUT=60s", "RELAY_SHUTDOWN_GRACE=60s")
	s.receiver.answers = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return false }
	s.send(t, "topic", "'t'")
	harness.Eventually(t, 20*time.Second, "a request is under way", func() bool { return len(s.receiver.requests("")) == 1 })
	s.relay.signal(syscall.SIGTERM)
	harness.Eventually(t, 20*time.Second, "the relay stops taking in", func() bool {
		return s.text(t, "select count(*)::text from pg_replication_slots where active and slot_name = $1", s.db.Name) == "0"
	})
	begun := time.Now()
	if err := s.relay.stop(10 * time.Second); err == nil {
		t.Error("the second signal ended the relay with success")
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestADroppedSlotCostsNoMessage(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	tr := newTraffic(t, s, 2, time.Millisecond)
	for range 3 {
		already := s.receiver.distinct()
		harness.Eventually(t, 30*time.Second, "the relay delivers", func() bool { return s.receiver.distinct() > already+100 })
		s.exec(t, `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1`, s.db.Name)
		harness.Eventually(t, 20*time.Second, "the slot is dropped", func() bool {
			_, err := s.admin.Exec(t.Context(), "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active", s.db.Name)
			return err == nil
		})
	}
	tr.verify(t, s, time.Minute)
}

func TestADeadDestinationIsProbedAndOthersDoNotNotice(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=300ms", "RELAY_MAX_ATTEMPTS=1000")
	var down atomic.Bool
	down.Store(true)
	flaky := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	const n = 2000
	if _, err := s.app.Exec(t.Context(), `insert into relay.outbox (topic, destination) select 'down', $1::text from generate_series(1, $2::int)`, flaky.URL, n); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, "most wait in the table for the circuit", func() bool {
		return s.text(t, "select (count(*) > $1)::text from relay.delivery where reason = 'circuit_open'", n-300) == "true"
	})
	if body := s.relay.readyz(); s.relay.metric("relay_notify_circuits_open") != 1 {
		t.Errorf("the circuit is not shown as open:\n%s", body)
	}
	for range 20 {
		begun := time.Now()
		id := s.send(t, "topic", "'up'")
		harness.Eventually(t, 10*time.Second, "the other destination works", func() bool { return s.receiver.accepted(id) == 1 })
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("a message to another destination took %s", took)
		}
	}
	before := len(flaky.requests(""))
	if before > 600 {
		t.Errorf("%d requests to a destination that is down", before)
	}
	down.Store(false)
	harness.Eventually(t, 30*time.Second, "all have arrived", func() bool { return flaky.distinct() == n })
	s.settled(t, 20*time.Second)
	if d := flaky.duplicates(); d != 0 {
		t.Errorf("%d duplicates", d)
	}
}

// The start takes several steps on the database, and its connections may be lost in the
// midst of any.
func TestTheStartOutlastsLostConnections(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	r := newReceiver(t, nil)
	way := newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(db.Server.Port())))
	lock, err := db.Admin(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "lock table relay.schema_version in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	p := launch(t, db, "RELAY_DATABASE_URL="+way.through(t, db.URL), "RELAY_DEFAULT_DESTINATION="+r.URL)
	harness.Eventually(t, 20*time.Second, "the migration waits for the lock", func() bool {
		var waiting bool
		err := db.Admin(t).QueryRow(t.Context(), "select exists (select from pg_locks where relation = 'relay.schema_version'::regclass and not granted)").Scan(&waiting)
		return err == nil && waiting
	})
	way.set(proxyRefuse)
	way.cut()
	harness.Eventually(t, 20*time.Second, "the relay says so", func() bool { return strings.Contains(p.log.String(), "keeps trying") })
	way.set(proxyPass)
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.waitReady()
	if err := p.stop(20 * time.Second); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
}
