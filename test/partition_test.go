package test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/checker"
	"relay/test/harness"
)

// A relay that is cut off from the database, and nothing else, stops sending before its
// lease could have ended; the other one takes over.
func TestAPartitionedRelayStopsSendingAndIsSucceeded(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	s := newSystem(t, "RELAY_LEASE_TTL="+ttl.String())
	line := newProxy(t, fmt.Sprintf("127.0.0.1:%d", s.db.Server.Port()))
	var last atomic.Int64 // when the second relay was heard last
	through := newReceiver(t, func(http.ResponseWriter, *http.Request) bool {
		last.Store(time.Now().UnixNano())
		return true
	})
	// The second relay's messages go to a receiver of their own, which tells the relays apart.
	second := start(t, s.db, "RELAY_DATABASE_URL="+line.through(t, s.db.URL), "RELAY_LEASE_TTL="+ttl.String(),
		"RELAY_DEFAULT_DESTINATION="+through.URL)
	harness.Eventually(t, 30*time.Second, "they share", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	tr := newTraffic(t, s, 4, time.Millisecond)
	harness.Eventually(t, 30*time.Second, "both deliver", func() bool { return s.receiver.distinct() > 100 && through.distinct() > 100 })
	cut := time.Now()
	line.set(proxyStall)
	harness.Eventually(t, 30*time.Second, "the first owns all", func() bool { return s.relay.owned() == 64 })
	if took := time.Since(cut); took > ttl+2*time.Second {
		t.Errorf("the takeover took %s, at most %s are allowed", took, ttl+2*time.Second)
	}
	if heard := time.Unix(0, last.Load()); heard.After(cut.Add(ttl)) {
		t.Errorf("the one cut off was heard %s after the cut, its lease lasts %s", heard.Sub(cut), ttl)
	}
	second.says("shards: ", "no lease at present")
	harness.Eventually(t, 10*time.Second, "the one cut off counts no shards", func() bool { return second.owned() == 0 })
	line.set(proxyPass)
	line.cut()
	harness.Eventually(t, 60*time.Second, "they share again", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	tr.interrupted("the second relay was cut off", cut)
	tr.judge(t, s.admin, time.Minute, func() []checker.Receipt { return append(s.receiver.receipts(), through.receipts()...) })
}
