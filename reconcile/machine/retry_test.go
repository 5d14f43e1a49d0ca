package machine

import (
	"strings"
	"testing"
	"time"

	"relay"
	"relay/retry"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome relay.Outcome
		attempt int
		status  relay.DeliveryStatus
		record  relay.DeliveryStatus
		next    time.Duration // at least; negative: none
	}{
		"handled":        {outcome: relay.Outcome{Class: relay.ClassHandled}, attempt: 1, status: relay.DeliveryHandled, record: relay.DeliveryHandled, next: -1},
		"delivered":      {outcome: relay.Outcome{Class: relay.ClassDelivered}, attempt: 1, status: relay.DeliveryDelivered, record: relay.DeliveryDelivered, next: -1},
		"awaits":         {outcome: relay.Outcome{Class: relay.ClassAwaitingAck}, attempt: 1, status: relay.DeliveryAwaitingAck, record: relay.DeliveryAwaitingAck, next: 0},
		"push":           {outcome: relay.Outcome{Class: relay.ClassPushFailed}, attempt: 1, status: relay.DeliveryPushFailed, record: relay.DeliveryPushFailed, next: 900 * time.Millisecond},
		"retry after":    {outcome: relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: time.Minute}, attempt: 1, status: relay.DeliveryPushFailed, record: relay.DeliveryPushFailed, next: time.Minute},
		"last":           {outcome: relay.Outcome{Class: relay.ClassPushFailed}, attempt: 3, status: relay.DeliveryDead, record: relay.DeliveryPushFailed, next: -1},
		"handle":         {outcome: relay.Outcome{Class: relay.ClassHandleFailed}, attempt: 2, status: relay.DeliveryHandleFailed, record: relay.DeliveryHandleFailed, next: 900 * time.Millisecond},
		"dead":           {outcome: relay.Outcome{Class: relay.ClassDead}, attempt: 1, status: relay.DeliveryDead, record: relay.DeliveryHandleFailed, next: -1},
		"dead push":      {outcome: relay.Outcome{Class: relay.ClassDead, Push: true}, attempt: 1, status: relay.DeliveryDead, record: relay.DeliveryPushFailed, next: -1},
		"unknown":        {outcome: relay.Outcome{Class: relay.ClassUnknown}, attempt: 1, status: relay.DeliveryPushFailed, next: time.Second},
		"last, instance": {outcome: relay.Outcome{Class: relay.ClassPushFailed, Gone: true}, attempt: 3, status: relay.DeliveryCancelled, record: relay.DeliveryPushFailed, next: -1},
	} {
		d, s := drive(t, testConfig), subscriber("s")
		send := d.plain(1, s)[0]
		send.Delivery.Attempt = c.attempt
		c.outcome.Started = time.Unix(1, 0)
		d.do(answered(send, c.outcome))
		change := one[Write](d).Changes[0]
		if change.Status != c.status || c.next < 0 && change.Next >= 0 || change.Next < c.next {
			t.Errorf("%s: %+v", name, change)
		}
		if c.record == "" != (change.Attempt == nil) || c.record != "" && change.Attempt.Outcome != c.record {
			t.Errorf("%s: recorded %+v", name, change.Attempt)
		}
	}
}

func TestOwnLimits(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	s.MaxAttempts, s.MaxHandleAttempts, s.Backoff = 9, 1, []time.Duration{time.Hour}
	d.do(answered(d.plain(1, s)[0], failed(relay.ClassPushFailed)))
	if c := one[Write](d).Changes[0]; c.Next < 50*time.Minute {
		t.Errorf("next after %s", c.Next)
	}
	d.do(answered(d.plain(2, s)[0], failed(relay.ClassHandleFailed)))
	if c := one[Write](d).Changes[0]; c.Status != relay.DeliveryDead {
		t.Errorf("%+v", c)
	}
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Policy.GiveUpAfter = 500 * time.Millisecond
	d, s := drive(t, config), subscriber("s")
	send := d.plain(1, s)[0]
	d.do(answered(send, failed(relay.ClassPushFailed)))
	if c := one[Write](d).Changes[0]; c.Next > 520*time.Millisecond {
		t.Errorf("next after %s, beyond its end", c.Next)
	}
	send = d.plain(2, s)[0]
	d.now += time.Second
	d.do(answered(send, failed(relay.ClassPushFailed)))
	if c := one[Write](d).Changes[0]; c.Status != relay.DeliveryDead || !strings.Contains(c.Error, "RELAY_GIVE_UP_AFTER") {
		t.Errorf("%+v", c)
	}
	d.due(3, s)
	row := openRow(3, "", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})
	row.Waited = time.Hour
	d.do(RowRead{Entry: openID(3, s), Snapshot: shows(1000), Verdict: Readable, Row: row})
	for _, c := range d.take() {
		if w, ok := c.(Write); ok && w.Changes[0].Status != relay.DeliveryDead {
			t.Errorf("%+v", w)
		}
	}
}
