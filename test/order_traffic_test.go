package test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// A head fails once, so that what comes after it waits in the table. New messages of the key
// come faster than one can be written, and yet those that wait go meanwhile.
func TestAHotKeyGoesOnWhileItsTrafficDoes(t *testing.T) {
	t.Parallel()
	const each = 4 // in a transaction
	s := newSystem(t, "RELAY_BACKOFF=300ms")
	var seq sequences
	var failed atomic.Bool
	check := seq.check(0)
	s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") == "t.100" && !failed.Swap(true) {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		return check(w, r)
	}
	sent := 0
	for begun := time.Now(); time.Since(begun) < 8*time.Second; time.Sleep(2 * time.Millisecond) {
		s.exec(t, "insert into relay.outbox (topic, key) select 't.' || n, 'k0' from generate_series($1::int, $2::int) n", sent+1, sent+each)
		sent += each
	}
	came := s.receiver.distinct()
	t.Logf("%d of %d came while more were sent", came, sent)
	if came < sent/4 {
		t.Errorf("%d of %d messages came while more of the key were sent", came, sent)
	}
	s.settled(t, time.Minute)
	seq.verify(t, 1, sent)
}

func TestWhatWaitsForItsKeyGoesWhenThereIsNoOrderAnyMore(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	s.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") != "bad" {
			return true
		}
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{#}', $1)", s.receiver.URL)
	const behind = 300
	head := s.send(t, "topic, key", "'bad', 'k'")
	s.waitStatus(t, head, "open")
	s.exec(t, "insert into relay.outbox (topic, key) select 'good', 'k' from generate_series(1, $1::int)", behind)
	harness.Eventually(t, 20*time.Second, "all wait for their key", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where reason = 'key_blocked'") == fmt.Sprint(behind)
	})
	s.exec(t, "update relay.subscription set ordered = false where name = 'sub'")
	harness.Eventually(t, 20*time.Second, "they go", func() bool { return s.receiver.distinct() == behind })
	if got := s.status(t, head); got != "open" {
		t.Errorf("the head is %s", got)
	}
}
