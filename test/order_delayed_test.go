package test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// dueUnseen inserts a delayed message of each key, interrupts the relay, and inserts more
// messages of the keys once it has become due.
func (s *system) dueUnseen(t *testing.T, keys, each int, interrupt func()) {
	t.Helper()
	s.exec(t, "insert into relay.outbox (topic, key, deliver_at) select 't.1', 'k' || k, now() + interval '1 second' from generate_series(0, $1 - 1) k", keys)
	interrupt()
	harness.Eventually(t, 20*time.Second, "they are due", func() bool {
		return s.text(t, "select (max(deliver_at) < now())::text from relay.outbox") == "true"
	})
	s.exec(t, "insert into relay.outbox (topic, key) select 't.' || n, 'k' || k from generate_series(2, $2) n, generate_series(0, $1 - 1) k order by n", keys, each)
}

// No relay looks at the moment when the messages become due; a later look finds both.
func TestADelayedMessageThatBecameDueUnseenGoesBeforeLaterOnesOfItsKey(t *testing.T) {
	t.Parallel()
	const keys, each, ttl = 50, 4, "RELAY_LEASE_TTL=2s"
	for name, run := range map[string]func(t *testing.T, s *system){
		"killed": func(t *testing.T, s *system) {
			s.dueUnseen(t, keys, each, s.relay.kill)
			s.relay = start(t, s.db, ttl, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
		},
		"frozen": func(t *testing.T, s *system) {
			s.dueUnseen(t, keys, each, func() { s.relay.signal(syscall.SIGSTOP) })
			s.relay.signal(syscall.SIGCONT)
		},
		"frozen and succeeded": func(t *testing.T, s *system) {
			second := start(t, s.db, ttl, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
			harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
			s.dueUnseen(t, keys, each, func() { s.relay.signal(syscall.SIGSTOP) })
			harness.Eventually(t, 30*time.Second, "the second owns all", func() bool { return second.owned() == 64 })
		},
		"found by polling": func(t *testing.T, s *system) {
			s.dueUnseen(t, keys, each, s.relay.kill)
			s.relay = start(t, s.db, ttl, "RELAY_CAPTURE=poll", "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, ttl)
			var seq sequences
			s.receiver.answers = seq.check(0)
			run(t, s)
			s.settled(t, time.Minute)
			seq.verify(t, keys, each)
		})
	}
}

// Later messages are inserted at the moment when those before are due.
func TestADelayedMessageGoesBeforeThoseInsertedTheMomentItIsDue(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var seq sequences
	s.receiver.answers = seq.check(0)
	const keys = 300
	s.exec(t, `insert into relay.outbox (topic, key, deliver_at)
		select 't.1', 'k' || k, now() + interval '1 second' + k * interval '5 ms' from generate_series(0, $1 - 1) k`, keys)
	for k := range keys {
		s.exec(t, `with due as materialized (select pg_sleep_until(deliver_at) from relay.outbox where key = $1)
			insert into relay.outbox (topic, key) select 't.2', $1 from due`, fmt.Sprint("k", k))
	}
	s.settled(t, time.Minute)
	seq.verify(t, keys, 2)
}
