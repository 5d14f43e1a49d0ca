package test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"relay/test/harness"
)

// A transaction takes a low sequence and commits late, when a later message of its key is on its
// way. Messages inserted after that commit must come behind it, although no doorbell rings and the
// relay finds both by a sweep.
func TestALateCommitKeepsItsPlaceInItsKey(t *testing.T) {
	t.Parallel()
	for _, capture := range []string{"poll", "stream"} {
		t.Run(capture, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, "RELAY_CAPTURE="+capture)
			s.relay.waitReady()
			var mu sync.Mutex
			var came []string
			release := make(gate)
			s.receiver.answers = func(_ http.ResponseWriter, r *http.Request) bool {
				topic := r.Header.Get("ce-type")
				mu.Lock()
				came = append(came, topic)
				mu.Unlock()
				return topic != "first" || release.pass(r)
			}
			const insert = "insert into relay.outbox (topic, key) values ($1, 'k')"
			late, err := s.app.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer late.Rollback(t.Context())
			if _, err := late.Exec(t.Context(), insert, "late"); err != nil {
				t.Fatal(err)
			}
			s.exec(t, insert, "first")
			harness.Eventually(t, 20*time.Second, "the first is on its way", func() bool { return len(s.receiver.requests("")) == 1 })
			if err := late.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.exec(t, insert, "behind")
			<-time.After(1500 * time.Millisecond) // the relay reads both behind the first
			close(release)
			s.settled(t, time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(came, " "); got != "first late behind" {
				t.Errorf("the order is: %s", got)
			}
		})
	}
}
