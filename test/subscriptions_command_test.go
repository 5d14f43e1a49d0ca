package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// subscriptions runs relay subscriptions … on the system's database.
func (s *system) subscriptions(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return run(t, "", append([]string{"subscriptions"}, args...), "RELAY_DATABASE_URL="+s.db.URL)
}

const testSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func TestSubscriptionsAreSetAndListed(t *testing.T) {
	t.Parallel()
	s := bare(t)
	if code, out, errs := s.subscriptions(t, "list"); code != 0 || out != "no subscriptions\n" {
		t.Errorf("none: code %d, %q, %q", code, out, errs)
	}
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := s.subscriptions(t, "set", "shop", "--topics=order.#,stock.*", "--topics=other", "--target=http://user:hunter2@shop.example/in?token=hunter2",
		"--paused", "--no-ordered", "--ack-timeout=2m", "--timeout=1500ms", "--concurrency=3", "--rate-limit=2.5", "--max-attempts=4", "--max-handle-attempts=1",
		"--backoff=1s,1m", "--on-dead=block", "--secrets-file", file, "--header=authorization=hunter2", "--header=x-shop=1")
	if code != 0 || out != "shop  created\n" || errs != "" {
		t.Fatalf("set: code %d, %q, %q", code, out, errs)
	}
	code, out, errs = s.subscriptions(t, "list", "--json")
	want := `"name":"shop","state":"paused","outstanding":{"n":0,"precision":"exact","by_status":{}},"dead":{"n":0,"precision":"exact"},"topics":["order.#","stock.*","other"],"target":"http://shop.example/in?…",` +
		`"target_hidden":"a user, a password, a query and the end of a long path segment may be secrets","paused":true,"ordered":false,` +
		`"broadcast":false,"ack":"response","ack_timeout_seconds":120,"timeout_seconds":1.5,"concurrency":3,"rate_limit":2.5,"max_attempts":4,"max_handle_attempts":1,` +
		`"backoff_seconds":[1,60],"on_dead":"block","secrets":1,"headers":["authorization","x-shop"]`
	if code != 0 || !strings.Contains(out, want) || strings.Contains(out, "hunter2") {
		t.Errorf("list: code %d, %q\n%s\nwant %s", code, errs, out, want)
	}
	code, out, errs = s.subscriptions(t, "set", "shop", "--no-paused", "--timeout=default", "--backoff=default", "--concurrency=default", "--rate-limit=default",
		"--max-attempts=default", "--max-handle-attempts=default", "--secrets=default", "--header=")
	if code != 0 || out != "shop  changed\n" {
		t.Fatalf("set again: code %d, %q, %q", code, out, errs)
	}
	row := s.text(t, `select concat_ws(' ', topics, paused, ordered, ack_timeout, on_dead, headers, timeout, backoff, concurrency, rate_limit, max_attempts, max_handle_attempts, secrets) from relay.subscription`)
	if row != "{order.#,stock.*,other} f f 00:02:00 block {}" {
		t.Errorf("only what was given changes, and default takes back: %q", row)
	}
	if _, out, _ = s.subscriptions(t, "list"); !strings.Contains(out, "shop  active  0") || strings.Contains(out, "hunter2") {
		t.Errorf("list:\n%s", out)
	}
}

func TestABadSettingNamesItsOption(t *testing.T) {
	t.Parallel()
	s := bare(t)
	for _, tt := range []struct{ name, option, says string }{
		{"sub", "--topics=a", "--target: a value is needed"},
		{"sub", "--target=http://h/", "--topics: a value is needed"},
		{"sub", "--target=ftp://h/", "--target: "},
		{"sub", "--target=other", "--target: a subscription cannot lead to another one"},
		{"sub", "--topics=a,,b", "--topics: "},
		{"sub", "--timeout=soon", "--timeout: "},
		{"sub", "--timeout=25h", "--timeout"},
		{"sub", "--backoff=1s,0s", "--backoff: "},
		{"sub", "--backoff=10000h", "--backoff"},
		{"sub", "--concurrency=0", "--concurrency: "},
		{"sub", "--rate-limit=NaN", "--rate-limit: "},
		{"sub", "--max-attempts=many", "--max-attempts: "},
		{"sub", "--max-handle-attempts=-1", "--max-handle-attempts: "},
		{"sub", "--ack=never", "--ack"},
		{"sub", "--on-dead=explode", "--on-dead"},
		{"sub", "--secrets=hunter2", "--secrets: "},
		{"sub", "--secrets-file=/does/not/exist", "--secrets-file: "},
		{"sub", "--header=nothing", "--header "},
		{"sub", "--header=webhook-id=x", "--header: "},
		{"a:b", "--paused", "NAME: "},
		{"direct", "--paused", "NAME: "},
	} {
		args := []string{"set", tt.name, tt.option}
		for _, needed := range []string{"--topics=t", "--target=http://h/"} {
			if !strings.HasPrefix(tt.option, needed[:8]) && !strings.Contains(tt.says, "a value is needed") {
				args = append(args, needed)
			}
		}
		code, out, errs := s.subscriptions(t, args...)
		if code == 0 || out != "" || !strings.Contains(errs, tt.says) || strings.Contains(errs, "hunter2") {
			t.Errorf("%s: code %d, %q, %q, want %q", tt.option, code, out, errs, tt.says)
		}
	}
	if code, _, errs := s.subscriptions(t, "set", "sub"); code == 0 || !strings.Contains(errs, "at least one setting") {
		t.Errorf("nothing to set: code %d, %q", code, errs)
	}
	if n := s.text(t, "select count(*)::text from relay.subscription"); n != "0" {
		t.Errorf("%s subscriptions were made", n)
	}
	for _, args := range [][]string{{"pause", "none"}, {"resume", "none"}, {"test", "none"}, {"delete", "none"}, {"delete", "none", "--force"}} {
		if code, out, errs := s.subscriptions(t, args...); code != 1 || out != "" || !strings.Contains(errs, `no subscription "none"`) {
			t.Errorf("%s: code %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestPauseResumeAndTestBesideARunningRelay(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	endpoint, works := switched(t)
	works.Store(true)
	if code, _, errs := s.subscriptions(t, "set", "shop", "--topics=order.#", "--target="+endpoint.URL, "--max-handle-attempts=1"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := s.subscriptions(t, "set", "all", "--topics=#", "--target="+s.receiver.URL); code != 0 {
		t.Fatal(errs)
	}
	code, out, errs := s.subscriptions(t, "test", "shop", "--json")
	var got struct {
		ID, Status string
		Deliveries []struct{ Subscription, Status string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Status != "done" || len(got.Deliveries) != 1 || got.Deliveries[0].Subscription != "shop" || got.Deliveries[0].Status != "handled" {
		t.Errorf("test: code %d, %q, %q: %v", code, out, errs, err)
	}
	if requests := endpoint.requests(got.ID); len(requests) != 1 || requests[0].header.Get("ce-type") != "relay.test" {
		t.Errorf("%d requests", len(requests))
	}
	if s.receiver.distinct() != 0 {
		t.Error("the test message went to another subscription too")
	}
	works.Store(false)
	code, out, errs = s.subscriptions(t, "test", "shop", "--topic=order.test")
	if code != 1 || !strings.Contains(out, "shop, "+endpoint.URL+": dead, attempts: 1") || !strings.Contains(errs, "is dead") {
		t.Errorf("test of what fails: code %d, %q, %q", code, out, errs)
	}
	works.Store(true)
	if code, out, errs := s.subscriptions(t, "pause", "shop"); code != 0 || out != "shop  paused\n" {
		t.Errorf("pause: code %d, %q, %q", code, out, errs)
	}
	paused := s.send(t, "topic", "'order.created'")
	harness.Eventually(t, 20*time.Second, "the list shows what waits", func() bool {
		_, out, _ := s.subscriptions(t, "list", "--json")
		return strings.Contains(out, `"name":"shop","state":"paused","outstanding":{"n":1,"precision":"exact","by_status":{"waiting":1}`)
	})
	if code, out, errs = s.subscriptions(t, "test", "shop", "--wait=2s"); code != 1 || !strings.Contains(out, "waiting (paused)") {
		t.Errorf("test of a paused one: code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := s.subscriptions(t, "resume", "shop"); code != 0 || out != "shop  resumed\n" {
		t.Errorf("resume: code %d, %q, %q", code, out, errs)
	}
	s.waitStatus(t, paused, "done")
	if code, out, errs := s.subscriptions(t, "delete", "shop"); code != 0 || out != "shop  deleted\n" {
		t.Errorf("delete: code %d, %q, %q", code, out, errs)
	}
}

func TestDeleteWithForceCancelsVisibly(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	s.exec(t, `insert into relay.subscription (name, topics, target) values ('failing', '{#}', $1), ('good', '{a.#}', $2)`, failing.URL, s.receiver.URL)
	both := []string{s.send(t, "topic, key", "'a.x', 'k'"), s.send(t, "topic, key", "'a.x', 'k'")}
	alone := s.send(t, "topic", "'b'")
	for _, id := range append(both, alone) {
		s.waitStatus(t, id, "open")
	}
	code, out, errs := s.subscriptions(t, "delete", "failing")
	if code != 1 || out != "" || !strings.Contains(errs, "outstanding: 3;") || !strings.Contains(errs, "--force") {
		t.Errorf("without force: code %d, %q, %q", code, out, errs)
	}
	for _, id := range both {
		harness.Eventually(t, 20*time.Second, "the good one has it", func() bool { return strings.HasSuffix(s.deliveries(t, id), "good handled") })
	}
	if code, out, errs = s.subscriptions(t, "delete", "--force", "failing"); code != 0 || out != "failing  deleted, 3 deliveries cancelled\n" {
		t.Errorf("with force: code %d, %q, %q", code, out, errs)
	}
	for _, id := range both {
		if got := s.deliveries(t, id) + ", " + s.status(t, id); got != "failing cancelled, good handled, done" {
			t.Error(got)
		}
	}
	if got := s.status(t, alone); got != "cancelled" {
		t.Errorf("what no other subscription receives is %s", got)
	}
	if says := s.text(t, "select string_agg(distinct last_error, ',') from relay.delivery where status = 'cancelled'"); says != "cancelled because its subscription was deleted" {
		t.Errorf("error %q", says)
	}
}

func TestSubscriptionOptionsAreExplained(t *testing.T) {
	t.Parallel()
	_, out, _ := run(t, "", []string{"subscriptions", "set", "--help"})
	for column := range strings.FieldsSeq("topics target paused ordered broadcast ack ack-timeout timeout concurrency rate-limit max-attempts max-handle-attempts backoff on-dead secrets header") {
		if !strings.Contains(out, "--"+column) && !strings.Contains(out, "--[no-]"+column) {
			t.Errorf("--help says nothing of --%s\n%s", column, out)
		}
	}
}
