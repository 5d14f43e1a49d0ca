package sql

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"relay"
)

func set(t *testing.T, s *Store, name, columns string) {
	t.Helper()
	if _, err := s.SetSubscription(t.Context(), name, []byte(columns), true); err != nil {
		t.Fatal(err)
	}
}

func TestSetChangesWhatIsGivenAlone(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	set(t, s, "sub", `{"topics": ["a.#"], "target": "http://h/", "timeout": "1500000 microseconds", "backoff": ["1 seconds", "2 seconds"],
		"concurrency": 3, "rate_limit": 2.5, "max_attempts": 4, "max_handle_attempts": 1, "secrets": ["x"], "headers": {"a": "b"}, "on_dead": "block"}`)
	before, err := s.ListSubscriptions(t.Context())
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	f := before[0]
	if *f.Timeout != 1500*time.Millisecond || !slices.Equal(f.Backoff, []time.Duration{time.Second, 2 * time.Second}) || *f.RateLimit != 2.5 || *f.Concurrency != 3 ||
		*f.MaxAttempts != 4 || *f.MaxHandleAttempts != 1 || f.Secrets != 1 || !slices.Equal(f.Headers, []string{"a"}) || f.OnDead != "block" || f.AckTimeout != time.Minute || !f.Ordered {
		t.Errorf("%+v", f)
	}
	created, err := s.SetSubscription(t.Context(), "sub", []byte(`{"timeout": null, "ordered": false}`), true)
	if err != nil || created {
		t.Fatal(created, err)
	}
	after, err := s.ListSubscriptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a := after[0]; a.Timeout != nil || a.Ordered || *a.Concurrency != 3 || a.Target != "http://h/" || !a.CreatedAt.Equal(f.CreatedAt) {
		t.Errorf("%+v", a)
	}
	if _, err := s.SetSubscription(t.Context(), "none", []byte(`{"paused": true}`), false); !errors.Is(err, ErrNoSubscription) {
		t.Errorf("a subscription that is not there: %v", err)
	}
}

func TestARefusedSettingNamesItsColumn(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for columns, want := range map[string]string{
		`{"target": "http://h/"}`:                                          "topics",
		`{"topics": ["a"]}`:                                                "target",
		`{"topics": [""], "target": "http://h/"}`:                          "topics",
		`{"topics": ["a"], "target": "http://h/", "ack": "never"}`:         "ack",
		`{"topics": ["a"], "target": "http://h/", "on_dead": "x"}`:         "on_dead",
		`{"topics": ["a"], "target": "http://h/", "concurrency": 0}`:       "concurrency",
		`{"topics": ["a"], "target": "http://h/", "backoff": ["2 years"]}`: "backoff",
		`{"topics": ["a"], "target": "http://h/", "ordered": null}`:        "ordered",
	} {
		_, err := s.SetSubscription(t.Context(), "sub", []byte(columns), true)
		var refused RefusedSetting
		if !errors.As(err, &refused) || !slices.Contains(refused.Columns, want) {
			t.Errorf("%s: %v", columns, err)
		}
	}
	_, err := s.SetSubscription(t.Context(), "a:b", []byte(`{"topics": ["a"], "target": "http://h/"}`), true)
	if err == nil || !strings.Contains(err.Error(), "name: ") {
		t.Errorf("a bad name: %v", err)
	}
}

func TestListCountsWhatIsOutstandingAndDead(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	set(t, s, "busy", `{"topics": ["a"], "target": "http://h/"}`)
	set(t, s, "idle", `{"topics": ["a"], "target": "http://h/"}`)
	for _, status := range []string{"waiting", "waiting", "push_failed", "dead", "handled"} {
		waitingDelivery(t, s, insert(t, admin, "topic, status, outstanding", "'a', 'open', 1"), "busy", status, "")
	}
	list, err := s.ListSubscriptions(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	busy, idle := list[0], list[1]
	if !slices.Equal(busy.Outstanding, []StatusCount{{"push_failed", 1}, {"waiting", 2}}) || busy.Dead != 1 || busy.Oldest == nil {
		t.Errorf("%+v", busy)
	}
	if idle.Outstanding != nil || idle.Dead != 0 || idle.Oldest != nil {
		t.Errorf("%+v", idle)
	}
}

func TestCancellingWhatIsOutstandingEndsMessagesAccordingly(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	set(t, s, "sub", `{"topics": ["a"], "target": "http://h/"}`)
	add := func(outstanding int, deliveries ...string) relay.ID {
		id := insert(t, admin, "topic, status, outstanding", "'a', 'open', $1", outstanding)
		for i := 0; i < len(deliveries); i += 2 {
			waitingDelivery(t, s, id, deliveries[i], deliveries[i+1], "")
		}
		return id
	}
	want := map[relay.ID]string{
		add(1, "sub", "waiting"):                       "cancelled",
		add(1, "sub", "push_failed", "x", "handled"):   "done",
		add(1, "sub", "awaiting_ack", "x", "dead"):     "dead",
		add(2, "sub", "handle_failed", "x", "waiting"): "open",
	}
	gone := add(1, "sub", "awaiting_ack")
	if _, err := admin.Exec(t.Context(), "delete from relay.outbox where id = $1", [16]byte(gone)); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteSubscription(t.Context(), "sub"); !errors.Is(err, ErrOutstanding) {
		t.Fatalf("deleted with deliveries outstanding: %v", err)
	}
	if n, err := s.CountOutstanding(t.Context(), "sub"); n != 5 || err != nil {
		t.Errorf("%d outstanding: %v", n, err)
	}
	if cancelled, found, err := s.CancelOutstanding(t.Context(), "sub", "because", 100); cancelled != 4 || found != 5 || err != nil {
		t.Errorf("cancelled %d of %d: %v", cancelled, found, err)
	}
	for id, status := range want {
		if got, outstanding := messageStatus(t, admin, id); got != status || (outstanding == 0) != (status != "open") {
			t.Errorf("message is %s with %d outstanding, want %s", got, outstanding, status)
		}
	}
	var n int
	err := admin.QueryRow(t.Context(), "select count(*) from relay.delivery where subscription = 'sub' and status = 'cancelled' and last_error = 'because'").Scan(&n)
	if err != nil || n != 4 {
		t.Errorf("%d deliveries say why: %v", n, err)
	}
	if err := s.DeleteSubscription(t.Context(), "sub"); err != nil {
		t.Error(err)
	}
	if err := s.DeleteSubscription(t.Context(), "sub"); !errors.Is(err, ErrNoSubscription) {
		t.Errorf("deleted twice: %v", err)
	}
}
