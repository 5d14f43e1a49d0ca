package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"relay/test/harness"
)

// A relay that was cut off has an attempt under way when it gets its shards back. What
// another relay has put into the table meanwhile comes before what is inserted now.
func TestAShardThatComesBackKeepsTheOrderOfItsKeys(t *testing.T) {
	t.Parallel()
	env := []string{"RELAY_LEASE_TTL=2s", "RELAY_HTTP_TIMEOUT=2m", "RELAY_BACKOFF=1h"}
	s := newSystem(t, env...)
	if err := s.relay.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}
	release := make(gate)
	hanging := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("ce-type") != "first" || release.pass(r)
	})
	line := newProxy(t, fmt.Sprintf("127.0.0.1:%d", s.db.Server.Port()))
	cut := start(t, s.db, append(env, "RELAY_DATABASE_URL="+line.through(t, s.db.URL), "RELAY_DEFAULT_DESTINATION="+hanging.URL)...)
	cut.waitReady()
	first := s.send(t, "topic, key", "'first', 'k'")
	harness.Eventually(t, 30*time.Second, "the first is on its way", func() bool { return len(hanging.requests(first)) == 1 })

	line.set(proxyStall)
	refusing, takes := refusingBad(t)
	other := start(t, s.db, append(env, "RELAY_DEFAULT_DESTINATION="+refusing.URL)...)
	harness.Eventually(t, 60*time.Second, "the other owns all", func() bool { return other.owned() == 64 })
	bad := s.send(t, "topic, key", "'bad', 'k'")
	harness.Eventually(t, 30*time.Second, "it fails there", func() bool { return s.deliveries(t, bad) == "default handle_failed" })
	line.set(proxyPass)
	line.cut()
	if err := other.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 60*time.Second, "the first owns all again", func() bool { return cut.owned() == 64 && cut.metric("relay_cdc_stream_up") == 1 })

	behind := s.send(t, "topic, key", "'behind', 'k'")
	time.Sleep(500 * time.Millisecond) // it is read, while the attempt for the first goes on
	close(release)
	harness.Eventually(t, 30*time.Second, "it waits for its key", func() bool { return s.deliveries(t, behind) == "default waiting" })
	if n := len(hanging.requests(behind)); n != 0 {
		t.Errorf("it was sent %d times before the one that failed", n)
	}
	takes.Store(true)
	if code, _, errs := s.keys(t, "retry", "k", "--subscription=default"); code != 0 {
		t.Fatalf("retry: %s", errs)
	}
	s.waitStatus(t, behind, "done")
}
