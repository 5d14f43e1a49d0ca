package operate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"relay"
)

// TestATimelineNamesEveryGap: a lane for each delivery, from the commit to the end, without time that has no name.
func TestATimelineNamesEveryGap(t *testing.T) {
	t.Parallel()
	commit := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) *time.Time { one := commit.Add(time.Duration(seconds) * time.Second); return &one }
	attempt := func(subscription string, number, begin int, outcome relay.DeliveryStatus) Attempt {
		return Attempt{Subscription: subscription, Attempt: number, StartedAt: *at(begin), DurationMS: 1000, Outcome: outcome}
	}
	d := MessageDetail{
		Message: Message{CreatedAt: commit, DeliverAt: at(5)},
		Deliveries: []Delivery{
			{Subscription: "stock", Status: relay.DeliveryDead, UpdatedAt: at(21)},
			{Subscription: "billing", Status: relay.DeliveryHandled, DeliveredAt: at(8), HandledAt: at(30)},
			{Subscription: "archive", Status: relay.DeliveryWaiting, Reason: relay.ReasonPaused},
			{Subscription: "retry", Status: relay.DeliveryPushFailed},
		},
		Attempts: []Attempt{
			attempt("stock", 2, 20, relay.DeliveryHandleFailed), attempt("stock", 1, 7, relay.DeliveryPushFailed),
			attempt("billing", 1, 7, relay.DeliveryAwaitingAck), attempt("retry", 1, 7, relay.DeliveryPushFailed),
		},
	}
	want := []string{
		"stock: delayed 0-5, queued 5-7, attempt 7-8, interval 8-20, attempt 20-21, ended 21",
		"billing: delayed 0-5, queued 5-7, attempt 7-8, awaiting_ack 8-30, acknowledged 30, ended 30",
		"archive: delayed 0-5, waiting 5 paused",
		"retry: delayed 0-5, queued 5-7, attempt 7-8, interval 8",
	}
	lanes := d.Timeline()
	if len(lanes) != len(want) {
		t.Fatalf("%d lanes, want %d", len(lanes), len(want))
	}
	for i, lane := range lanes {
		if got := laneText(lane, commit); got != want[i] {
			t.Errorf("%s\nwant %s", got, want[i])
		}
	}
}

// laneText writes a lane with the seconds since the commit.
func laneText(lane Lane, commit time.Time) string {
	var steps []string
	for _, s := range lane.Steps {
		text := fmt.Sprintf("%s %.0f", s.Kind, s.From.Sub(commit).Seconds())
		if s.To != nil {
			text += fmt.Sprintf("-%.0f", s.To.Sub(commit).Seconds())
		}
		if s.Reason != "" {
			text += " " + s.Reason
		}
		steps = append(steps, text)
	}
	return lane.Subscription + ": " + strings.Join(steps, ", ")
}
