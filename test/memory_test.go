package test

import (
	"net/http"
	"testing"
	"time"

	"relay/test/harness"
)

// A thousand messages of 1 MiB wait for an endpoint that takes 100 ms for each: what waits,
// waits in the table.
func TestMemoryStaysFlatBeforeASlowEndpoint(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_HTTP_CONCURRENCY=8")
	slow := newReceiver(t, nil)
	slow.discard = true
	slow.answers = func(http.ResponseWriter, *http.Request) bool {
		<-time.After(100 * time.Millisecond)
		return true
	}
	const n = 1000
	if _, err := s.app.Exec(t.Context(), `insert into relay.outbox (topic, destination, body, content_type)
		select 'large', $1::text, decode(repeat('ab', 1024 * 1024), 'hex'), 'application/octet-stream' from generate_series(1, $2::int)`, slow.URL, n); err != nil {
		t.Fatal(err)
	}
	most := 0
	slowest := time.Duration(0)
	harness.Eventually(t, 3*time.Minute, "all have arrived", func() bool {
		most = max(most, s.relay.residentKB())
		begun := time.Now()
		id := s.send(t, "topic", "'small'")
		harness.Eventually(t, 30*time.Second, "a small one overtakes them", func() bool { return s.receiver.accepted(id) == 1 })
		slowest = max(slowest, time.Since(begun))
		return slow.distinct() == n
	})
	t.Logf("most resident memory %d MB; slowest small message %s", most>>10, slowest)
	if most > 256<<10 {
		t.Errorf("resident memory rose to %d kB, at most 256 MB are allowed", most)
	}
}
