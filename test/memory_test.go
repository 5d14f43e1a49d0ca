package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// A thousand messages of 1 MiB wait for an endpoint that takes 100 ms for each: what waits,
// waits in the table.
func TestMemoryStaysFlatBeforeASlowEndpoint(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_HTTP_CONCURRENCY=8", "RELAY_MAX_PAYLOAD=2MiB")
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

// Headers, source and destination counted for nothing: with 2 MiB allowed, 266 MB were resident.
func TestMemoryStaysFlatWhateverPartOfARowIsLarge(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	t.Cleanup(func() { endpoint.CloseClientConnections(); endpoint.Close() })
	s := newSystem(t, "RELAY_IN_FLIGHT_BYTES=2MiB", "RELAY_MAX_PAYLOAD=1MiB")
	const long, many = 6000, 200
	destination := endpoint.URL + "/?q=" + strings.Repeat("d", 2000)
	for _, statement := range []string{
		fmt.Sprintf(`insert into relay.outbox (topic, destination, source, headers)
			select 'long', $1, repeat('s', 255), jsonb_build_object('h', repeat('v', 60000)) from generate_series(1, %d)`, long),
		fmt.Sprintf(`insert into relay.outbox (topic, destination, headers)
			select 'many', $1, h from generate_series(1, %d), (select jsonb_object_agg('k' || n, 'v') as h from generate_series(1, 4000) n) x`, many),
	} {
		if _, err := s.app.Exec(t.Context(), statement, destination); err != nil {
			t.Fatal(err)
		}
	}
	most := 0
	harness.Eventually(t, 3*time.Minute, "all have arrived", func() bool {
		if most = max(most, s.relay.residentKB()); most > 128<<10 {
			t.Fatalf("resident memory rose to %d kB, at most 128 MB are allowed", most)
		}
		return arrived.Load() >= long+many
	})
	t.Logf("most resident memory %d MB", most>>10)
	s.settled(t, 20*time.Second)
}

// 151 rows with headers of 100 MB each, which compress well, stopped all reading.
func TestRowsThatAreTooLargeStopNoOthers(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"fsync": "off"}, "RELAY_IN_FLIGHT_BYTES=2MiB")
	s.relay.waitReady()
	// Rows from before the limits were set may exceed them.
	s.exec(t, "alter table relay.outbox disable trigger outbox_checked")
	s.exec(t, "create table big as select jsonb_build_object('h', repeat('v', 100000000)) as headers")
	s.exec(t, `insert into relay.outbox (topic, key, headers) select 'big', case when n % 2 = 0 then 'k' || n % 10 end, headers from big, generate_series(1, 151) n`)
	s.exec(t, `insert into relay.outbox (topic, destination) values ('big', repeat('d', 50000000))`)
	if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic, key) select 't', case when n % 2 = 0 then 'k' || n % 10 end from generate_series(1, 500) n"); err != nil {
		t.Fatal(err)
	}
	most := 0
	harness.Eventually(t, time.Minute, "the others have arrived, and all that are too large are rejected", func() bool {
		most = max(most, s.relay.residentKB())
		return s.receiver.distinct() == 500 && s.text(t, "select count(*)::text from relay.outbox where status = 'rejected' and last_error like 'too large: %'") == "152"
	})
	t.Logf("most resident memory %d MB", most>>10)
	if most > 128<<10 {
		t.Errorf("resident memory rose to %d kB, at most 128 MB are allowed", most)
	}
}
