package test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// owned is how many shards a relay says that it owns.
func (p *process) owned() int { return int(p.metric("relay_reconcile_owned_shards")) }

func TestRelaysShareAndRebalanceWithoutDuplicates(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	tr := newTraffic(t, s, 4, time.Millisecond)
	to := "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL
	second := start(t, s.db, to)
	third := start(t, s.db, to)
	even := func(relays ...*process) {
		t.Helper()
		harness.Eventually(t, 30*time.Second, fmt.Sprintf("%d relays share evenly", len(relays)), func() bool {
			sum, least, most := 0, 64, 0
			for _, p := range relays {
				n := p.owned()
				sum, least, most = sum+n, min(least, n), max(most, n)
			}
			return sum == 64 && most <= (64+len(relays)-1)/len(relays) && least > 0
		})
	}
	even(s.relay, second, third)
	already := s.receiver.distinct()
	harness.Eventually(t, 30*time.Second, "they deliver", func() bool { return s.receiver.distinct() > already+300 })
	if err := s.relay.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}
	even(second, third)
	if err := second.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}
	even(third)
	tr.verify(t, s, time.Minute)
}

// succeeds holds that a relay owns all shards in time after another one, whose leases lasted for
// 2 s, fell silent.
func succeeds(t *testing.T, heir *process, silent time.Time) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the heir owns all", func() bool { return heir.owned() == 64 })
	took := time.Since(silent)
	t.Logf("the takeover took %s", took)
	if took > 4*time.Second {
		t.Errorf("the takeover took %s, at most the lease of 2 s and 2 s more are allowed", took)
	}
}

func TestAKilledRelayIsSucceededInTime(t *testing.T) {
	t.Parallel()
	const ttl = "RELAY_LEASE_TTL=2s"
	s := newSystem(t, ttl)
	heir := start(t, s.db, ttl, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && heir.owned() == 32 })
	s.relay.kill()
	succeeds(t, heir, time.Now())
	for range 100 {
		s.send(t, "topic", "'t'")
	}
	harness.Eventually(t, 10*time.Second, "the heir streams", func() bool { return heir.metric("relay_cdc_stream_up") == 1 })
	s.settled(t, 20*time.Second)
}

func TestAFrozenRelayIsSucceededAndWritesNothingWhenItWakes(t *testing.T) {
	t.Parallel()
	const ttl = "RELAY_LEASE_TTL=2s"
	s := newSystem(t, ttl)
	second := start(t, s.db, ttl, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	tr := newTraffic(t, s, 4, time.Millisecond)
	harness.Eventually(t, 30*time.Second, "they deliver", func() bool { return s.receiver.distinct() > 200 })
	frozen := time.Now()
	s.relay.signal(syscall.SIGSTOP)
	succeeds(t, second, frozen)
	harness.Eventually(t, 30*time.Second, "the second streams", func() bool { return second.metric("relay_cdc_stream_up") == 1 })
	already := s.receiver.distinct()
	harness.Eventually(t, 30*time.Second, "the second delivers", func() bool { return s.receiver.distinct() > already+200 })
	s.relay.signal(syscall.SIGCONT)
	harness.Eventually(t, 30*time.Second, "they share again", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	tr.interrupted("frozen", frozen)
	tr.verify(t, s, time.Minute)
}

// One slow attempt keeps its own shard, and no other.
func TestAStopPassesShardsOnWhileItsSlowestAttemptRuns(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_SHUTDOWN_GRACE=2m", "RELAY_HTTP_TIMEOUT=2m")
	heir := newReceiver(t, nil)
	second := start(t, s.db, "RELAY_DEFAULT_DESTINATION="+heir.URL)
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	release := make(gate)
	s.receiver.answers = release.answer
	harness.Eventually(t, 30*time.Second, "the first has an attempt under way", func() bool {
		s.send(t, "topic", "'t'")
		return len(s.receiver.requests("")) > 0
	})
	hanging := len(s.receiver.requests(""))
	s.relay.signal(syscall.SIGTERM)
	harness.Eventually(t, 10*time.Second, "the second owns all but what hangs", func() bool {
		return second.owned() >= 64-len(s.receiver.requests(""))
	})
	for range 200 {
		s.send(t, "topic", "'after'")
	}
	harness.Eventually(t, 10*time.Second, "the second delivers", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where topic = 'after' and status = 'done'") >= "150"
	})
	select {
	case <-s.relay.ended:
		t.Error("the first ended although an attempt was under way")
	default:
	}
	close(release)
	if <-s.relay.ended; s.relay.err != nil {
		t.Error(s.relay.err)
	}
	s.settled(t, 30*time.Second)
	if n := s.receiver.distinct(); n < hanging || s.receiver.duplicates()+heir.duplicates() > 0 {
		t.Errorf("%d of %d that hung were accepted, %d duplicates", n, hanging, s.receiver.duplicates()+heir.duplicates())
	}
}

// An outcome that cannot be written, since another session has locked the row, keeps its shard
// where it is. The shard's other messages do not wait for that session.
func TestAShardThatCannotBeGivenUpIsSentOn(t *testing.T) {
	t.Parallel()
	const ttl = "RELAY_LEASE_TTL=2s"
	s := newSystem(t, ttl)
	release := make(gate)
	s.receiver.answers = release.answer
	id, shard := "", ""
	for shard < "32" { // of those that go when another relay comes
		id = s.send(t, "topic", "'t'")
		shard = s.text(t, "select lpad(shard::text, 2, '0') from relay.outbox where id = $1", id)
	}
	harness.Eventually(t, 20*time.Second, "it is under way", func() bool { return len(s.receiver.requests(id)) == 1 })
	tx, err := s.admin.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "select from relay.outbox where id = $1 for update", id)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	close(release)
	second := start(t, s.db, ttl, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	harness.Eventually(t, 20*time.Second, "all but the shard have moved", func() bool { return second.owned() == 31 })
	const pending = "select count(*)::text from relay.outbox where topic = 'after' and status <> 'done'"
	for s.text(t, "select count(*)::text from relay.outbox where topic = 'after' and shard = $1::text::int", shard) < "3" {
		s.send(t, "topic", "'after'")
	}
	harness.Eventually(t, 10*time.Second, "its other messages are done", func() bool { return s.text(t, pending) == "0" })
	if n := s.relay.owned(); n != 33 {
		t.Errorf("the first owns %d shards", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "it moves when the session has ended", func() bool { return second.owned() == 32 && s.relay.owned() == 32 })
	s.settled(t, 20*time.Second)
	if n := s.receiver.duplicates(); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

// Leases that ended and were renewed before another relay took them have the same epoch. The rings
// that came in between were dropped, and no sweep is due for years.
func TestWhatWasRungForAfterTheLeasesEndedIsFound(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_LEASE_TTL=1s", "RELAY_CAPTURE=notify", "RELAY_RECONCILE="+hardlyEver)
	tx, err := s.admin.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "lock table relay.lease in exclusive mode")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	<-time.After(1500 * time.Millisecond) // longer than the leases last
	id := s.send(t, "topic", "'t'")
	harness.Eventually(t, 10*time.Second, "it is rung for", func() bool {
		return s.relay.metric("relay_reconcile_rung_messages_total") == 1
	})
	<-time.After(time.Second) // it is read, and dropped
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.waitStatus(t, id, "done")
	if n := s.text(t, "select max(epoch)::text from relay.lease"); n != "1" {
		t.Errorf("the epoch is %s: the leases were taken anew", n)
	}
}

// A shard leaves and comes back while an attempt runs. What the attempt's failure would write is
// about a row that another relay may have changed; that it was accepted is true in any case.
func TestAnOutcomeFromBeforeTheShardCameBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code           int
		status, counts string
	}{
		"failed":   {http.StatusInternalServerError, "open", "handle_failed 5"},
		"accepted": {http.StatusOK, "done", "handled 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, "RELAY_LEASE_TTL=1s", "RELAY_BACKOFF=50ms")
			release := make(gate)
			s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("relay-attempt") == "1" {
					w.WriteHeader(http.StatusInternalServerError)
					return false
				}
				if !release.pass(r) {
					return false
				}
				w.WriteHeader(c.code)
				return c.code == http.StatusOK
			}
			id := s.send(t, "topic", "'t'")
			harness.Eventually(t, 20*time.Second, "the second attempt is under way", func() bool { return len(s.receiver.requests(id)) == 2 })
			s.exec(t, `with gone as (update relay.lease set owner = null, expires_at = '-infinity', epoch = epoch + 1)
				update relay.delivery set attempts = 5, next_attempt_at = now() + interval '1 hour' where message_id = $1`, id)
			harness.Eventually(t, 20*time.Second, "the shards are back", func() bool {
				return s.text(t, "select count(*)::text from relay.lease where owner is not null") == "64" && s.relay.owned() == 64
			})
			<-time.After(time.Second) // it has renewed them and knows
			close(release)
			if err := s.relay.stop(25 * time.Second); err != nil {
				t.Fatal(err)
			}
			if got := s.status(t, id); got != c.status {
				t.Errorf("the message is %s, want %s", got, c.status)
			}
			if got := s.text(t, "select status || ' ' || attempts from relay.delivery where message_id = $1", id); got != c.counts {
				t.Errorf("the delivery is %s, want %s", got, c.counts)
			}
			if n := len(s.receiver.requests(id)); n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}
