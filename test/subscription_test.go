package test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// deliveries lists what became of a message at each subscriber.
func (s *system) deliveries(t testing.TB, id string) string {
	t.Helper()
	return s.text(t, "select string_agg(subscription || ' ' || status, ', ' order by subscription) from relay.delivery where message_id = $1", id)
}

func TestFanOutKeepsAStatePerSubscriber(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=200ms")
	var broken atomic.Bool
	broken.Store(true)
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if broken.Load() {
			w.WriteHeader(500)
			return false
		}
		return true
	})
	slow := newReceiver(t, func(http.ResponseWriter, *http.Request) bool { <-time.After(time.Second); return true })
	good := newReceiver(t, nil)
	s.exec(t, `insert into relay.subscription (name, topics, target, headers) values
		('good', '{order.*}', $1, '{"x-sub": "good"}'), ('failing', '{order.#,#}', $2, '{}'), ('slow', '{*.created}', $3, '{}'), ('other', '{stock.#}', $1, '{}')`,
		good.URL, failing.URL, slow.URL)
	id := s.send(t, "topic", "'order.created'")
	harness.Eventually(t, 20*time.Second, "each has its own state", func() bool {
		return s.deliveries(t, id) == "failing handle_failed, good handled, slow handled"
	})
	if got := s.status(t, id); got != "open" {
		t.Errorf("message is %s, want open", got)
	}
	broken.Store(false)
	s.waitStatus(t, id, "done")
	if len(good.requests(id)) != 1 || len(slow.requests(id)) != 1 || good.requests(id)[0].header.Get("x-sub") != "good" {
		t.Errorf("good was asked %d times, slow %d times", len(good.requests(id)), len(slow.requests(id)))
	}
	if n := s.receiver.distinct(); n != 0 {
		t.Errorf("the default destination received %d messages that have subscribers", n)
	}
	byName := s.send(t, "topic, destination", "'anything', 'other'")
	s.waitStatus(t, byName, "done")
	if got := s.deliveries(t, byName); got != "other handled" {
		t.Errorf("deliveries %q", got)
	}
}

func TestASubscriptionsConcurrencyBoundsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var now, most atomic.Int64
	var counting sync.Mutex
	slow := newReceiver(t, func(http.ResponseWriter, *http.Request) bool {
		counting.Lock()
		most.Store(max(most.Load(), now.Add(1)))
		counting.Unlock()
		<-time.After(200 * time.Millisecond)
		now.Add(-1)
		return true
	})
	s.exec(t, "insert into relay.subscription (name, topics, target, concurrency) values ('two', '{#}', $1, 2)", slow.URL)
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, 6)")
	s.settled(t, 30*time.Second)
	if n := slow.distinct(); n != 6 || most.Load() != 2 {
		t.Errorf("%d messages arrived, at most %d at once, want 6 and 2", n, most.Load())
	}
}

func TestAMessageRightAfterItsSubscriptionIsRouted(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_DEFAULT_DESTINATION=")
	early := s.send(t, "topic", "'late.route'")
	s.waitStatus(t, early, "rejected")
	for i := range 20 {
		name := strings.Repeat("s", i+1)
		s.exec(t, "insert into relay.subscription (name, topics, target) values ($1, array['t.' || $1], $2)", name, s.receiver.URL)
		id := s.send(t, "topic", "'t."+name+"'")
		s.waitStatus(t, id, "done")
	}
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('late', '{late.#}', $1)", s.receiver.URL)
	s.waitStatus(t, early, "done")
}

func TestPausedKeepsTheBacklogAndResumedDrainsInOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var seq sequences
	s.receiver.answers = seq.check(0)
	s.exec(t, "insert into relay.subscription (name, topics, target, paused) values ('sub', '{#}', $1, true)", s.receiver.URL)
	const keys, each = 4, 50
	ordered(t, s, keys, each)
	harness.Eventually(t, 20*time.Second, "all wait in the table", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where status = 'waiting' and reason in ('paused', 'key_blocked')") == "200"
	})
	if n := len(s.receiver.requests("")); n != 0 {
		t.Fatalf("%d requests to a paused subscription", n)
	}
	if _, err := s.admin.Exec(t.Context(), "delete from relay.subscription where name = 'sub'"); err == nil || !strings.Contains(err.Error(), "outstanding") {
		t.Errorf("deleting a subscription with deliveries outstanding: %v", err)
	}
	s.exec(t, "update relay.subscription set paused = false where name = 'sub'")
	s.settled(t, 30*time.Second)
	seq.verify(t, keys, each)
	s.exec(t, "delete from relay.subscription where name = 'sub'")
}

func TestWhatADeadMessageDoesToItsKey(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=2")
	refusing := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") == "bad" {
			w.WriteHeader(500)
			return false
		}
		return true
	}
	goes, blocks := newReceiver(t, refusing), newReceiver(t, refusing)
	s.exec(t, `insert into relay.subscription (name, topics, target, on_dead) values ('goes', '{#}', $1, 'continue'), ('blocks', '{#}', $2, 'block')`, goes.URL, blocks.URL)
	bad := s.send(t, "topic, key", "'bad', 'k'")
	next := s.send(t, "topic, key", "'good', 'k'")
	s.waitStatus(t, bad, "dead")
	harness.Eventually(t, 20*time.Second, "one goes on, the other waits", func() bool {
		return s.deliveries(t, next) == "blocks waiting, goes handled"
	})
	later := s.send(t, "topic, key", "'good', 'k'")
	harness.Eventually(t, 20*time.Second, "what comes later too", func() bool {
		return s.deliveries(t, later) == "blocks waiting, goes handled"
	})
	if n := blocks.distinct(); n != 0 {
		t.Errorf("%d messages passed a dead one that blocks", n)
	}
}

func TestASubscriptionsOwnLimits(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	s.exec(t, `insert into relay.subscription (name, topics, target, backoff, max_handle_attempts, rate_limit) values
		('tries', '{fail}', $1, '{50ms}', 3, null), ('slowly', '{rated}', $2, null, null, 20), ('wrong', '{wrong}', 'ftp://x', null, null, null)`,
		failing.URL, s.receiver.URL)
	id := s.send(t, "topic", "'fail'")
	s.waitStatus(t, id, "dead")
	if n := len(failing.requests(id)); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
	begun := time.Now()
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic) select 'rated' from generate_series(1, 60)"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 60*time.Second, "all rated ones have arrived", func() bool { return s.receiver.distinct() == 60 })
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("60 messages at 20 a second took %s", took)
	}
	wrong := s.send(t, "topic", "'wrong'")
	s.waitStatus(t, wrong, "open")
	if says := s.text(t, "select last_error from relay.delivery where message_id = $1", wrong); !strings.Contains(says, `subscription "wrong": target`) {
		t.Errorf("error %q", says)
	}
}
