package test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"relay/test/harness"
)

// messages runs relay messages … on the system's database.
func (s *system) messages(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return run(t, "", append([]string{"messages"}, args...), "RELAY_DATABASE_URL="+s.db.URL)
}

// bare is a database with the tables, and no relay.
func bare(t testing.TB) *system {
	t.Helper()
	db := migrated.Database(t)
	return &system{db: db, app: db.App(t), admin: db.Admin(t)}
}

// switched is a receiver that fails until it is told to work.
func switched(t testing.TB) (*receiver, *atomic.Bool) {
	t.Helper()
	works := new(atomic.Bool)
	return newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if !works.Load() {
			http.Error(w, "the shop is closed", http.StatusInternalServerError)
		}
		return works.Load()
	}), works
}

func TestDeadMessagesAreRetriedBesideARunningRelay(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=2", "RELAY_RECONCILE=0-63 every 300ms")
	endpoint, works := switched(t)
	ids := make([]string, 30)
	for i := range ids {
		ids[i] = s.send(t, "topic, destination, payload", "'order.created', $1, $2", endpoint.URL, strconv.Itoa(i))
	}
	for _, id := range ids {
		s.waitStatus(t, id, "dead")
	}
	payloads := s.text(t, "select string_agg(payload, ',' order by seq) from relay.outbox")

	code, out, errs := s.messages(t, "retry", "--status=dead", "--subscription=direct", "--error=answered 500", "--since=1h")
	if code != 1 || out != "" || !strings.Contains(errs, "30 dead messages match") || !strings.Contains(errs, "say --yes") {
		t.Errorf("without a terminal: code %d, %q, %q", code, out, errs)
	}
	if n := s.text(t, "select count(*)::text from relay.outbox where status = 'dead'"); n != "30" {
		t.Errorf("%s messages are dead after nothing was retried", n)
	}
	works.Store(true)
	code, out, errs = s.messages(t, "retry", ids[0], ids[0], "--json")
	if code != 0 || out != `{"id":"`+ids[0]+`","result":"retried","ok":true}`+"\n" {
		t.Errorf("by id: code %d, %q, %q", code, out, errs)
	}
	begun := time.Now()
	code, out, errs = s.messages(t, "retry", "--status=dead", "--topic=order.*", "--yes", "--rate=20", "--wait")
	if code != 0 || !strings.Contains(out, ": done, 29 of 29\n") || !strings.Contains(errs, "29 dead messages match") {
		t.Errorf("by filter: code %d, %q, %q", code, out, errs)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("29 messages at 20 a second took %s", took)
	}
	for _, id := range ids {
		s.waitStatus(t, id, "done")
		if n := endpoint.accepted(id); n != 1 {
			t.Errorf("message %s came %d times", id, n)
		}
	}
	if now := s.text(t, "select string_agg(payload, ',' order by seq) from relay.outbox"); now != payloads {
		t.Error("payloads have changed")
	}
	if code, out, _ = s.messages(t, "retry", ids[0]); code != 1 || out != ids[0]+"  ended well: handled by direct\n" {
		t.Errorf("what is done: code %d, %q", code, out)
	}
	if code, out, _ = s.messages(t, "retry", ids[0], "--force"); code != 0 || out != ids[0]+"  retried\n" {
		t.Errorf("with force: code %d, %q", code, out)
	}
	harness.Eventually(t, 20*time.Second, "it came again", func() bool { return endpoint.accepted(ids[0]) == 2 })
}

func TestARetryMakesAWaitingDeliveryDueAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	endpoint, works := switched(t)
	id := s.send(t, "topic, destination", "'t', $1", endpoint.URL)
	s.waitStatus(t, id, "open")
	works.Store(true)
	if code, out, errs := s.messages(t, "retry", id); code != 0 {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	s.waitStatus(t, id, "done")
	if n := s.text(t, "select attempts::text from relay.delivery where message_id = $1", id); n != "2" {
		t.Errorf("%s attempts", n)
	}
}

func TestCancelBesideARunningRelay(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1s")
	release := make(gate)
	slow := newReceiver(t, release.answer)
	failing, _ := switched(t)
	inFlight := s.send(t, "topic, destination", "'t', $1", slow.URL)
	open := s.send(t, "topic, destination", "'t', $1", failing.URL)
	delayed := s.send(t, "topic, deliver_at", "'t', now() + interval '1 hour'")
	done := s.send(t, "topic", "'t'")
	s.waitStatus(t, open, "open")
	s.waitStatus(t, done, "done")
	harness.Eventually(t, 20*time.Second, "one is in flight", func() bool { return len(slow.requests(inFlight)) == 1 })
	code, out, errs := s.messages(t, "cancel", inFlight, open, delayed, done)
	close(release)
	if code != 1 || out != inFlight+"  cancelled\n"+open+"  cancelled\n"+delayed+"  cancelled\n"+done+"  ended well: handled by default\n" ||
		!strings.Contains(errs, "1 of 4 messages failed") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	harness.Eventually(t, 20*time.Second, "the relay has nothing in flight", func() bool {
		return s.relay.metric("relay_reconcile_in_flight_messages") == 0
	})
	for _, id := range []string{inFlight, open, delayed} {
		if got := s.text(t, "select concat_ws(' ', status, outstanding, finished_at is not null) from relay.outbox where id = $1", id); got != "cancelled 0 t" {
			t.Errorf("message %s is %s", id, got)
		}
	}
	if n := s.text(t, "select count(*)::text from relay.delivery where status not in ('cancelled', 'handled')"); n != "0" {
		t.Errorf("%s deliveries go on", n)
	}
	before := len(failing.requests(""))
	sentinel := s.send(t, "topic, deliver_at", "'t', now() + interval '1.5 seconds'")
	s.waitStatus(t, sentinel, "done")
	if n := len(failing.requests("")); n > before {
		t.Errorf("%d requests after the cancel", n-before)
	}
}

func TestRetryAndCancelManyWhileARelayDelivers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=20ms", "RELAY_MAX_ATTEMPTS=2", "RELAY_RECONCILE=0-63 every 100ms")
	endpoint, works := switched(t)
	s.exec(t, `insert into relay.outbox (topic, destination) select 't', $1::text from generate_series(1, 1000)`, endpoint.URL)
	harness.Eventually(t, 30*time.Second, "some are dead", func() bool {
		return s.text(t, "select (count(*) > 100)::text from relay.outbox where status = 'dead'") == "true"
	})
	for _, args := range [][]string{{"cancel", "--status=open", "--yes", "--wait"}, {"retry", "--status=dead", "--yes", "--wait"}, {"cancel", "--status=pending", "--yes", "--wait"}} {
		if _, _, errs := s.messages(t, args...); strings.Contains(errs, "SQLSTATE") {
			t.Errorf("%v: %s", args, errs)
		}
	}
	works.Store(true)
	harness.Eventually(t, 60*time.Second, "all others are retried until they are done", func() bool {
		s.messages(t, "retry", "--status=dead", "--yes", "--wait")
		return s.text(t, "select count(*)::text from relay.outbox where status not in ('done', 'cancelled')") == "0"
	})
	s.settled(t, 20*time.Second)
	if n := s.text(t, "select count(*)::text from relay.job_result where result = 'locked'"); n != "0" {
		t.Errorf("%s messages could not be had", n)
	}
	if n := s.text(t, `select count(*)::text from relay.outbox o where status = 'done'
		and not exists (select from relay.delivery d where d.message_id = o.id and d.status = 'handled')`); n != "0" {
		t.Errorf("%s messages are done and were never handled", n)
	}
}

func TestMessagesOfAnEmptyTableAndOfARoleThatMayNot(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := &system{db: db}
	for _, args := range [][]string{{"messages", "list"}, {"messages", "retry", "--status=dead", "--yes"}, {"status"}} {
		if code, out, errs := run(t, "", args, "RELAY_DATABASE_URL="+db.URL); code != 1 || out != "" || !strings.Contains(errs, "run relay migrate") {
			t.Errorf("%v without tables: code %d, %q, %q", args, code, out, errs)
		}
	}
	prepare(t, db)
	const id = "01890000-0000-7000-8000-000000000001"
	for _, args := range [][]string{{"list"}, {"list", "--status=pending"}, {"show", id}, {"retry", id}, {"cancel", id}, {"copy", id}, {"cancel", "--status=dead", "-y"}} {
		code, out, errs := run(t, "", append([]string{"messages"}, args...), "RELAY_DATABASE_URL="+db.AppURL)
		if code != 1 || out != "" || !strings.Contains(errs, "use the relay's own role") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v as the application: code %d, %q, %q", args, code, out, errs)
		}
	}
	if code, out, _ := s.messages(t, "list"); code != 0 || out != "no messages\n" {
		t.Errorf("list: code %d, %q", code, out)
	}
	if code, out, errs := s.messages(t, "list", "--json"); code != 0 || out != "" || errs != "" {
		t.Errorf("list --json: code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := s.messages(t, "retry", "--status=dead"); code != 0 || out != "" || errs != "0 dead messages match\n" {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	for _, command := range []string{"retry", "cancel"} {
		if code, out, _ := s.messages(t, command, id); code != 1 || out != id+"  not found\n" {
			t.Errorf("%s: code %d, %q", command, code, out)
		}
	}
	for _, command := range []string{"show", "copy"} {
		if code, _, errs := s.messages(t, command, id); code != 1 || !strings.Contains(errs, "there is no such message") {
			t.Errorf("%s: code %d, %q", command, code, errs)
		}
	}
	for _, args := range [][]string{{"retry"}, {"retry", "--topic=a"}, {"retry", "--status=done"}, {"cancel", "--status=done"}, {"retry", id, "--status=dead"}, {"list", "--since=x"}, {"list", "--limit=0"}} {
		if code, _, errs := s.messages(t, args...); code != 2 || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: code %d, %q", args, code, errs)
		}
	}
}

func TestListPagesAndFitsATerminal(t *testing.T) {
	t.Parallel()
	s := bare(t)
	s.exec(t, `insert into relay.outbox (topic, key, destination, status, last_error, payload, created_at)
		select repeat('topic.', 20) || n, 'k' || n, 'http://u:hunter2@h/?k=hunter2', 'dead', e'a \x1b[31mlong\n' || repeat('error ', 50), '{"p": "hunter2"}', now() - n * interval '1 hour'
		from generate_series(1, 25) n`)
	var seen []string
	var lines int
	for after := []string{}; ; lines++ {
		code, out, errs := s.messages(t, append([]string{"list", "--limit=10", "--status=dead"}, after...)...)
		if code != 0 || strings.Contains(out, "hunter2") || strings.Contains(out, "\x1b") {
			t.Fatalf("code %d, %q, %q", code, out, errs)
		}
		for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
			if n := utf8.RuneCountInString(line); n > 100 {
				t.Errorf("a line of %d columns: %s", n, line)
			}
			if i > 0 {
				seen = append(seen, line[:36])
			}
		}
		_, next, more := strings.Cut(strings.TrimSpace(errs), "--after ")
		if !more {
			break
		}
		after = []string{"--after", next}
	}
	slices.Sort(seen)
	if lines != 2 || len(seen) != 25 || len(slices.Compact(seen)) != 25 {
		t.Errorf("%d messages in %d pages", len(seen), lines+1)
	}
	code, out, errs := s.messages(t, "list", "--json", "--since=150m")
	var first struct{ ID, Status, Key, Destination string }
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &first); err != nil || code != 0 || strings.Count(out, "\n") != 2 ||
		first.Status != "dead" || first.Destination != "http://h/?…" || strings.Contains(out, "hunter2") {
		t.Errorf("code %d, %q, %q: %v", code, out, errs, err)
	}
}

func TestShowTellsAllOfAMessage(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=20ms", "RELAY_MAX_ATTEMPTS=2")
	endpoint, works := switched(t)
	target := strings.Replace(endpoint.URL, "//", "//u:hunter2@", 1)
	id := s.send(t, "topic, key, destination, payload, headers", `'order.created', 'k', $1, '{"secret": "cargo"}', '{"a": "b"}'`, target)
	s.waitStatus(t, id, "dead")
	code, out, errs := s.messages(t, "show", id)
	for _, want := range []string{"status        dead, ended ", "topic         order.created\n", "key           k\n", "header        a: b\n", "delivery      direct, " + endpoint.URL + ": dead, attempts: 2",
		"attempt 1", "attempt 2", "handle_failed after", "the shop is closed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != 0 || errs != "" || strings.Contains(out, "cargo") || strings.Contains(out, "hunter2") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	if _, out, _ = s.messages(t, "show", id, "--payload"); !strings.HasSuffix(out, "payload:\n{\"secret\": \"cargo\"}\n") {
		t.Errorf("with the payload:\n%s", out)
	}
	var got struct {
		Status, Destination string
		Headers             map[string]string
		Payload             *struct{ Text, Hex string }
		Deliveries          []struct{ Subscription, Instance, Status string }
		Attempts            []struct {
			Attempt  int
			Response struct{ Text string }
		}
	}
	code, out, errs = s.messages(t, "show", id, "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Payload != nil || len(got.Deliveries) != 1 || len(got.Attempts) != 2 ||
		got.Attempts[1].Attempt != 2 || !strings.HasPrefix(got.Attempts[0].Response.Text, "the shop is closed") || got.Headers["a"] != "b" || strings.Contains(out, "hunter2") {
		t.Errorf("code %d, %q, %q: %v", code, out, errs, err)
	}
	works.Store(true)
	code, out, errs = s.messages(t, "copy", id)
	copied := strings.TrimSpace(out)
	if code != 0 || len(copied) != 36 || copied == id {
		t.Fatalf("copy: code %d, %q, %q", code, out, errs)
	}
	s.waitStatus(t, copied, "done")
	if s.status(t, id) != "dead" || endpoint.accepted(copied) != 1 {
		t.Error("the copy went another way than the message")
	}
	binary := s.send(t, "topic, body, content_type", `'t', '\x00ff', 'x/y'`)
	if _, out, _ = s.messages(t, "show", binary, "--payload"); !strings.HasSuffix(out, "payload:\n00ff\n") {
		t.Errorf("binary:\n%s", out)
	}
}

// openTerminal returns both ends of a terminal.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestAPersonIsAskedOnATerminal(t *testing.T) {
	t.Parallel()
	s := bare(t)
	s.exec(t, "insert into relay.outbox (topic, status) values ('t', 'dead')")
	for _, tt := range []struct{ answer, jobs string }{{"\n", "0"}, {"no\n", "0"}, {"y\n", "1"}} {
		person, program := openTerminal(t)
		cmd := command(t, []string{"messages", "cancel", "--status=dead"}, "RELAY_DATABASE_URL="+s.db.URL)
		var errs logBuffer
		cmd.Stdin, cmd.Stderr = program, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, "it asks", func() bool { return strings.Contains(errs.String(), "cancel them? [y/N] ") })
		if _, err := person.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		jobs := "select count(*)::text from relay.job where kind = 'cancel' and total = 1"
		if err := cmd.Wait(); (err == nil) != (tt.jobs == "1") || s.text(t, jobs) != tt.jobs {
			t.Errorf("after %q: %v, %s jobs\n%s", tt.answer, err, s.text(t, jobs), &errs)
		}
	}
}

// TestEachAttemptKeepsItsCause: a delivery that failed for several causes, one after the other, tells each of them.
func TestEachAttemptKeepsItsCause(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=10ms")
	answers := map[string]int{"1": http.StatusInternalServerError, "2": http.StatusNotFound, "3": http.StatusServiceUnavailable, "4": http.StatusTeapot}
	endpoint := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		code := answers[r.Header.Get("relay-attempt")]
		if code != 0 {
			w.WriteHeader(code)
		}
		return code == 0
	})
	id := s.send(t, "topic, destination", "'order.created', $1", endpoint.URL)
	s.waitStatus(t, id, "done")
	var shown struct {
		Attempts []struct{ Cause string }
	}
	code, out, errs := s.messages(t, "show", id, "--json")
	if err := json.Unmarshal([]byte(out), &shown); code != 0 || err != nil {
		t.Fatalf("relay messages show: code %d, %v, %s%s", code, err, out, errs)
	}
	var causes []string
	for _, a := range shown.Attempts {
		causes = append(causes, a.Cause)
	}
	if want := []string{"http 500", "http 404", "http 503", "http 418", ""}; !slices.Equal(causes, want) {
		t.Errorf("the attempts failed for %q, want %q", causes, want)
	}
}
