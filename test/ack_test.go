package test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// acked is a system with one subscription, `sub`, whose HTTP consumer acknowledges.
type acked struct {
	*system
	env []string
}

// newAcked starts a system whose receiver answers 202. set is an assignment of the
// subscription's columns, or empty.
func newAcked(t *testing.T, set string, env ...string) *acked {
	t.Helper()
	address := harness.FreeAddress(t)
	a := &acked{env: append([]string{"RELAY_ACK_ADDR=" + address, "RELAY_ACK_URL=http://" + address + "/", "RELAY_BACKOFF=50ms"}, env...)}
	a.system = newSystem(t, a.env...)
	a.receiver.answers = accept
	a.exec(t, "insert into relay.subscription (name, topics, target, ack) values ('sub', '{#}', $1, 'consumer')", a.receiver.URL)
	if set != "" {
		a.exec(t, "update relay.subscription set "+set)
	}
	return a
}

func accept(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusAccepted)
	return true
}

// pushed waits for the n-th request for a message and returns where to acknowledge it.
func (a *acked) pushed(t *testing.T, id string, n int) string {
	t.Helper()
	harness.Eventually(t, 30*time.Second, fmt.Sprintf("message %s is pushed %d times", id, n), func() bool {
		return len(a.receiver.requests(id)) >= n
	})
	return a.receiver.requests(id)[n-1].header.Get("relay-ack-url")
}

// waitDelivery waits until the only delivery of a message has a status.
func (s *system) waitDelivery(t *testing.T, id, want string) {
	t.Helper()
	var got string
	harness.Eventually(t, 30*time.Second, "the delivery of "+id+" is "+want, func() bool {
		got = s.text(t, "select status::text from relay.delivery where message_id = $1", id)
		return got == want
	})
}

// post acknowledges and returns the answer's status.
func post(t testing.TB, url, body string) int {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	return response.StatusCode
}

// acks posts and compares the status. As consumers do, it posts again after 503: on a busy machine another session may
// have the row for longer than the relay waits for it.
func acks(t testing.TB, url, body string, want int) {
	t.Helper()
	got := post(t, url, body)
	for begun := time.Now(); got == http.StatusServiceUnavailable && time.Since(begun) < 30*time.Second; got = post(t, url, body) {
		<-time.After(time.Second) // as Retry-After says
	}
	if got != want {
		t.Errorf("POST %s: %d, want %d", body, got, want)
	}
}

const (
	saysHandled = `{"outcome":"handled"}`
	saysFailed  = `{"outcome":"failed","error":"no stock"}`
	saysNever   = `{"outcome":"failed","error":"no such order","retry":false}`
)

func TestAConsumerAcknowledgesOverHTTP(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "max_handle_attempts = 3")
	t.Run("handled", func(t *testing.T) {
		id := a.send(t, "topic", "'t'")
		url := a.pushed(t, id, 1)
		a.waitDelivery(t, id, "awaiting_ack")
		if got := a.status(t, id); got != "open" {
			t.Errorf("message is %s, want open", got)
		}
		acks(t, url, saysHandled, 204)
		a.waitStatus(t, id, "done")
		if got := a.text(t, "select status::text from relay.delivery where message_id = $1 and handled_at >= delivered_at and next_attempt_at is null", id); got != "handled" {
			t.Errorf("delivery is %q, want handled with its times", got)
		}
		acks(t, url, saysHandled, 409)
		acks(t, url, saysFailed, 409)
		a.counted(t, "repeated", 1)
		a.counted(t, "late", 1)
		if n := len(a.receiver.requests(id)); n != 1 {
			t.Errorf("%d pushes, want 1", n)
		}
	})
	t.Run("by a row's own destination", func(t *testing.T) {
		id := a.send(t, "topic, destination", "'t', 'sub'")
		acks(t, a.pushed(t, id, 1), saysHandled, 204)
		a.waitStatus(t, id, "done")
	})
	t.Run("failed and tried again", func(t *testing.T) {
		id := a.send(t, "topic", "'t'")
		acks(t, a.pushed(t, id, 1), saysFailed, 204)
		acks(t, a.pushed(t, id, 1), saysFailed, 204)
		a.counted(t, "repeated", 2)
		acks(t, a.pushed(t, id, 2), saysHandled, 204)
		a.waitStatus(t, id, "done")
		const tried = "select string_agg(outcome || coalesce(' ' || error, ''), ', ' order by attempt, started_at) from relay.attempt where message_id = $1"
		if got := a.text(t, tried, id); !strings.Contains(got, "handle_failed the consumer acknowledged that it failed: no stock") {
			t.Errorf("attempts: %s", got)
		}
		if got := a.text(t, "select handle_attempts::text from relay.delivery where message_id = $1", id); got != "1" {
			t.Errorf("%s handle attempts, want 1: the same was said twice", got)
		}
	})
	t.Run("failed too often", func(t *testing.T) {
		id := a.send(t, "topic", "'t'")
		for n := range 3 {
			acks(t, a.pushed(t, id, n+1), saysFailed, 204)
		}
		a.waitStatus(t, id, "dead")
		if n := len(a.receiver.requests(id)); n != 3 {
			t.Errorf("%d pushes, want 3", n)
		}
	})
	t.Run("failed for good", func(t *testing.T) {
		id := a.send(t, "topic", "'t'")
		url := a.pushed(t, id, 1)
		acks(t, url, saysNever, 204)
		a.waitStatus(t, id, "dead")
		if got := a.text(t, "select last_error from relay.delivery where message_id = $1", id); !strings.Contains(got, "no such order") {
			t.Errorf("error %q", got)
		}
		acks(t, url, saysHandled, 409)
		a.counted(t, "late", 2)
	})
	t.Run("with 200", func(t *testing.T) {
		a.receiver.answers = nil
		defer func() { a.receiver.answers = accept }()
		a.waitStatus(t, a.send(t, "topic", "'t'"), "done")
	})
}

func TestAcknowledgementsThatMeanNothing(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "")
	id := a.send(t, "topic", "'t'")
	url := a.pushed(t, id, 1)
	other := newAcked(t, "")
	// Copies of one prepared database have its key.
	other.exec(t, "update relay.ack_key set key = sha256(key)")
	if err := other.relay.stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	other.relay = start(t, other.db, other.env...)
	foreign := other.pushed(t, other.send(t, "topic", "'t'"), 1)
	base, token := url[:strings.LastIndex(url, "/")+1], foreign[strings.LastIndex(foreign, "/")+1:]
	for _, c := range []struct {
		url, body string
		want      int
	}{
		{base + token, saysHandled, 404},
		{base + strings.Repeat("A", len(token)), saysHandled, 404},
		{base + "x", saysHandled, 404},
		{base, saysHandled, 404},
		{base + token + "/more", saysHandled, 404},
		{base + token, "malformed", 404},
		{url, "", 400},
		{url, "malformed", 400},
		{url, `{"outcome":"maybe"}`, 400},
		{url, `{"outcome":"handled","error":"` + strings.Repeat("x", 20<<10) + `"}`, 400},
	} {
		acks(t, c.url, c.body, c.want)
	}
	if status, _ := get(t, url); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d, want 405", status)
	}
	for result, want := range map[string]float64{"malformed": 4, "forged": 2, "bad_body": 4, "handled": 0} {
		a.counted(t, result, want)
	}
	a.waitDelivery(t, id, "awaiting_ack")
	a.exec(t, "delete from relay.outbox where id = $1", id)
	acks(t, url, saysHandled, 404)
	a.counted(t, "unknown", 1)
}

// counted compares how many acknowledgements of a kind are counted.
func (a *acked) counted(t *testing.T, result string, want float64) {
	t.Helper()
	if got := a.relay.metric(`relay_reconcile_acknowledgements_total{result="` + result + `"}`); got != want {
		t.Errorf("%v are counted as %s, want %v", got, result, want)
	}
}

// A consumer that says that it failed, and answers so too, has failed once.
func TestAFailureToldByAnswerAndByWordCountsOnce(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"the word first": true, "the answer first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcked(t, "max_handle_attempts = 2, backoff = '{1 hour}'")
			a.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
				if early {
					acks(t, r.Header.Get("relay-ack-url"), saysFailed, 204)
				}
				w.WriteHeader(http.StatusInternalServerError)
				return false
			}
			id := a.send(t, "topic", "'t'")
			url := a.pushed(t, id, 1)
			harness.Eventually(t, 30*time.Second, "the outcome is written", func() bool { return a.deliveries(t, id) != "" })
			if !early {
				acks(t, url, saysFailed, 204)
			}
			harness.Eventually(t, 30*time.Second, "the word is applied", func() bool {
				return a.text(t, "select count(*)::text from relay.ack") == "0"
			})
			if got := a.text(t, "select status || ' ' || handle_attempts || ' ' || attempts from relay.delivery where message_id = $1", id); got != "handle_failed 1 1" {
				t.Errorf("delivery: %s, want handle_failed after 1 of 1 attempts", got)
			}
		})
	}
}

// The consumer works before it answers: its word comes before anything of the delivery is
// written, or after the relay has given up the attempt as failed.
func TestAnAcknowledgementOvertakesTheAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    string
		answer  int
		set     string
		message string
	}{
		"handled, then 202":                   {saysHandled, 202, "", "done"},
		"handled, then 500 at the last":       {saysHandled, 500, "max_attempts = 1", "done"},
		"handled, then no answer in time":     {saysHandled, 0, "max_attempts = 1, timeout = '300ms'", "done"},
		"handled, then 410":                   {saysHandled, 410, "", "done"},
		"failed for good, then 202":           {saysNever, 202, "", "dead"},
		"failed, then 202, and it was enough": {saysFailed, 202, "max_handle_attempts = 1", "dead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcked(t, c.set)
			a.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
				acks(t, r.Header.Get("relay-ack-url"), c.body, 204)
				if c.answer == 0 {
					<-r.Context().Done()
					return false
				}
				w.WriteHeader(c.answer)
				return true
			}
			id := a.send(t, "topic", "'t'")
			a.waitStatus(t, id, c.message)
			if n := len(a.receiver.requests(id)); n != 1 {
				t.Errorf("%d pushes, want 1", n)
			}
			harness.Eventually(t, 10*time.Second, "nothing is left to be applied", func() bool {
				return a.text(t, "select count(*)::text from relay.ack") == "0"
			})
		})
	}
}

func TestAnEarlyFailureCountsWhenItsAttemptIsWritten(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "")
	var once atomic.Bool
	a.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		body := saysHandled
		if once.CompareAndSwap(false, true) {
			body = saysFailed
		}
		acks(t, r.Header.Get("relay-ack-url"), body, 204)
		return accept(w, r)
	}
	id := a.send(t, "topic", "'t'")
	a.waitStatus(t, id, "done")
	if n := len(a.receiver.requests(id)); n != 2 {
		t.Errorf("%d pushes, want 2", n)
	}
}

func TestSilenceMeansAnotherPush(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "ack_timeout = '300ms', max_attempts = 3")
	id := a.send(t, "topic", "'t'")
	first := a.pushed(t, id, 1)
	a.pushed(t, id, 2)
	acks(t, first, saysHandled, 204) // an acknowledgement of any attempt counts
	a.waitStatus(t, id, "done")

	silent := a.send(t, "topic", "'t'")
	a.waitStatus(t, silent, "dead")
	if n := len(a.receiver.requests(silent)); n != 3 {
		t.Errorf("%d pushes, want 3", n)
	}
	if got := a.text(t, "select last_error from relay.delivery where message_id = $1", silent); got != "no acknowledgement within 300ms (ack_timeout) of attempt 3, which was the last (max_attempts)" {
		t.Errorf("error %q", got)
	}
	acks(t, a.pushed(t, silent, 3), saysHandled, 409)
}

// A person asks for a message that waits for its consumer's word.
func TestPeopleHurryAndCancelWhatAwaitsAnAcknowledgement(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "")
	again, cancelled := a.send(t, "topic", "'t'"), a.send(t, "topic", "'t'")
	a.waitDelivery(t, again, "awaiting_ack")
	a.waitDelivery(t, cancelled, "awaiting_ack")
	if code, out, said := a.messages(t, "retry", again); code != 0 {
		t.Errorf("retry: %d %s %s", code, out, said)
	}
	acks(t, a.pushed(t, again, 2), saysHandled, 204)
	a.waitStatus(t, again, "done")
	if code, out, said := a.messages(t, "cancel", cancelled); code != 0 {
		t.Errorf("cancel: %d %s %s", code, out, said)
	}
	acks(t, a.pushed(t, cancelled, 1), saysHandled, 409)
	if code, out, _ := a.messages(t, "show", again); code != 0 || !strings.Contains(out, "handled") {
		t.Errorf("show: %d %s", code, out)
	}
}

// What was accepted holds its key no more, whatever the consumer says of it.
func TestAKeyGoesOnWhenItsHeadIsAccepted(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "on_dead = 'block', backoff = '{1 hour}'")
	first, second := a.send(t, "topic, key", "'t', 'k'"), a.send(t, "topic, key", "'t', 'k'")
	a.pushed(t, first, 1)
	a.pushed(t, second, 1)
	a.waitDelivery(t, first, "awaiting_ack")
	acks(t, a.pushed(t, first, 1), saysFailed, 204)
	a.waitDelivery(t, first, "handle_failed")
	acks(t, a.pushed(t, second, 1), saysNever, 204)
	a.waitStatus(t, second, "dead")
	third := a.send(t, "topic, key", "'t', 'k'")
	acks(t, a.pushed(t, third, 1), saysHandled, 204)
	a.waitStatus(t, third, "done")
}

// The word on a head that did not arrive, as far as the relay could tell, frees its key.
func TestAnAcknowledgedHeadLetsItsKeyGoOn(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "backoff = '{1 hour}'")
	var broken atomic.Bool
	broken.Store(true)
	a.receiver.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return false
		}
		return accept(w, r)
	}
	head := a.send(t, "topic, key", "'t', 'k'")
	a.waitDelivery(t, head, "push_failed")
	behind := a.send(t, "topic, key", "'t', 'k'")
	a.waitDelivery(t, behind, "waiting")
	broken.Store(false)
	acks(t, a.pushed(t, head, 1), saysHandled, 204)
	acks(t, a.pushed(t, behind, 1), saysHandled, 204)
	a.waitStatus(t, head, "done")
	a.waitStatus(t, behind, "done")
}

func TestAcknowledgementsSurviveAKill(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "")
	var ids []string
	for i := range 20 {
		ids = append(ids, a.send(t, "topic, key", "'t', $1", fmt.Sprint("k", i%5)))
	}
	for _, id := range ids {
		a.pushed(t, id, 1)
	}
	a.relay.kill()
	a.relay = start(t, a.db, append(a.env, "RELAY_DEFAULT_DESTINATION="+a.receiver.URL)...)
	for i, id := range ids {
		acks(t, a.pushed(t, id, 1), saysHandled, 204)
		if i == len(ids)/2 {
			a.relay.kill()
			a.relay = start(t, a.db, append(a.env, "RELAY_DEFAULT_DESTINATION="+a.receiver.URL)...)
		}
	}
	a.settled(t, 30*time.Second)
	for _, id := range ids {
		if got := a.text(t, "select status::text from relay.delivery where message_id = $1", id); got != "handled" {
			t.Errorf("delivery is %s, want handled", got)
		}
	}
}

// Any relay of the database takes an acknowledgement, whichever relay owns the shard.
func TestAnyRelayTakesAnAcknowledgement(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "max_handle_attempts = 2")
	address := harness.FreeAddress(t)
	second := start(t, a.db, append(a.env, "RELAY_DEFAULT_DESTINATION="+a.receiver.URL, "RELAY_ACK_ADDR="+address)...)
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return a.relay.owned() == 32 && second.owned() == 32 })
	both := []string{strings.TrimPrefix(a.env[0], "RELAY_ACK_ADDR="), address}
	for i := range 16 {
		id := a.send(t, "topic", "'t'")
		url := a.pushed(t, id, 1)
		acks(t, strings.Replace(url, both[0], both[i%2], 1), saysFailed, 204)
		url = a.pushed(t, id, 2)
		acks(t, strings.Replace(url, both[0], both[i/2%2], 1), saysHandled, 204)
		a.waitStatus(t, id, "done")
	}
}

func TestWithoutAnAddressToAcknowledgeAtNothingIsSent(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(t, "insert into relay.subscription (name, topics, target, ack) values ('sub', '{#}', $1, 'consumer')", s.receiver.URL)
	id := s.send(t, "topic", "'t'")
	s.waitDelivery(t, id, "push_failed")
	if got := s.text(t, "select last_error from relay.delivery where message_id = $1", id); !strings.Contains(got, "RELAY_ACK_URL") {
		t.Errorf("error %q does not name the variable", got)
	}
	if n := len(s.receiver.requests("")); n != 0 {
		t.Errorf("%d requests", n)
	}
	diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name).names(t, "fail", "acknowledgement", "sub", "RELAY_ACK_URL")
	diagnose(t, s.db.URL, "RELAY_ACK_URL=http://127.0.0.1:9", "RELAY_ACK_ADDR=127.0.0.1:9").names(t, "fail", "acknowledgement", "sub", "RELAY_ACK_URL")
	if !strings.Contains(s.relay.log.String(), "RELAY_ACK_URL") {
		t.Error("the log does not name the variable")
	}
}

func TestTheExampleAcknowledges(t *testing.T) {
	t.Parallel()
	a := newAcked(t, "")
	address := harness.FreeAddress(t)
	example := exec.Command(harness.Build(t, "relay/examples/go/acknowledge"), address[strings.LastIndex(address, ":")+1:])
	example.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := example.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = example.Process.Kill(); _ = example.Wait() })
	a.exec(t, "update relay.subscription set target = $1, backoff = '{100 ms}'", "http://"+address)
	a.waitStatus(t, a.send(t, "topic, payload", `'order', '{"customer": "Ada"}'`), "done")
	a.waitStatus(t, a.send(t, "topic, payload", `'order', '{"cents": 1}'`), "dead")
}
