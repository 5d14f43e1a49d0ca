package main

import (
	"strings"
	"testing"

	"relay/sql"
)

// What waits since the broker was away needs no new address of the broker, and nothing at all once it is back.
func TestWhatWaitedForTheBrokerIsNotToldToSetItsAddress(t *testing.T) {
	t.Parallel()
	waiting := sql.Waiting{
		Circuit: "audit", Subscription: "audit", Why: "push_failed", Count: 2,
		Error: "no connection to the broker: amqp://localhost:5672: connection refused; to mend it: start the broker at localhost:5672; or set RELAY_AMQP_URL to where it is",
	}
	for up, want := range map[bool]string{false: "start the broker, or set RELAY_AMQP_URL to where it is, as the line broker says, then relay messages retry --status open",
		true: "wait: the broker answers again, and they go when they are due; or at once: relay messages retry --status open"} {
		d := &doctor{relays: []sql.ReportingRelay{{Report: sql.Report{Broker: &sql.BrokerReport{Up: up}}}}}
		if got := d.mendWaiting(waiting); !strings.HasPrefix(got, want) {
			t.Errorf("the broker answers: %v: %q, want %q", up, got, want)
		}
	}
}
