package test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// forgetHosts is how long Go's resolver keeps /etc/hosts, and the relay what it looked up.
const forgetHosts = 5*time.Second + 2*time.Second

// names is a file that a relay sees as /etc/hosts, in a mount namespace of its own: what
// an operating system resolves by DNS in production, it resolves by this file.
type names struct{ file, binary string }

func newNames(t testing.TB) *names {
	t.Helper()
	dir := t.TempDir()
	n := &names{file: filepath.Join(dir, "hosts"), binary: filepath.Join(dir, "relay")}
	files := filepath.Join(dir, "nsswitch.conf")
	script := fmt.Sprintf(`#!/bin/sh
exec %s sh -c \
  'mount --bind %s /etc/hosts && mount --bind %s /etc/nsswitch.conf && exec %s "$@"' relay "$@"
`, unshare(t), n.file, files, harness.Build(t, "relay/cmd/relay"))
	for name, content := range map[string]string{n.file: "127.0.0.1 localhost\n", files: "hosts: files\n"} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(n.binary, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return n
}

// unshare returns the command that gives a program mounts of its own. Root needs no user namespace for it, which a
// container may forbid; where root lacks the capability, a user namespace may still be allowed.
func unshare(t testing.TB) string {
	t.Helper()
	var refusals []string
	for _, way := range []string{"unshare --mount", "unshare --mount --user --map-root-user"} {
		out, err := exec.Command("sh", "-c", way+" true").CombinedOutput()
		if err == nil {
			return way
		}
		refusals = append(refusals, strings.TrimSpace(string(out)))
	}
	t.Fatalf("this test gives the relay an /etc/hosts of its own, and may not mount here (%s). In a container it needs the capability "+
		"SYS_ADMIN or user namespaces; in a chroot it needs a root that is a mount point: mount --bind FOLDER FOLDER, before chroot FOLDER",
		strings.Join(refusals, "; "))
	return ""
}

// set makes workers.test lead to these addresses, in the same file.
func (n *names) set(t testing.TB, addresses ...string) {
	t.Helper()
	content := "127.0.0.1 localhost\n"
	for _, address := range addresses {
		content += address + " workers.test\n"
	}
	if err := os.WriteFile(n.file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fleet is a relay and instances of one subscriber: receivers at 127.0.1.1, 127.0.1.2, …
// that share a port, as the pods of one service do.
type fleet struct {
	*system
	names     *names
	instances []*receiver
	url       string
	port      int
	settings  []string
}

// address is that of an instance, counted from 0.
func address(i int) string { return fmt.Sprint("127.0.1.", i+1) }

func newFleet(t testing.TB, n int, env ...string) *fleet {
	t.Helper()
	f := &fleet{names: newNames(t), settings: env}
	listeners := listenTogether(t, n)
	f.port = listeners[0].Addr().(*net.TCPAddr).Port
	f.url = fmt.Sprintf("http://workers.test:%d/hook", f.port)
	for i, l := range listeners {
		r := &receiver{counts: make(map[string]int), URL: "http://" + net.JoinHostPort(address(i), strconv.Itoa(f.port))}
		server := httptest.NewUnstartedServer(r)
		server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		f.instances = append(f.instances, r)
	}
	f.system = &system{db: migrated.Database(t)}
	f.app, f.admin = f.db.App(t), f.db.Admin(t)
	f.start(t)
	return f
}

// listenTogether listens on one port of several addresses.
func listenTogether(t testing.TB, n int) []net.Listener {
	t.Helper()
	for range 100 {
		port := "0"
		var all []net.Listener
		for i := range n {
			l, err := net.Listen("tcp", net.JoinHostPort(address(i), port))
			if err != nil {
				break
			}
			all = append(all, l)
			port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		}
		if len(all) == n {
			return all
		}
		for _, l := range all {
			l.Close()
		}
	}
	t.Fatal("no port is free on all of the addresses")
	return nil
}

func (f *fleet) start(t testing.TB) {
	t.Helper()
	f.relay = launchBinary(t, f.names.binary, f.db, f.settings...)
	f.relay.waitReady()
}

// all makes workers.test lead to every instance.
func (f *fleet) all(t testing.TB) {
	t.Helper()
	addresses := make([]string, len(f.instances))
	for i := range addresses {
		addresses[i] = address(i)
	}
	f.names.set(t, addresses...)
}

// subscribe makes a broadcast subscription to every topic with further columns.
func (f *fleet) subscribe(t testing.TB, columns, values string) {
	t.Helper()
	f.exec(t, fmt.Sprintf("insert into relay.subscription (name, topics, target, broadcast%s) values ('sub', '{#}', $1, true%s)", columns, values), f.url)
}

// states lists what became of a message at each instance, by the last byte of its address.
func (f *fleet) states(t testing.TB, id string) string {
	t.Helper()
	return f.text(t, `select string_agg(coalesce(nullif(split_part(split_part(instance, ':', 1), '.', 4), ''), 'none') || ' ' || status, ', ' order by instance)
		from relay.delivery where message_id = $1`, id)
}

func TestBroadcastReachesEachInstanceOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "RELAY_BACKOFF=200ms", "RELAY_MAX_ATTEMPTS=1000")
	f.all(t)
	var down atomic.Bool
	var host atomic.Value
	down.Store(true)
	f.instances[1].answers = func(w http.ResponseWriter, r *http.Request) bool {
		host.Store(r.Host)
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return !down.Load()
	}
	f.subscribe(t, "", "")
	plain := newReceiver(t, nil)
	f.exec(t, "insert into relay.subscription (name, topics, target) values ('plain', '{#}', $1)", plain.URL)
	id := f.send(t, "topic, key", "'t', 'k'")
	harness.Eventually(t, 20*time.Second, "each instance has its own state", func() bool {
		got := f.text(t, "select string_agg(subscription || ' ' || split_part(split_part(instance, ':', 1), '.', 4) || ' ' || status, ', ' order by subscription, instance) from relay.delivery where message_id = $1", id)
		return got == "plain  handled, sub 1 handled, sub 2 push_failed, sub 3 handled"
	})
	for range 30 {
		f.send(t, "topic", "'t'")
	}
	if circuit := f.text(t, "select circuit from relay.delivery where message_id = $1 and instance like '127.0.1.2:%'", id); circuit != fmt.Sprintf("sub/127.0.1.2:%d", f.port) {
		t.Errorf("the instance has the circuit %q", circuit)
	}
	down.Store(false)
	f.settled(t, time.Minute)
	for i, r := range append(f.instances, plain) {
		if r.distinct() != 31 || r.duplicates() != 0 {
			t.Errorf("receiver %d has %d messages and %d duplicates, want 31 and none", i, r.distinct(), r.duplicates())
		}
	}
	for _, i := range []int{0, 2} {
		if n := len(f.instances[i].requests("")); n != 31 {
			t.Errorf("instance %d was asked %d times: another one's failure is not its own", i, n)
		}
	}
	if want := fmt.Sprintf("workers.test:%d", f.port); host.Load() != want {
		t.Errorf("Host is %v, want %s", host.Load(), want)
	}
	if got := f.status(t, id); got != "done" {
		t.Errorf("message is %s", got)
	}
	if _, out, _ := f.messages(t, "show", id); !strings.Contains(out, fmt.Sprintf("127.0.1.3:%d", f.port)) {
		t.Errorf("messages show names no instance:\n%s", out)
	}
}

func TestAnInstanceThatVanishedIsCancelled(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, "RELAY_BACKOFF=100ms,100ms,4s", "RELAY_MAX_ATTEMPTS=6")
	fails := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	}
	f.instances[2].answers = fails
	f.names.set(t, address(0), address(1), address(2))
	f.subscribe(t, "", "")
	id := f.send(t, "topic", "'t'")
	harness.Eventually(t, 20*time.Second, "an instance fails", func() bool {
		return f.states(t, id) == "1 handled, 2 handled, 3 push_failed"
	})
	f.names.set(t, address(0), address(1), address(3))
	f.waitStatus(t, id, "done")
	if got := f.states(t, id); got != "1 handled, 2 handled, 3 cancelled" {
		t.Errorf("deliveries %s", got)
	}
	if says := f.text(t, "select last_error from relay.delivery where status = 'cancelled'"); !strings.Contains(says, "does not resolve to this instance any more") {
		t.Errorf("error %q", says)
	}
	later := f.send(t, "topic", "'t'")
	f.waitStatus(t, later, "done")
	if got := f.states(t, later); got != "1 handled, 2 handled, 4 handled" {
		t.Errorf("deliveries of a later message %s", got)
	}
	if n := len(f.instances[3].requests(id)); n != 0 {
		t.Errorf("an instance that came later got an old message %d times", n)
	}
	f.instances[3].answers = fails
	dead := f.send(t, "topic", "'t'")
	f.waitStatus(t, dead, "dead")
	if got := f.states(t, dead); got != "1 handled, 2 handled, 4 dead" {
		t.Errorf("deliveries where an instance fails that still exists %s", got)
	}
}

// What waits for an instance that does not come back ends when its time is over, and not as dead.
func TestAVanishedInstanceIsCancelledWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, "RELAY_GIVE_UP_AFTER=12s")
	f.all(t)
	f.subscribe(t, ", paused", ", true")
	id := f.send(t, "topic, key", "'t', 'k'")
	harness.Eventually(t, 10*time.Second, "it waits for each instance", func() bool { return f.states(t, id) == "1 waiting, 2 waiting" })
	f.names.set(t, address(0))
	f.waitStatus(t, id, "dead")
	if got := f.states(t, id); got != "1 dead, 2 cancelled" {
		t.Errorf("deliveries %s", got)
	}
}

func TestBroadcastWithoutAnAddressIsResolvedAgain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, "RELAY_BACKOFF=500ms", "RELAY_MAX_ATTEMPTS=1000")
	var seq [2]sequences
	for i := range seq {
		f.instances[i].answers = seq[i].check(0)
	}
	f.subscribe(t, "", "")
	lone := f.send(t, "topic", "'t.1'")
	ordered(t, f.system, 3, 20)
	harness.Eventually(t, 20*time.Second, "the host name has no instance", func() bool { return f.states(t, lone) == "none push_failed" })
	if says := f.text(t, "select last_error from relay.delivery where message_id = $1", lone); !strings.Contains(says, "workers.test does not resolve to the address of any instance") {
		t.Errorf("error %q", says)
	}
	if n := f.text(t, "select count(*)::text from relay.delivery where instance <> ''"); n != "0" {
		t.Errorf("%s deliveries have an instance", n)
	}
	f.all(t)
	f.settled(t, time.Minute)
	if got := f.states(t, lone); got != "1 handled, 2 handled" {
		t.Errorf("deliveries %s", got)
	}
	for i := range seq {
		seq[i].verify(t, 3, 20)
	}
	if n := f.text(t, "select count(*)::text from relay.delivery where instance = '' or status <> 'handled'"); n != "0" {
		t.Errorf("%s deliveries stand that should not", n)
	}
}

func TestAPausedBroadcastKeepsItsInstances(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "RELAY_BACKOFF=200ms")
	f.names.set(t, address(0), address(1))
	f.subscribe(t, ", paused, rate_limit, on_dead", ", true, 50, 'block'")
	id, keyed := f.send(t, "topic", "'t'"), f.send(t, "topic, key", "'t', 'k'")
	harness.Eventually(t, 20*time.Second, "it waits for each instance", func() bool {
		return f.states(t, id) == "1 waiting, 2 waiting" && f.states(t, keyed) == "1 waiting, 2 waiting"
	})
	f.all(t)
	<-time.After(forgetHosts)
	f.exec(t, "update relay.subscription set paused = false")
	f.waitStatus(t, id, "done")
	f.waitStatus(t, keyed, "done")
	if n := len(f.instances[2].requests("")); n != 0 {
		t.Errorf("an instance that was not there was asked %d times", n)
	}
}

func TestBroadcastKeepsOrderPerInstanceThroughKills(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "RELAY_LEASE_TTL=1s", "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=1000")
	f.all(t)
	var seq [3]sequences
	for i := range seq {
		f.instances[i].answers = seq[i].check([]float64{0, 0.05, 0.3}[i])
	}
	f.subscribe(t, "", "")
	const keys, each = 5, 60
	inserted := make(chan struct{})
	go func() { defer close(inserted); ordered(t, f.system, keys, each) }()
	for i := range 4 {
		already := f.instances[0].distinct()
		harness.Eventually(t, 60*time.Second, "the relay delivers", func() bool {
			return f.instances[0].distinct() > min(already+20, keys*each-1)
		})
		if i%2 == 0 {
			f.relay.kill()
		} else if err := f.relay.stop(25 * time.Second); err != nil {
			t.Fatal(err)
		}
		f.start(t)
	}
	<-inserted
	f.settled(t, 2*time.Minute)
	for i := range seq {
		seq[i].verify(t, keys, each)
	}
	if got := f.text(t, "select string_agg(distinct status::text, ',') || ' ' || count(*) from relay.delivery"); got != fmt.Sprint("handled ", 3*keys*each) {
		t.Errorf("deliveries %s", got)
	}
}

func TestBroadcastOverABrokerIsOnePublish(t *testing.T) {
	t.Parallel()
	b := newBroker(t, harness.AMQPURL(t))
	b.queue(t, "one", "events", "#")
	b.queue(t, "two", "events", "#")
	s := newSystem(t, "RELAY_AMQP_URL="+b.url)
	s.exec(t, "insert into relay.subscription (name, topics, target, broadcast) values ('sub', '{#}', 'amqp:events/', true)")
	id := s.send(t, "topic", "'t'")
	s.waitStatus(t, id, "done")
	for _, queue := range []string{"one", "two"} {
		got, ok, err := b.channel.Get(queue, true)
		if err != nil || !ok || got.MessageId != id || got.MessageCount != 0 {
			t.Errorf("queue %s has message %q and %d more, want %s alone: %v", queue, got.MessageId, got.MessageCount, id, err)
		}
	}
	if got := s.text(t, "select string_agg(instance || ' ' || status, ',') from relay.delivery"); got != " delivered" {
		t.Errorf("deliveries %q", got)
	}
}
