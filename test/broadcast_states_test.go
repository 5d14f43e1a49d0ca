package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// refusesBad makes an instance fail messages of the topic bad until it is told to take them.
func (f *fleet) refusesBad(i int) *atomic.Bool {
	takes := new(atomic.Bool)
	f.instances[i].answers = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("ce-type") == "bad" && !takes.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		return true
	}
	return takes
}

// waitStates waits until a message's deliveries are as states prints them.
func (f *fleet) waitStates(t testing.TB, id, want string) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the deliveries of "+id+" are "+want, func() bool { return f.states(t, id) == want })
}

// A message that died at one instance holds its key there, and nowhere else.
func TestADeadBroadcastBlocksItsKeyAtItsInstanceAlone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, "RELAY_MAX_ATTEMPTS=2", "RELAY_BACKOFF=50ms", "RELAY_RECONCILE=0-63 every 1s", "RELAY_LEASE_TTL=1s")
	f.all(t)
	takes := f.refusesBad(1)
	f.subscribe(t, ", on_dead", ", 'block'")
	heads := []string{f.send(t, "topic, key", "'bad', 'skipped'"), f.send(t, "topic, key", "'bad', 'retried'")}
	var behind []string
	for _, key := range []string{"skipped", "skipped", "retried", "retried"} {
		behind = append(behind, f.send(t, "topic, key", "'good', $1", key))
	}
	for _, id := range heads {
		f.waitStates(t, id, "1 handled, 2 dead")
	}
	for _, id := range behind {
		f.waitStates(t, id, "1 handled, 2 waiting")
	}
	f.waitStatus(t, f.send(t, "topic, key", "'good', 'other'"), "done")
	f.relay.kill()
	f.start(t)
	late := f.send(t, "topic, key", "'good', 'skipped'")
	f.waitStates(t, late, "1 handled, 2 waiting")
	<-time.After(2 * time.Second) // sweeps and the look at all keys after the start
	if n := f.instances[1].distinct(); n != 1 {
		t.Errorf("%d messages passed at the instance where their heads died", n)
	}
	code, out, errs := f.keys(t, "skip", "skipped", "--subscription=sub")
	if code != 0 || !strings.Contains(out, heads[0]+"  skipped") || strings.Count(out, "\n") != 1 {
		t.Errorf("skip: code %d, %q, %q", code, out, errs)
	}
	for _, id := range append(behind[:2:2], late) {
		f.waitStatus(t, id, "done")
	}
	takes.Store(true)
	if code, out, errs := f.keys(t, "retry", "retried", "--subscription=sub"); code != 0 || !strings.Contains(out, heads[1]+"  retried") {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	for _, id := range append(behind[2:], heads[1]) {
		f.waitStatus(t, id, "done")
	}
	if got := f.states(t, heads[0]) + ", " + f.status(t, heads[0]); got != "1 handled, 2 cancelled, done" {
		t.Errorf("the skipped one: %s", got)
	}
	if n := len(f.instances[0].requests("")); n != 8 {
		t.Errorf("the other instance was asked %d times for 8 messages", n)
	}
}

// Each instance has a token of its own, and its word counts for itself alone.
func TestEachInstanceOfABroadcastAcknowledges(t *testing.T) {
	t.Parallel()
	at := harness.FreeAddress(t)
	f := newFleet(t, 3, "RELAY_ACK_ADDR="+at, "RELAY_ACK_URL=http://"+at, "RELAY_BACKOFF=50ms")
	f.all(t)
	for _, r := range f.instances {
		r.answers = accept
	}
	f.subscribe(t, ", ack, max_handle_attempts", ", 'consumer', 2")
	url := func(i int, id string, n int) string {
		t.Helper()
		harness.Eventually(t, 30*time.Second, "an instance is pushed", func() bool { return len(f.instances[i].requests(id)) >= n })
		return f.instances[i].requests(id)[n-1].header.Get("relay-ack-url")
	}
	id := f.send(t, "topic, key", "'t', 'k'")
	next := f.send(t, "topic, key", "'t', 'k'")
	f.waitStates(t, id, "1 awaiting_ack, 2 awaiting_ack, 3 awaiting_ack")
	f.waitStates(t, next, "1 awaiting_ack, 2 awaiting_ack, 3 awaiting_ack") // accepted is enough for the key
	acks(t, url(0, id, 1), saysHandled, 204)
	f.waitStates(t, id, "1 handled, 2 awaiting_ack, 3 awaiting_ack")
	acks(t, url(0, id, 1), saysHandled, 409)
	acks(t, url(1, id, 1), saysFailed, 204)
	acks(t, url(1, id, 2), saysHandled, 204)
	f.waitStates(t, id, "1 handled, 2 handled, 3 awaiting_ack")
	if got := f.status(t, id); got != "open" {
		t.Errorf("message is %s while an instance owes its word", got)
	}
	acks(t, url(2, id, 1), saysNever, 204)
	f.waitStatus(t, id, "dead")
	if got := f.states(t, id); got != "1 handled, 2 handled, 3 dead" {
		t.Errorf("deliveries %s", got)
	}
	for i := range f.instances {
		acks(t, url(i, next, 1), saysHandled, 204)
	}
	f.waitStatus(t, next, "done")
	for i, want := range []int{1, 2, 1} {
		if n := len(f.instances[i].requests(id)); n != want {
			t.Errorf("instance %d was pushed %d times, want %d", i, n, want)
		}
	}
}

// An instance that vanished before it said a word is given up without a death.
func TestAnInstanceThatOwesItsWordAndVanishedIsCancelled(t *testing.T) {
	t.Parallel()
	at := harness.FreeAddress(t)
	f := newFleet(t, 2, "RELAY_ACK_ADDR="+at, "RELAY_ACK_URL=http://"+at)
	f.all(t)
	f.instances[1].answers = accept
	f.subscribe(t, ", ack, ack_timeout, max_attempts", ", 'consumer', '10 s', 1")
	id := f.send(t, "topic", "'t'")
	f.waitStates(t, id, "1 handled, 2 awaiting_ack")
	f.names.set(t, address(0))
	f.waitStatus(t, id, "done")
	if got := f.states(t, id); got != "1 handled, 2 cancelled" {
		t.Errorf("deliveries %s", got)
	}
}

// A relay dies while its messages are on their way to some instances. The other relay takes the
// messages over, and each instance still gets its copy.
func TestATakeoverReachesEachInstance(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "RELAY_LEASE_TTL=2s", "RELAY_BACKOFF=100ms", "RELAY_MAX_ATTEMPTS=1000")
	f.all(t)
	second := launchBinary(t, f.names.binary, f.db, f.settings...)
	second.waitReady()
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return f.relay.owned() == 32 && second.owned() == 32 })
	var seq [3]sequences
	for i := range seq {
		f.instances[i].answers = seq[i].check([]float64{0, 0.05, 0.3}[i])
	}
	judge, down := f.instances[2].answers, atomic.Bool{}
	f.instances[2].answers = func(w http.ResponseWriter, r *http.Request) bool {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		return judge(w, r)
	}
	f.subscribe(t, "", "")
	const keys, each = 8, 40
	inserted := make(chan struct{})
	go func() { defer close(inserted); ordered(t, f.system, keys, each) }()
	harness.Eventually(t, 60*time.Second, "all instances get messages", func() bool {
		return f.instances[2].distinct() > keys && f.instances[0].distinct() > keys
	})
	down.Store(true)
	harness.Eventually(t, 60*time.Second, "some have reached only a part", func() bool {
		return f.text(t, "select (count(*) > 20)::text from relay.delivery where status = 'handled' and instance like '127.0.1.1:%' and message_id in (select id from relay.outbox where status = 'open')") == "true"
	})
	f.relay.kill()
	harness.Eventually(t, 30*time.Second, "the second owns all", func() bool { return second.owned() == 64 })
	down.Store(false)
	<-inserted
	f.settled(t, 2*time.Minute)
	for i := range seq {
		seq[i].verify(t, keys, each)
	}
	if got := f.text(t, "select string_agg(distinct status::text, ',') || ' ' || count(*) from relay.delivery"); got != fmt.Sprint("handled ", 3*keys*each) {
		t.Errorf("deliveries %s", got)
	}
}

// By hand a message goes again to the instances where it died, and to no other.
func TestADeadInstanceIsRetriedByHand(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "RELAY_MAX_ATTEMPTS=1")
	f.names.set(t, address(0), address(1))
	takes := f.refusesBad(1)
	f.subscribe(t, "", "")
	var ids []string
	for range 3 {
		ids = append(ids, f.send(t, "topic", "'bad'"))
	}
	for _, id := range ids {
		f.waitStatus(t, id, "dead")
	}
	f.all(t)
	if code, out, errs := f.messages(t, "retry", ids[0]); code != 0 {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	harness.Eventually(t, 20*time.Second, "it is tried again", func() bool { return len(f.instances[1].requests(ids[0])) == 2 })
	f.waitStatus(t, ids[0], "dead")
	takes.Store(true)
	for _, args := range [][]string{{"retry", ids[0]}, {"retry", ids[1], "--subscription=sub"}} {
		if code, out, errs := f.messages(t, args...); code != 0 {
			t.Errorf("%v: code %d, %q, %q", args, code, out, errs)
		}
	}
	for _, id := range ids[:2] {
		f.waitStatus(t, id, "done")
		if got := f.states(t, id); got != "1 handled, 2 handled" {
			t.Errorf("deliveries %s", got)
		}
	}
	takes.Store(false)
	f.names.set(t, address(0))
	<-time.After(forgetHosts)
	if code, out, errs := f.messages(t, "retry", ids[2]); code != 0 {
		t.Errorf("retry of what died at an instance that is gone: code %d, %q, %q", code, out, errs)
	}
	f.waitStatus(t, ids[2], "done")
	if got := f.states(t, ids[2]); got != "1 handled, 2 cancelled" {
		t.Errorf("deliveries %s", got)
	}
	if first, later := len(f.instances[0].requests("")), len(f.instances[2].requests("")); first != 3 || later != 0 {
		t.Errorf("the others were asked %d and %d times, want 3 and 0", first, later)
	}
}

// What ended well nowhere is looked up anew, and goes to the instances of the moment.
func TestWhatDiedEverywhereIsRetriedAtTheInstancesOfTheMoment(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, "RELAY_MAX_ATTEMPTS=1")
	f.names.set(t, address(0))
	f.refusesBad(0)
	f.subscribe(t, "", "")
	id := f.send(t, "topic, key", "'bad', 'k'")
	f.waitStatus(t, id, "dead")
	f.names.set(t, address(1))
	<-time.After(forgetHosts)
	if code, out, errs := f.messages(t, "retry", id); code != 0 {
		t.Errorf("retry: code %d, %q, %q", code, out, errs)
	}
	f.waitStatus(t, id, "done")
	if got := f.states(t, id); got != "1 cancelled, 2 handled" {
		t.Errorf("deliveries %s", got)
	}
	if code, out, errs := f.keys(t, "list"); code != 0 || out != "no keys wait\n" {
		t.Errorf("keys list: code %d, %q, %q", code, out, errs)
	}
}

func TestABroadcastOverHTTPIsNotReplayed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	f.all(t)
	f.subscribe(t, "", "")
	f.waitStatus(t, f.send(t, "topic", "'t'"), "done")
	code, out, errs := run(t, "", []string{"subscriptions", "replay", "sub", "--yes"}, "RELAY_DATABASE_URL="+f.db.URL)
	const why = `subscription "sub" broadcasts over HTTP: it goes to the instances that live when a message is taken up, and cannot be replayed`
	if code != 1 || out != "" || !strings.Contains(errs, why) {
		t.Errorf("replay: code %d, %q, %q", code, out, errs)
	}
	if n := f.text(t, "select count(*)::text from relay.job"); n != "0" {
		t.Errorf("%s jobs were made", n)
	}
}
