package test

import (
	"net/http"
	"testing"
	"time"

	"relay/test/harness"
)

// A burst that a healthy destination gets through within two seconds is not parked in the table,
// read back from there and written a second time.
func TestABurstIsWrittenOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_HTTP_CONCURRENCY=64")
	busy := newReceiver(t, nil)
	busy.answers = func(http.ResponseWriter, *http.Request) bool {
		<-time.After(500 * time.Millisecond) // long beside what a busy machine adds, which would change the pace
		return true
	}
	const burst = 200 // 1.6 seconds at 2/s for each of 64 connections, more than the second that fits into a queue
	insert := func(n int) {
		if _, err := s.app.Exec(t.Context(), `insert into relay.outbox (topic, destination, payload)
			select 'burst', $1::text, '{}' from generate_series(1, $2::int)`, busy.URL, n); err != nil {
			t.Fatal(err)
		}
	}
	insert(64) // teaches the relay the pace of the destination
	harness.Eventually(t, time.Minute, "the first messages have arrived", func() bool { return busy.distinct() == 64 })
	insert(burst)
	harness.Eventually(t, time.Minute, "the burst has arrived", func() bool { return busy.distinct() == 64+burst })
	if n := s.relay.metric(`relay_reconcile_outcomes_total{status="waiting"}`); n > 0 {
		t.Errorf("%.0f messages were parked on their way, want none", n)
	}
	if n := busy.duplicates(); n > 0 {
		t.Errorf("%d messages arrived twice", n)
	}
}
