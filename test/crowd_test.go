package test

import (
	"flag"
	"fmt"
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
