package pulse

import (
	"fmt"
	"testing"
	"time"

	"relay"
	"relay/sql"
)

var noon = time.Date(2026, 11, 30, 12, 0, 5, 0, time.UTC)

func TestThePulseCountsWhatBecameOfEachAttempt(t *testing.T) {
	t.Parallel()
	p := New(Config{Metrics: NewMetrics(nil)})
	change := func(status, outcome relay.DeliveryStatus, attempt int) sql.Change {
		c := sql.Change{Delivery: relay.DeliveryID{Subscription: "a"}, Status: status, Due: noon}
		if attempt > 0 {
			c.Attempt = &relay.Attempt{Number: attempt, Started: noon, Duration: 4 * time.Millisecond, Outcome: outcome}
		}
		switch {
		case outcome == relay.DeliveryPushFailed:
			c.Cause = relay.CauseTimeout
		case outcome == relay.DeliveryHandleFailed:
			c.Cause = relay.HTTPCause(500)
		case status == relay.DeliveryDead:
			c.Cause = relay.CauseNoAck
		}
		return c
	}
	p.Wrote([]sql.Change{
		change(relay.DeliveryHandled, relay.DeliveryHandled, 1),
		change(relay.DeliveryDelivered, relay.DeliveryDelivered, 2),
		change(relay.DeliveryAwaitingAck, relay.DeliveryAwaitingAck, 1),
		change(relay.DeliveryPushFailed, relay.DeliveryPushFailed, 1),
		change(relay.DeliveryPushFailed, relay.DeliveryPushFailed, 2),
		change(relay.DeliveryDead, relay.DeliveryHandleFailed, 3),
		change(relay.DeliveryDead, "", 0),
		change(relay.DeliveryWaiting, "", 0),
		{MessageStatus: relay.MessageRejected}, // of a message without a delivery
	}, noon)
	_, outcomes := p.take()
	if len(outcomes) != 1 {
		t.Fatalf("%+v", outcomes)
	}
	o := outcomes[0]
	want := "accepted 3, handled 2, push 2, handle 1, dead 2, wait 2, total 2, causes map[http 500:1 no ack:1 timeout:2]"
	got := fmt.Sprintf("accepted %d, handled %d, push %d, handle %d, dead %d, wait %d, total %d, causes %v", o.Accepted, o.Handled, o.PushFailed, o.HandleFailed,
		o.Dead, sumOf(o.Wait), sumOf(o.Total), o.Causes)
	if got != want || !o.Minute.Equal(noon.Truncate(time.Minute)) {
		t.Errorf("%s at %s, want %s", got, o.Minute, want)
	}
	if p50 := o.Wait.Quantile(.5); p50 < 2500*time.Microsecond || p50 > 5*time.Millisecond {
		t.Errorf("the median of 4 ms is %s", p50)
	}
	if _, again := p.take(); len(again) != 0 {
		t.Errorf("counted twice: %+v", again)
	}
}

func sumOf(l sql.Latencies) (n int64) {
	for _, one := range l {
		n += one
	}
	return n
}

// Sources and topics are what applications write: their number is bounded.
func TestThePulseBoundsItsPairs(t *testing.T) {
	t.Parallel()
	p := New(Config{Metrics: NewMetrics(nil)})
	for i := range 2 * pulsePairs {
		p.Took(&relay.Message{Topic: fmt.Sprint("t", i), Body: []byte("abc")}, i%2 == 1, noon)
	}
	sent, _ := p.take()
	var taken, rejected, bytes int64
	for _, one := range sent {
		taken, rejected, bytes = taken+one.Taken, rejected+one.Rejected, bytes+one.Bytes
	}
	if len(sent) != pulsePairs+1 || taken != pulsePairs || rejected != pulsePairs || bytes != 6*pulsePairs {
		t.Errorf("%d pairs, %d taken, %d rejected, %d bytes", len(sent), taken, rejected, bytes)
	}
	p.giveBack(sent, nil, noon.Add(time.Minute))
	p.giveBack(sent, nil, noon.Add(time.Hour))
	again, _ := p.take()
	taken = 0
	for _, one := range again {
		taken += one.Taken
	}
	if len(again) > pulsePairs+1 || taken != pulsePairs {
		t.Errorf("%d pairs with %d messages are written again, want what is young enough, once", len(again), taken)
	}
}
