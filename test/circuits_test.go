package test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"relay/test/harness"
)

// insertTo inserts messages with a destination of their own; {n} in it is replaced.
func (s *system) insertTo(t *testing.T, topic, destination string, n int) {
	t.Helper()
	const insert = "insert into relay.outbox (topic, destination) select $1, replace($2, '{n}', n::text) from generate_series(1, $3::int) n"
	if _, err := s.app.Exec(t.Context(), insert, topic, destination, n); err != nil {
		t.Fatal(err)
	}
}

// arrivesSoon sends messages one after the other. Each has to arrive within 2 s.
func (s *system) arrivesSoon(t *testing.T, at *receiver, columns, values string, arguments ...any) {
	t.Helper()
	for range 20 {
		begun := time.Now()
		id := s.send(t, columns, values, arguments...)
		harness.Eventually(t, 10*time.Second, "a message that has nothing to do with the failures arrives", func() bool { return at.accepted(id) == 1 })
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

// Forty rows that named the private address of the default destination shut that down.
func TestRowsThatMayNotBeSentShutNothingDown(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_EGRESS_ALLOW=192.0.2.0/24")
	s.insertTo(t, "refused", s.receiver.URL, 40)
	s.insertTo(t, "refused", "http://"+strings.Repeat("a", 64)+".test/{n}", 20)
	harness.Eventually(t, 20*time.Second, "all of them are refused", func() bool {
		return s.text(t, `select count(*)::text from relay.delivery where status = 'push_failed'
			and (last_error like '%RELAY_EGRESS_ALLOW%' or last_error like '%name that a host can have%')`) == "60"
	})
	s.arrivesSoon(t, s.receiver, "topic", "'fine'")
	if n := s.relay.metric("relay_notify_circuits_open"); n != 0 {
		t.Errorf("%v circuits are open", n)
	}
	if n := s.text(t, "select count(*)::text from relay.delivery where reason is not null"); n != "0" {
		t.Errorf("%s deliveries wait", n)
	}
}

// A 429 from one path held every path of that host, for an hour if it said so.
func TestAPathThatAsksForTimeHoldsUpNoOtherOfItsHost(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1s")
	var until atomic.Pointer[time.Time]
	host := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/limited" {
			return true
		}
		end := time.Now().Add(30 * time.Second)
		if until.CompareAndSwap(nil, &end); time.Now().After(*until.Load()) {
			return true
		}
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	})
	limited := s.send(t, "topic, destination", "'limited', $1", host.URL+"/limited")
	harness.Eventually(t, 10*time.Second, "the path has asked for time", func() bool { return until.Load() != nil })
	s.waitDelivery(t, limited, "push_failed")
	s.insertTo(t, "limited", host.URL+"/limited", 300)
	s.insertTo(t, "open", host.URL+"/open/{n}", 300)
	harness.Eventually(t, 8*time.Second, "the other paths have theirs", func() bool { return host.distinct() == 300 })
	s.arrivesSoon(t, host, "topic, destination", "'open', $1", host.URL+"/open")
	circuit := s.text(t, "select string_agg(distinct circuit, ' ') from relay.delivery where reason = 'circuit_open'")
	if time.Now().Before(*until.Load()) && circuit != host.URL+"/limited" {
		t.Errorf("they wait for %q", circuit)
	}
	harness.Eventually(t, 60*time.Second, "the path has its own when the time is over", func() bool { return host.distinct() == 621 })
	s.settled(t, 20*time.Second)
	if d := host.duplicates(); d != 0 {
		t.Errorf("%d duplicates", d)
	}
}

// Rows that name the URL of a subscription, and fail there, shut the subscription down.
func TestRowsShutNoSubscriptionDownThatHasTheirURL(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=500ms", "RELAY_MAX_ATTEMPTS=1000")
	var down atomic.Bool
	down.Store(true)
	shared := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if down.Load() && r.Header.Get("ce-type") == "direct" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('billing', '{order.*}', $1)", shared.URL+"/hook")
	s.insertTo(t, "direct", shared.URL+"/hook", 100)
	harness.Eventually(t, 20*time.Second, "the circuit of the rows' target is open", func() bool {
		return s.relay.metric(`relay_notify_circuits_open{named_by="row"}`) == 1 &&
			s.text(t, "select count(*)::text from relay.delivery where reason = 'circuit_open'") != "0"
	})
	if body := s.relay.readyz(); !strings.Contains(body, shared.URL+"/hook") {
		t.Errorf("the circuit is not named:\n%s", body)
	}
	s.arrivesSoon(t, shared, "topic", "'order.created'")
	if n := s.relay.metric(`relay_notify_circuits_open{named_by="operator"}`); n != 0 {
		t.Errorf("%v circuits of the operator's are open", n)
	}
	down.Store(false)
	harness.Eventually(t, 30*time.Second, "all have arrived", func() bool { return shared.distinct() == 120 })
	s.settled(t, 20*time.Second)
}

// What earlier versions left waiting, for circuits that were named otherwise, goes on.
func TestWhatWaitsForACircuitOfAnEarlierVersionIsSent(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const insert = `
	with message as (insert into relay.outbox (topic, status, outstanding) values ('old', 'open', 1) returning *)
	insert into relay.delivery (message_id, subscription, instance, target, status, reason, circuit, due_at, shard, seq)
	select id, $1, $2, $3, 'waiting', 'circuit_open', $4, now(), shard, seq from message`
	s.exec(t, insert, "default", "", s.receiver.URL, s.receiver.URL)
	s.exec(t, insert, "default", "", s.receiver.URL, "amqp:")
	s.exec(t, insert, "direct", s.receiver.URL+"/own", s.receiver.URL+"/own", s.receiver.URL)
	s.exec(t, insert, "direct", s.receiver.URL+"/own", s.receiver.URL+"/own", "amqp:")
	harness.Eventually(t, 30*time.Second, "all have arrived", func() bool { return s.receiver.distinct() == 4 })
	s.settled(t, 20*time.Second)
}

// What rows name is looked at in parts, and what an operator configured before it.
func TestWhatWaitsForAnyNumberOfRowsTargetsIsSent(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const targets, each = 3000, 2
	const insert = `
	with message as (insert into relay.outbox (topic, status, outstanding) select 'parked', 'open', 1 from generate_series(1, $4::int) returning *),
	numbered as (select *, row_number() over () % $3 as n from message)
	insert into relay.delivery (message_id, subscription, instance, target, status, reason, circuit, due_at, shard, seq)
	select id, $1, case $1 when 'direct' then $2 || '/' || n else '' end, $2 || '/' || n, 'waiting', 'circuit_open',
		case $1 when 'direct' then $2 || '/' || n else $1 end, now(), shard, seq from numbered`
	s.exec(t, insert, "direct", s.receiver.URL, targets, targets*each)
	s.exec(t, insert, "default", s.receiver.URL, 1, 100)
	harness.Eventually(t, 15*time.Second, "what waits for the default destination has arrived", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where subscription = 'default' and status = 'handled'") == "100"
	})
	harness.Eventually(t, 60*time.Second, "all have arrived", func() bool { return s.receiver.distinct() == targets*each+100 })
	s.settled(t, 20*time.Second)
	if d := s.receiver.duplicates(); d != 0 {
		t.Errorf("%d duplicates", d)
	}
}

// limitDescriptors sets how many file descriptors a process may have. Zero means no more than it
// has. It returns what undoes it.
func limitDescriptors(t *testing.T, p *process) (undo func()) {
	t.Helper()
	pid := p.cmd.Process.Pid
	free := uint64(0)
	for ; ; free++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, free)); err != nil {
			break
		}
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, syscall.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit uint64) {
		if err := unix.Prlimit(pid, syscall.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: before.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	set(free)
	return func() { set(before.Cur) }
}

// A relay without a free file descriptor counted attempts that it could not make, and took
// every destination for one that is down.
func TestWithoutFileDescriptorsNoAttemptCounts(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_MAX_ATTEMPTS=2", "RELAY_BACKOFF=100ms")
	s.receiver.answers = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Connection", "close")
		return true
	}
	const warm, each = 200, 100
	s.insertTo(t, "warm", s.receiver.URL, warm)
	s.settled(t, 30*time.Second)
	undo := limitDescriptors(t, s.relay)
	byName := strings.Replace(s.receiver.URL, "127.0.0.1", "localhost", 1)
	s.insertTo(t, "by address", s.receiver.URL+"/{n}", each)
	s.insertTo(t, "by name", byName+"/{n}", each)
	for range each {
		s.send(t, "topic", "'default'")
	}
	const waiting = `select count(*)::text from relay.delivery where reason = 'no_resources' and attempts = 0
		and last_error like '%file descriptor%' and last_error like '%does not count%'`
	harness.Eventually(t, 30*time.Second, "all wait for file descriptors", func() bool { return s.text(t, waiting) == fmt.Sprint(3*each) })
	first := s.text(t, "select max(updated_at)::text from relay.delivery")
	harness.Eventually(t, 30*time.Second, "each destination is tried again", func() bool {
		return s.text(t, `select count(distinct circuit)::text from relay.delivery
			where reason = 'no_resources' and next_attempt_at is not null and updated_at > $1::timestamptz`, first) == "3"
	})
	undo()
	s.settled(t, 60*time.Second)
	if n := s.receiver.distinct(); n != warm+3*each {
		t.Errorf("%d arrived", n)
	}
	if odd := s.text(t, "select string_agg(distinct status || ' ' || attempts, ', ') from relay.delivery"); odd != "handled 1" {
		t.Errorf("deliveries are %q, want each handled at its first attempt", odd)
	}
	if n := s.relay.metric(`relay_notify_shortages_total{resource="file_descriptors"}`); n < 30 || n > 6*each {
		t.Errorf("%v attempts were not made for want of a descriptor", n)
	}
	log := s.relay.log.String()
	if strings.Contains(log, "destination is down") || strings.Count(log, "resource=file_descriptors") != 1 {
		t.Errorf("the log has %d warnings of it, or names a destination that is down", strings.Count(log, "resource=file_descriptors"))
	}
}
