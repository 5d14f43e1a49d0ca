package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// launchWithFiles launches a relay that may have the given number of files open.
func launchWithFiles(t testing.TB, files int, db *harness.DB, env ...string) *process {
	t.Helper()
	script := filepath.Join(t.TempDir(), "relay")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", files, harness.Build(t, "relay/cmd/relay"))
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return launchBinary(t, script, db, env...)
}

// openSilent opens n connections to each address, writes the text and says no more.
func openSilent(t testing.TB, n int, text string, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		for range n {
			conn, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			_, _ = io.WriteString(conn, text) // the relay may have closed it already
		}
	}
}

// 256 silent connections to the metrics address took every descriptor of the process, and
// deliveries failed.
func TestSilentConnectionsStopNeitherDeliveriesNorProbes(t *testing.T) {
	t.Parallel()
	s := &system{db: migrated.Database(t)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.receiver = newReceiver(t, nil)
	ack := harness.FreeAddress(t)
	s.relay = launchWithFiles(t, 256, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL, "RELAY_HTTP_CONCURRENCY=32",
		"RELAY_ACK_ADDR="+ack, "RELAY_ACK_URL=http://"+ack)
	s.relay.waitReady()
	probe := func(what, url string, want int) {
		t.Helper()
		begun := time.Now()
		if status, _ := get(t, url); status != want {
			t.Errorf("%s answers %d, want %d", what, status, want)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("%s took %s", what, took)
		}
	}
	var slowest time.Duration
	for _, text := range []string{"", "GET /metrics HTTP/1.1\r\nHost: x\r\n", "POST /ack/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"} {
		openSilent(t, 150, text, s.relay.metrics, s.relay.admin, ack)
		for range 5 {
			probe("the metrics address", "http://"+s.relay.metrics+"/readyz", http.StatusOK)
			probe("the admin address", "http://"+s.relay.admin+"/readyz", http.StatusOK)
			probe("/metrics", "http://"+s.relay.metrics+"/metrics", http.StatusOK)
			if code := post(t, "http://"+ack+"/ack/x", `{"outcome":"handled"}`); code != http.StatusNotFound {
				t.Errorf("a forged token: %d", code)
			}
			begun := time.Now()
			had := s.receiver.distinct()
			if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic) select 't' from generate_series(1, 40)"); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, 20*time.Second, "40 more have arrived", func() bool { return s.receiver.distinct() == had+40 })
			slowest = max(slowest, time.Since(begun))
		}
	}
	s.settled(t, 20*time.Second)
	if n := s.text(t, "select count(*)::text from relay.attempt where outcome <> 'handled'"); n != "0" {
		t.Errorf("%s attempts failed", n)
	}
	if n := s.relay.metric("relay_admin_connections_closed_total"); n < 900 {
		t.Errorf("%v connections were closed to make room", n)
	}
	t.Logf("slowest 40 messages took %s beside silent connections", slowest)
}

func TestOversizedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	ack := harness.FreeAddress(t)
	s := newSystem(t, "RELAY_ACK_ADDR="+ack, "RELAY_ACK_URL=http://"+ack)
	for what, address := range map[string]string{"metrics": s.relay.metrics, "admin": s.relay.admin, "acknowledgements": ack} {
		for name, c := range map[string]struct {
			request string
			want    int
		}{
			"header": {"GET /readyz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10), http.StatusRequestHeaderFieldsTooLarge},
			"body":   {"POST /ack/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 100<<10), http.StatusRequestEntityTooLarge},
		} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() { _, _ = io.WriteString(conn, c.request) }()
			if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, len("HTTP/1.1 431"))
			if _, err := io.ReadFull(conn, line); err != nil || string(line) != fmt.Sprint("HTTP/1.1 ", c.want) {
				t.Errorf("%s, a large %s: %q, %v; want %d", what, name, line, err, c.want)
			}
		}
	}
}

// Every client of the metrics address learned hosts, names of databases and errors.
func TestTheMetricsAddressNamesNoHosts(t *testing.T) {
	t.Parallel()
	down := harness.FreeAddress(t)
	s := newSystem(t, "RELAY_DEFAULT_DESTINATION=http://"+down+"/", "RELAY_AMQP_URL=amqp://guest@"+harness.FreeAddress(t)+"/", "RELAY_BACKOFF=50ms")
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic) select 't' from generate_series(1, 40)"); err != nil {
		t.Fatal(err)
	}
	s.relay.says("circuits: failed: ", "default")
	s.relay.says("broker: failed: ", "127.0.0.1")
	status, body := get(t, "http://"+s.relay.metrics+"/readyz")
	const want = "ready\nconfiguration: ok\ndatabase: ok\nidentity: ok\nshards: ok\nwriting: ok\ncircuits: failed (does not decide readiness)\nmemory: ok\nstream: ok\nbroker: failed (does not decide readiness)\n"
	if status != http.StatusOK || body != want {
		t.Errorf("%d %q, want %q", status, body, want)
	}
}
