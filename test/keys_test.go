package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// keys runs relay keys … on the system's database.
func (s *system) keys(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return run(t, "", append([]string{"keys"}, args...), "RELAY_DATABASE_URL="+s.db.URL)
}

// refusingBad is a receiver that fails messages of the topic bad until it is told to take them.
func refusingBad(t testing.TB) (*receiver, *atomic.Bool) {
	t.Helper()
	takes := new(atomic.Bool)
	return newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") == "bad" && !takes.Load() {
			w.WriteHeader(500)
			return false
		}
		return true
	}), takes
}

// soon is how long a change by hand may take to have its effect, measured from the end of
// the command, on a machine that has other things to do.
const soon = 2 * time.Second

func TestADeadHeadIsListedAndSkipped(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_MAX_ATTEMPTS=1", "RELAY_RECONCILE=0-63 every 1h")
	endpoint, _ := refusingBad(t)
	s.exec(t, `insert into relay.subscription (name, topics, target, on_dead) values ('blocks', '{#}', $1, 'block'), ('other', '{#}', $2, 'block')`, endpoint.URL, s.receiver.URL)
	if _, out, _ := s.keys(t, "list"); out != "no keys wait\n" {
		t.Errorf("nothing: %q", out)
	}
	dead := s.send(t, "topic, key", "'bad', 'k'")
	s.waitStatus(t, dead, "dead")
	var behind []string
	for range 3 {
		behind = append(behind, s.send(t, "topic, key", "'good', 'k'"))
	}
	for _, id := range behind {
		harness.Eventually(t, 20*time.Second, "they wait", func() bool { return s.deliveries(t, id) == "blocks waiting, other handled" })
	}
	code, out, errs := s.keys(t, "list", "--subscription=blocks", "--json")
	var got struct {
		Subscription, Key, Status string
		Error                     string `json:"last_error"`
		Message                   string `json:"message_id"`
		Since                     time.Time
		Waiting                   struct{ N int }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Subscription != "blocks" || got.Key != "k" || got.Status != "dead" ||
		got.Message != dead || got.Waiting.N != 3 || !strings.Contains(got.Error, "500") || time.Since(got.Since) > time.Minute {
		t.Errorf("list: code %d, %q, %q: %v", code, out, errs, err)
	}
	if _, out, _ := s.keys(t, "list"); !strings.Contains(out, "blocks        k    "+dead+"  dead") {
		t.Errorf("list:\n%s", out)
	}
	if code, out, errs := s.keys(t, "skip", "k", "--subscription=other"); code != 1 || out != "" || !strings.Contains(errs, `key "k" does not wait at "other"`) {
		t.Errorf("skip of what does not wait: code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := s.keys(t, "skip", "k", "--subscription=blocks"); code != 0 || out != dead+"  skipped\n" {
		t.Errorf("skip: code %d, %q, %q", code, out, errs)
	}
	harness.Eventually(t, soon, "the key goes on", func() bool { return endpoint.distinct() == 3 })
	for _, id := range behind {
		s.waitStatus(t, id, "done")
	}
	if got := s.deliveries(t, dead) + ", " + s.status(t, dead); got != "blocks cancelled, other handled, done" {
		t.Error(got)
	}
}

func TestADeadHeadIsRetriedAloneAndFirst(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_MAX_ATTEMPTS=1", "RELAY_RECONCILE=0-63 every 1h")
	endpoint, takes := refusingBad(t)
	s.exec(t, `insert into relay.subscription (name, topics, target, on_dead) values ('blocks', '{#}', $1, 'block'), ('other', '{#}', $2, 'block')`, endpoint.URL, s.receiver.URL)
	dead := s.send(t, "topic, key", "'bad', 'k'")
	s.waitStatus(t, dead, "dead")
	behind := s.send(t, "topic, key", "'good', 'k'")
	harness.Eventually(t, 20*time.Second, "it waits", func() bool { return s.deliveries(t, behind) == "blocks waiting, other handled" })
	if code, out, errs := s.keys(t, "retry", "k", "--subscription=blocks"); code != 0 || out != dead+"  retried\n" {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	harness.Eventually(t, soon, "it is sent again", func() bool { return len(endpoint.requests(dead)) == 2 })
	s.waitStatus(t, dead, "dead")
	if endpoint.distinct() != 0 {
		t.Error("what is behind it has passed a message that died again")
	}
	takes.Store(true)
	if code, out, errs := s.keys(t, "retry", "k", "--subscription=blocks", "--json"); code != 0 || out != `{"message_id":"`+dead+`","result":"retried","ok":true}`+"\n" {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	harness.Eventually(t, soon, "both have arrived", func() bool { return endpoint.distinct() == 2 })
	s.waitStatus(t, dead, "done")
	s.waitStatus(t, behind, "done")
	if n := len(s.receiver.requests(dead)); n != 1 {
		t.Errorf("the other subscriber was asked %d times", n)
	}
}

func TestAFailingHeadIsRetriedOrCancelledByHand(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h", "RELAY_RECONCILE=0-63 every 1h")
	endpoint, takes := refusingBad(t)
	s.exec(t, `insert into relay.subscription (name, topics, target) values ('sub', '{#}', $1)`, endpoint.URL)
	head := func() (head, behind string) {
		head = s.send(t, "topic, key", "'bad', 'k'")
		harness.Eventually(t, 20*time.Second, "it has failed", func() bool { return s.deliveries(t, head) == "sub handle_failed" })
		behind = s.send(t, "topic, key", "'good', 'k'")
		harness.Eventually(t, 20*time.Second, "it waits", func() bool { return s.deliveries(t, behind) == "sub waiting" })
		return head, behind
	}
	first, second := head()
	if code, out, errs := s.keys(t, "skip", "k", "--subscription=sub"); code != 1 || out != first+"  not dead\n" || !strings.Contains(errs, "relay messages cancel "+first+" --subscription sub") {
		t.Errorf("skip: code %d, %q, %q", code, out, errs)
	}
	if code, _, errs := s.messages(t, "cancel", first); code != 0 {
		t.Error(errs)
	}
	harness.Eventually(t, soon, "the key goes on after a cancel", func() bool { return endpoint.accepted(second) == 1 })
	first, second = head()
	takes.Store(true)
	if code, out, errs := s.keys(t, "retry", "k", "--subscription=sub"); code != 0 || out != first+"  retried\n" {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	harness.Eventually(t, soon, "the key goes on after a retry", func() bool { return endpoint.accepted(second) == 1 })
	if endpoint.accepted(first) != 1 {
		t.Error("the head was passed over")
	}
}

func TestADeadHeadThatBlocksIsCancelledOrRetriedAsAMessage(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_MAX_ATTEMPTS=1", "RELAY_RECONCILE=0-63 every 200ms")
	endpoint, takes := refusingBad(t)
	s.exec(t, `insert into relay.subscription (name, topics, target, on_dead) values ('blocks', '{#}', $1, 'block')`, endpoint.URL)
	for _, verb := range []string{"cancel", "retry"} {
		dead := s.send(t, "topic, key", "'bad', 'k'")
		s.waitStatus(t, dead, "dead")
		behind := s.send(t, "topic, key", "'good', 'k'")
		harness.Eventually(t, 20*time.Second, "it waits", func() bool { return s.deliveries(t, behind) == "blocks waiting" })
		takes.Store(verb == "retry")
		if code, _, errs := s.messages(t, verb, dead); code != 0 {
			t.Error(errs)
		}
		harness.Eventually(t, soon, "the key goes on after "+verb, func() bool { return endpoint.accepted(behind) == 1 })
		if endpoint.accepted(dead) == 1 != (verb == "retry") {
			t.Errorf("after %s: the dead one came %d times", verb, endpoint.accepted(dead))
		}
	}
}

// A message that had ended and is sent again as a whole does not hold up its key, however
// often it fails again.
func TestAMessageSentAgainDoesNotHoldItsKey(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	var gone atomic.Bool
	endpoint := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Header.Get("ce-type") != "bad":
			return true
		case gone.CompareAndSwap(false, true):
			w.WriteHeader(http.StatusGone)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
		return false
	})
	s.exec(t, `insert into relay.subscription (name, topics, target) values ('sub', '{#}', $1)`, endpoint.URL)
	bad := s.send(t, "topic, key", "'bad', 'k'")
	s.waitStatus(t, bad, "dead")
	if code, _, errs := s.messages(t, "retry", bad); code != 0 {
		t.Fatalf("retry: %s", errs)
	}
	harness.Eventually(t, 20*time.Second, "it fails again", func() bool { return s.deliveries(t, bad) == "sub handle_failed" })
	s.waitStatus(t, s.send(t, "topic, key", "'good', 'k'"), "done")
}
