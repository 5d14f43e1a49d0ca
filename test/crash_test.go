package test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// traffic inserts messages one transaction each, every fourth rolled back, until stopped,
// and keeps the journal of what COMMIT returned for.
type traffic struct {
	mu         sync.Mutex
	committed  []string
	rolledBack []string
	stop       context.CancelFunc
	done       sync.WaitGroup
}

func newTraffic(t testing.TB, s *system, sessions int, pause time.Duration) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &traffic{stop: cancel}
	t.Cleanup(tr.end)
	for worker := range sessions {
		tr.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				tr.one(t, s, n%4 == 3, fmt.Sprintf("%d-%d", worker, n))
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	return tr
}

// one makes one transaction. It is not cancelled in the middle, so that its end is known.
func (tr *traffic) one(t testing.TB, s *system, rollback bool, payload string) {
	ctx := context.WithoutCancel(t.Context())
	tx, err := s.app.Begin(ctx)
	if err != nil {
		t.Errorf("begin: %v", err)
		return
	}
	var id string
	err = tx.QueryRow(ctx, "insert into relay.outbox (topic, payload) values ('order.created', to_json($1::text)::text) returning id::text", payload).Scan(&id)
	if err == nil && rollback {
		err = tx.Rollback(ctx)
	} else if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		t.Errorf("insert: %v", err)
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if rollback {
		tr.rolledBack = append(tr.rolledBack, id)
	} else {
		tr.committed = append(tr.committed, id)
	}
}

func (tr *traffic) end() { tr.stop(); tr.done.Wait() }

// verify waits until the system has come to rest and states lost, phantom and duplicates.
func (tr *traffic) verify(t testing.TB, s *system, within time.Duration, mayDuplicate int) {
	t.Helper()
	tr.end()
	s.settled(t, within)
	lost, phantom := 0, 0
	for _, id := range tr.committed {
		if s.receiver.accepted(id) == 0 {
			lost++
		}
	}
	for _, id := range tr.rolledBack {
		phantom += s.receiver.accepted(id)
	}
	duplicates := s.receiver.duplicates()
	t.Logf("committed %d, rolled back %d: lost %d, phantom %d, duplicates %d (bound %d)",
		len(tr.committed), len(tr.rolledBack), lost, phantom, duplicates, mayDuplicate)
	if lost != 0 || phantom != 0 || duplicates > mayDuplicate {
		t.Errorf("lost %d, phantom %d, duplicates %d (bound %d)", lost, phantom, duplicates, mayDuplicate)
	}
	if len(tr.committed) == 0 {
		t.Error("nothing was committed")
	}
}

func TestKilledRelayLosesNothing(t *testing.T) {
	t.Parallel()
	const lease = "RELAY_LEASE_TTL=1s"
	s := newSystem(t, lease)
	tr := newTraffic(t, s, 4, time.Millisecond)
	const kills = 5
	for range kills {
		already := s.receiver.distinct()
		harness.Eventually(t, 30*time.Second, "the relay delivers", func() bool { return s.receiver.distinct() > already+100 })
		s.relay.kill()
		s.relay = start(t, s.db, lease, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	}
	// In flight at each kill: what the requests at once and two batches of outcomes hold.
	tr.verify(t, s, time.Minute, kills*(64+2*500))
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
	tr.verify(t, s, time.Minute, 0)
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
	tr.verify(t, s, time.Minute, 0)
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
	if _, body := get(t, "http://"+s.relay.metrics+"/readyz"); s.relay.metric("relay_notify_circuits_open") != 1 {
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
