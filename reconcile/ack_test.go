package reconcile

import (
	"strings"
	"testing"
	"time"

	"relay"
	"relay/sql"
)

func TestAWordBecomesAChange(t *testing.T) {
	t.Parallel()
	p := testPolicy()
	for name, c := range map[string]struct {
		attempt, handleAttempts, most int
		ack                           relay.Ack
		counted                       bool
		status                        relay.DeliveryStatus
		again                         bool
	}{
		"handled":                   {1, 0, 0, relay.Ack{Handled: true}, false, relay.DeliveryHandled, false},
		"failed":                    {1, 0, 0, relay.Ack{Retry: true}, false, relay.DeliveryHandleFailed, true},
		"failed for good":           {1, 0, 0, relay.Ack{}, false, relay.DeliveryDead, false},
		"failed at the last":        {3, 0, 0, relay.Ack{Retry: true}, false, relay.DeliveryDead, false},
		"failed once too often":     {2, 1, 2, relay.Ack{Retry: true}, false, relay.DeliveryDead, false},
		"failed, as it answered":    {1, 1, 2, relay.Ack{Retry: true}, true, relay.DeliveryHandleFailed, true},
		"for good, and it answered": {1, 1, 2, relay.Ack{}, true, relay.DeliveryDead, false},
	} {
		d := testDelivery(c.attempt)
		d.Subscriber.MaxHandleAttempts = c.most
		s := state{status: relay.DeliveryAwaitingAck, attempts: c.attempt, handleAttempts: c.handleAttempts, due: time.Now(), accepted: true}
		got := p.acknowledged(d, s, sql.AckRow{Attempt: c.attempt, Ack: c.ack, Counted: c.counted})
		if got.Status != c.status || got.NextAttempt >= 0 != c.again || got.Attempts != c.attempt || !got.Ackable || got.AckAttempt != c.attempt {
			t.Errorf("%s: %+v", name, got)
		}
		if failed := !c.ack.Handled; (failed && !c.counted) != (got.HandleAttempts == c.handleAttempts+1) || failed != (got.Attempt != nil) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What was accepted waits for its word, and after that for another attempt, never parked
// where nobody looks for it.
func TestAcceptedDeliveries(t *testing.T) {
	t.Parallel()
	p, d := testPolicy(), testDelivery(1)
	d.Subscriber.AckByConsumer, d.Subscriber.AckTimeout = true, time.Minute
	c := p.change(d, state{}, relay.Outcome{Class: relay.ClassAwaitingAck})
	if c.Status != relay.DeliveryAwaitingAck || c.NextAttempt != time.Minute || !c.Ackable {
		t.Errorf("accepted: %+v", c)
	}
	s := state{status: relay.DeliveryAwaitingAck, attempts: 1, accepted: true}
	c = p.change(d, s, relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonPaused})
	if c.Status != relay.DeliveryWaiting || c.Reason != relay.ReasonPaused {
		t.Errorf("paused when it is to go again: %+v", c)
	}
	if text := silent(d.Subscriber, 3); !strings.Contains(text, "ack_timeout") || !strings.Contains(text, "1m0s") {
		t.Errorf("error %q", text)
	}
	e := &Engine{config: Config{Policy: p}}
	d.Message.Key = "k"
	for accepted, ordered := range map[bool]bool{true: false, false: true} {
		f := &flight{engine: e, state: state{accepted: accepted}}
		if f.add(d); f.legs[0].ordered() != ordered {
			t.Errorf("accepted %v: in order %v", accepted, f.legs[0].ordered())
		}
	}
}
