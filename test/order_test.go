package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// sequences keeps, per key, the numbers of messages in the order of their first request
// and of their acceptance; a message's topic ends with its number.
type sequences struct {
	mu       sync.Mutex
	accepted map[string]int // per key, the highest number accepted so far
	wrong    []string
}

// check is a receiver's answer: it fails a part of the requests, and notes a first request
// that comes before the message before was accepted.
func (s *sequences) check(failing float64) func(http.ResponseWriter, *http.Request) bool {
	s.accepted = make(map[string]int)
	return func(w http.ResponseWriter, r *http.Request) bool {
		key := r.Header.Get("ce-subject")
		n, _ := strconv.Atoi(r.Header.Get("ce-type")[strings.LastIndex(r.Header.Get("ce-type"), ".")+1:])
		s.mu.Lock()
		defer s.mu.Unlock()
		if n > s.accepted[key]+1 {
			s.wrong = append(s.wrong, fmt.Sprintf("key %s: %d came when %d was the last accepted", key, n, s.accepted[key]))
		}
		if rand.Float64() < failing {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		s.accepted[key] = max(s.accepted[key], n)
		return true
	}
}

// ordered inserts the numbered messages of several keys, each key in a session of its own.
func ordered(t *testing.T, s *system, keys, each int) {
	t.Helper()
	var group sync.WaitGroup
	for k := range keys {
		group.Go(func() {
			for n := 1; n <= each; n++ {
				_, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic, key) values ($1, $2)", fmt.Sprint("t.", n), fmt.Sprint("k", k))
				if err != nil {
					t.Errorf("insert: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
}

func (s *sequences) verify(t *testing.T, keys, each int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, wrong := range s.wrong {
		if i == 10 {
			t.Errorf("and %d more", len(s.wrong)-10)
			break
		}
		t.Error(wrong)
	}
	for k := range keys {
		if got := s.accepted[fmt.Sprint("k", k)]; got != each {
			t.Errorf("key k%d: %d accepted, want %d", k, got, each)
		}
	}
}

func TestMessagesOfAKeyArriveInOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=1000")
	var seq sequences
	s.receiver.answers = seq.check(0.1)
	const keys, each = 8, 300
	ordered(t, s, keys, each)
	s.settled(t, 2*time.Minute)
	seq.verify(t, keys, each)
}

// A ring by NOTIFY tells no key, so that the reader of messages without one comes across it.
func TestMessagesOfAKeyArriveInOrderWithoutAStream(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_CAPTURE=notify", "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=1000")
	var seq sequences
	s.receiver.answers = seq.check(0.1)
	const keys, each = 8, 200
	ordered(t, s, keys, each)
	s.settled(t, 2*time.Minute)
	seq.verify(t, keys, each)
}

func TestADelayedMessageThatIsDueOvertakesNothingOfItsKey(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if err := s.relay.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}
	const each, delayed = 400, 300
	if _, err := s.app.Exec(t.Context(), `insert into relay.outbox (topic, key, deliver_at)
		select 't.' || n, 'k0', case when n = $2::int then now() - interval '1 second' end from generate_series(1, $1::int) n`, each, delayed); err != nil {
		t.Fatal(err)
	}
	s.relay = start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	s.settled(t, time.Minute)
	s.receiver.mu.Lock()
	defer s.receiver.mu.Unlock()
	for i, one := range s.receiver.all {
		if one.header.Get("ce-type") == "t.300" && i < delayed-1 {
			t.Errorf("the delayed message came as number %d, want %d or later", i+1, delayed)
		}
	}
}

// Behind a head that hangs the second message waits in memory alone; the third one stands in
// the table already, since it has another subscriber too, when the relay is killed.
func TestWhatIsTakenUpInPartsDoesNotOvertakeAfterACrash(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var seq sequences
	var works atomic.Bool
	check := seq.check(0)
	s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if !works.Load() {
			<-r.Context().Done()
			return false
		}
		return check(w, r)
	}
	other := newReceiver(t, nil)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('hangs', '{#}', $1), ('other', '{*.3}', $2)", s.receiver.URL, other.URL)
	for n := 1; n <= 3; n++ {
		s.exec(t, "insert into relay.outbox (topic, key) values ('t.' || $1, 'k')", strconv.Itoa(n))
	}
	harness.Eventually(t, 20*time.Second, "the third one is taken up", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where topic = 't.3' and status = 'open'") == "1"
	})
	s.relay.kill()
	works.Store(true)
	s.relay = start(t, s.db)
	s.settled(t, 30*time.Second)
	seq.verify(t, 0, 0)
	if n := s.receiver.distinct(); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
}

func TestOrderSurvivesKillsAndTakeovers(t *testing.T) {
	t.Parallel()
	const ttl = "RELAY_LEASE_TTL=1s"
	settings := []string{ttl, "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=1000"}
	s := newSystem(t, settings...)
	settings = append(settings, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	var seq sequences
	s.receiver.answers = seq.check(0.05)
	const keys, each = 6, 250
	var inserting sync.WaitGroup
	inserting.Go(func() { ordered(t, s, keys, each) })
	for i := range 4 {
		already := s.receiver.distinct()
		harness.Eventually(t, 60*time.Second, "the relay delivers", func() bool { return s.receiver.distinct() > already+50 })
		if i%2 == 0 {
			s.relay.kill()
		} else if err := s.relay.stop(25 * time.Second); err != nil {
			t.Fatal(err)
		}
		s.relay = start(t, s.db, settings...)
	}
	inserting.Wait()
	s.settled(t, 2*time.Minute)
	seq.verify(t, keys, each)
}

func TestAFailingHeadBlocksItsKeyAlone(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") != "bad" {
			return true
		}
		w.WriteHeader(500)
		return false
	}
	head := s.send(t, "topic, key", "'bad', 'k'")
	s.waitStatus(t, head, "open")
	behind := s.send(t, "topic, key", "'good', 'k'")
	other := s.send(t, "topic, key", "'good', 'other'")
	s.waitStatus(t, other, "done")
	harness.Eventually(t, 20*time.Second, "the message behind waits for its key", func() bool {
		return s.text(t, "select reason from relay.delivery where message_id = $1", behind) == "key_blocked"
	})
	s.exec(t, "update relay.outbox set status = 'cancelled' where id = $1", head)
	s.exec(t, "update relay.delivery set next_attempt_at = now() where message_id = $1", head)
	s.waitStatus(t, behind, "done")
}

// The message between the two of one subscriber goes to another one alone, and is under way
// when the first has ended.
func TestAKeyGoesOnBehindAMessageForOthersOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1s", "RELAY_RECONCILE=0-63 every 1h")
	var failed atomic.Int32
	s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") == "one.head" && failed.Add(1) <= 2 {
			w.WriteHeader(500)
			return false
		}
		return true
	}
	release := make(gate)
	slow := newReceiver(t, release.answer)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('one', '{one.#}', $1), ('other', '{other}', $2)", s.receiver.URL, slow.URL)
	head := s.send(t, "topic, key", "'one.head', 'k'")
	s.waitStatus(t, head, "open")
	between := s.send(t, "topic, key", "'other', 'k'")
	behind := s.send(t, "topic, key", "'one', 'k'")
	s.waitStatus(t, head, "done")
	s.waitStatus(t, behind, "done")
	if got := s.status(t, between); got != "pending" && got != "open" {
		t.Errorf("the message for the other one is %s before that one has answered", got)
	}
	close(release)
	s.waitStatus(t, between, "done")
}

func TestAHotKeyGoesOneByOne(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var seq sequences
	s.receiver.answers = seq.check(0)
	const each = 5000
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic, key) select 't.' || n, 'k0' from generate_series(1, $1::int) n", each); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.settled(t, 2*time.Minute)
	t.Logf("%d messages of one key in %s", each, time.Since(begun))
	seq.verify(t, 1, each)
	if d := s.receiver.duplicates(); d != 0 {
		t.Errorf("%d duplicates", d)
	}
}
