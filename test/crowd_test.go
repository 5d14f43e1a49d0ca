package test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

var (
	crowdSubscriptions = flag.Int("crowd.subscriptions", 300, "paused subscriptions that each message of the crowd matches")
	crowdMessages      = flag.Int("crowd.messages", 400, "messages of the crowd")
)

// residentMost is what a relay may keep in memory while it takes a crowd up.
const residentMost = 200 << 10 // kB

// Messages for 300 paused subscriptions were read, written and counted as one each. The relay took 545 MB for 2,000 of
// them with 200 subscriptions, lost leases, and delivered almost nothing else for 50 seconds.
func TestACrowdOfPausedSubscriptionsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	n.exec(t, `insert into relay.subscription (name, topics, target, paused)
		select 'paused-' || i, array['crowd'], $1, true from generate_series(1, $2::int) i`, n.healthy.URL, *crowdSubscriptions)
	quiet := n.phase(t)
	begun := time.Now()
	if _, err := n.app.Exec(t.Context(), `insert into relay.outbox (topic, key, headers, payload)
		select 'crowd', case when i % 10 = 0 then 'c' || i % 30 end, '{"a": "b"}', to_json(repeat('x', 200))::text from generate_series(1, $1::int) i`, *crowdMessages); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "the relay says what waits", func() bool {
		_, ready := get(t, "http://"+n.relay.admin+"/readyz")
		return strings.Contains(ready, "messages with many deliveries wait")
	})
	n.unharmed(t, "a crowd of paused subscriptions", quiet)
	if *crowdMessages > 1000 {
		n.unharmed(t, "a crowd of paused subscriptions, later", quiet)
	}
	want := fmt.Sprint(*crowdSubscriptions * *crowdMessages)
	harness.Eventually(t, time.Duration(*crowdMessages)*200*time.Millisecond+time.Minute, "the crowd waits in the table", func() bool {
		return n.text(t, "select count(*)::text from relay.outbox where status = 'pending'") == "0"
	})
	took := time.Since(begun)
	if got := n.text(t, "select count(*)::text from relay.delivery where subscription like 'paused-%' and status = 'waiting'"); got != want {
		t.Errorf("%s deliveries wait, want %s", got, want)
	}
	most := n.relay.peakKB()
	t.Logf("%s deliveries were taken up in %s, most resident memory %d MB", want, took.Round(time.Millisecond), most>>10)
	if most > residentMost {
		t.Errorf("resident memory rose to %d MB, at most %d are allowed", most>>10, residentMost>>10)
	}
	if gained := strings.Count(n.relay.log.String(), "owns shards"); gained != 1 {
		t.Errorf("the relay got its shards %d times, want once: it lost leases", gained)
	}
}

// One endpoint took 6 seconds for each body of 900 kB. As long as they came, 200 messages that waited in the table for
// another subscription were not looked at, since the free room in memory was one number for all.
func TestLargeBodiesForASlowEndpointHoldUpNoOther(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	slow := newReceiver(t, func(http.ResponseWriter, *http.Request) bool {
		<-time.After(6 * time.Second)
		return true
	})
	slow.discard = true
	n.subscribe(t, "slow", slow.URL)
	waiting := newReceiver(t, nil)
	n.subscribe(t, "waiting", waiting.URL)
	n.exec(t, "update relay.subscription set paused = true where name = 'waiting'")
	if _, err := n.app.Exec(t.Context(), "insert into relay.outbox (topic) select 'waiting' from generate_series(1, 200)"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, "200 messages wait in the table", func() bool {
		return n.text(t, "select count(*)::text from relay.delivery where subscription = 'waiting' and status = 'waiting'") == "200"
	})
	quiet := n.phase(t)

	traffic, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for i := 0; traffic.Err() == nil; i++ {
			_, err := n.app.Exec(traffic, `insert into relay.outbox (topic, body, content_type)
				select 'slow', decode(repeat('ab', 900 * 1024), 'hex'), 'application/octet-stream' from generate_series(1, $1::int)`, map[bool]int{true: 100, false: 1}[i == 0])
			if err != nil && traffic.Err() == nil {
				t.Error(err)
				return
			}
			<-ticker.C
		}
	}()
	t.Cleanup(func() { stop(); <-stopped })
	harness.Eventually(t, 20*time.Second, "the slow endpoint has its share", func() bool {
		_, ready := get(t, "http://"+n.relay.admin+"/readyz")
		return strings.Contains(ready, "slow has its share of bytes")
	})
	n.exec(t, "update relay.subscription set paused = false where name = 'waiting'")
	begun := time.Now()
	harness.Eventually(t, 10*time.Second, "what waited is delivered", func() bool { return waiting.distinct() == 200 })
	t.Logf("200 waiting messages were delivered in %s", time.Since(begun).Round(time.Millisecond))
	n.unharmed(t, "large bodies for a slow endpoint", quiet)
	if held := n.relay.metric("relay_notify_withheld_deliveries_total{cause=\"bytes\"}"); held == 0 {
		t.Error("the metric does not tell that the slow endpoint had its share")
	}
}

// Messages with a key and many subscribers wait for their lane by their keys: none may overtake another at any of them.
func TestManySubscribersGetTheMessagesOfAKeyInOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=200ms")
	const subscribers, keys, each = 40, 6, 20
	checks := make([]sequences, subscribers)
	for i := range checks {
		s.exec(t, "insert into relay.subscription (name, topics, target) values ($1, array['t.#'], $2)", fmt.Sprint("s", i), newReceiver(t, checks[i].check(0.02)).URL)
	}
	ordered(t, s, keys, each)
	harness.Eventually(t, 90*time.Second, "all messages have ended", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'done'") == fmt.Sprint(keys*each)
	})
	for i := range checks {
		checks[i].verify(t, keys, each)
	}
}
