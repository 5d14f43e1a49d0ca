package sql

import (
	"fmt"
	"testing"
	"time"

	"relay"
)

func TestWhatIsOutstandingIsKeptOnceAMinute(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	minute := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	write := func(after time.Duration, messages, stock int64, exact bool) {
		t.Helper()
		st := Standing{
			Pending: Count{messages - 1, exact}, Open: Count{1, true}, UnfinishedExact: true,
			Unfinished: []StandingGroup{{Subscription: "stock", Status: relay.DeliveryWaiting, N: int(stock) - 1}, {Subscription: "stock", Status: relay.DeliveryPushFailed, N: 1}},
		}
		if err := s.WritePulseStanding(t.Context(), minute.Add(after), st); err != nil {
			t.Fatal(err)
		}
	}
	write(30*time.Second, 7, 3, true)
	write(40*time.Second, 9, 4, true) // of the same minute, by another relay
	write(time.Minute, StandingLimit, 2, false)
	write(2*time.Minute, 5, 2, true)
	for _, tt := range []struct {
		subscription string
		step         time.Duration
		want         string
	}{
		{"", time.Minute, "[{7 true} {200000 false} {5 true}]"},
		{"", time.Hour, "[{200000 false}]"}, // the most of a step, and at least that if one of its counts was cut
		{"stock", time.Minute, "[{3 true} {2 true} {2 true}]"},
		{"none", time.Hour, "[{0 true}]"},
	} {
		points, err := s.Pulse(t.Context(), PulseQuery{Subscription: tt.subscription, From: minute, To: minute.Add(10 * time.Minute), Step: tt.step})
		if err != nil {
			t.Fatal(err)
		}
		var got []Count
		for _, p := range points {
			got = append(got, *p.Outstanding)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%q in steps of %s: %v, want %s", tt.subscription, tt.step, got, tt.want)
		}
	}
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.pulse_standing set minute = minute - $1::interval where messages = 7", PulseKept); err != nil {
		t.Fatal(err)
	}
	if n, err := s.RetainPulse(t.Context()); n != 1 || err != nil {
		t.Errorf("removed %d old rows, want 1: %v", n, err)
	}
}
