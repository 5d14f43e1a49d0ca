package sql

import (
	"slices"
	"testing"
	"time"

	"relay"
)

// A row with such a time made the whole batch unreadable, was never due, or was due at once
// again and again.
func TestTimesBeyondTheCalendarAreRead(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	insertAll := func(times ...string) (ids []relay.ID) {
		for _, at := range times {
			ids = append(ids, insert(t, admin, "topic, deliver_at", "'t', $1::text::timestamptz", at))
		}
		return ids
	}
	early := insertAll("-infinity", "4000-01-01 BC", "1970-01-01")
	late := insertAll("infinity", "294276-01-01", "2400-01-01")
	limits := Limits{MaxPayload: 100, Budget: 100}
	rows, err := s.ReadMessages(t.Context(), slices.Concat(early, late), limits)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		switch {
		case i >= len(early):
			if row.Verdict != NotDue {
				t.Errorf("row %d: verdict %d, want %d", i, row.Verdict, NotDue)
			}
		case row.Verdict != Readable || row.Message.Due() != row.Message.CreatedAt:
			t.Errorf("row %d: verdict %d, due since %s, before it was inserted", i, row.Verdict, row.Message.Due())
		}
	}
	due, err := s.DueMessages(t.Context(), shardsOf(lease), time.Time{}, 10)
	if err != nil || len(due) != len(early) {
		t.Errorf("%d messages are due, want %d: %v", len(due), len(early), err)
	}
	next, some, err := s.NextDue(t.Context(), shardsOf(lease))
	if err != nil || !some || next < time.Hour {
		t.Errorf("the next is due in %s: %v", next, err)
	}
	for _, id := range early {
		change := failed(id, 0)
		if _, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil {
			t.Fatal(err)
		}
		deliveries, err := s.ReadDeliveries(t.Context(), []DeliveryID{change.Delivery}, limits)
		if err != nil || deliveries[0].DueAt != deliveries[0].Message.CreatedAt {
			t.Errorf("delivery: %+v: %v", deliveries, err)
		}
	}
	if overdue, err := s.Overdue(t.Context(), shardsOf(lease), 24*time.Hour, 10); err != nil || len(overdue) != 0 {
		t.Errorf("%d deliveries of new messages are overdue: %v", len(overdue), err)
	}
	const byHand = "update relay.delivery set next_attempt_at = '-infinity'"
	if _, err := admin.Exec(t.Context(), byHand); err != nil {
		t.Fatal(err)
	}
	if due, err := s.DueDeliveries(t.Context(), shardsOf(lease), time.Time{}, 10); err != nil || len(due) != len(early) {
		t.Errorf("%d deliveries are due, want %d: %v", len(due), len(early), err)
	}
}
