package test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// 400 consumers that acknowledged messages which a session had locked took all connections of the relay.
func TestAcknowledgementsOfLockedRowsHoldUpNothing(t *testing.T) {
	t.Parallel()
	const consumers = 400
	address := harness.FreeAddress(t)
	n := newNeighbour(t, "RELAY_ACK_ADDR="+address, "RELAY_ACK_URL=http://"+address+"/")
	acking := newReceiver(t, accept)
	n.subscribe(t, "acking", acking.URL)
	n.exec(t, "update relay.subscription set ack = 'consumer' where name = 'acking'")
	quiet := n.phase(t)
	n.exec(t, "insert into relay.outbox (topic) select 'acking' from generate_series(1, $1::int)", consumers+1)
	harness.Eventually(t, 60*time.Second, "all await their acknowledgements", func() bool {
		return n.text(t, "select count(*)::text from relay.delivery where status = 'awaiting_ack'") == "401"
	})
	requests := acking.requests("")
	free := requests[consumers]
	release := n.lock(t, "select 1 from relay.outbox where topic = 'acking' and id <> $1", free.id)

	var refused, slow atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: consumers}}
	for _, r := range requests[:consumers] {
		all.Go(func() {
			for {
				begun := time.Now()
				response, err := client.Post(r.header.Get("relay-ack-url"), "application/json", strings.NewReader(saysHandled))
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
					t.Errorf("answered %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
					return
				}
				refused.Add(1)
				if time.Since(begun) > 10*time.Second {
					slow.Add(1)
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Second): // as Retry-After says
				}
			}
		})
	}
	harness.Eventually(t, 30*time.Second, "all are refused", func() bool { return refused.Load() >= consumers })
	n.unharmed(t, "consumers that acknowledge locked rows", quiet)
	acks(t, free.header.Get("relay-ack-url"), saysHandled, 204)
	n.waitStatus(t, free.id, "done")
	n.isolated(t, "acknowledge", consumers, "another session has locked the message")
	close(stop)
	all.Wait()
	t.Logf("%d acknowledgements were refused", refused.Load())
	if slow.Load() > 0 {
		t.Errorf("%d answers took more than ten seconds", slow.Load())
	}
	release()
	for _, r := range requests[:consumers] {
		acks(t, r.header.Get("relay-ack-url"), saysHandled, 204)
	}
	harness.Eventually(t, 30*time.Second, "all are done", func() bool {
		return n.text(t, "select count(*)::text from relay.outbox where topic = 'acking' and status <> 'done'") == "0"
	})
	n.empty(t)
}
