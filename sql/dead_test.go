package sql

import (
	"slices"
	"testing"

	"relay"
)

func TestWhatWantsTheDead(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for pattern, want := range map[string]bool{
		"relay.dead": true, "relay.*": true, "relay.#": true, "relay.#.dead": true, "relay.dead.#": true, "relay.#.*": true, "relay.#.#": true,
		"#": false, "*.dead": false, "#.dead": false, "*.*": false, "relay": false, "relay.dead.*": false, "relay.*.dead": false, "relay.dead.dead": false,
		"relayed.dead": false, "relay.deadly": false, "relay_dead": false, "relay.*.*": false,
	} {
		var got bool
		err := s.pool.QueryRow(t.Context(), "select relay.wants_dead(array['other', $1])", pattern).Scan(&got)
		if err != nil || got != want {
			t.Errorf("%s: %v, want %v: %v", pattern, got, want, err)
		}
	}
}

func TestShownTargetsAreThoseThatGoShows(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for _, text := range []string{
		"http://h/", "https://user:hunter2@h:8080/a@b?token=hunter2&x=?", "http://u:p%40@h", "HTTP://u@h/p?x", "http://h?a@b", "amqp:ex/key", "amqp:/queue?x",
		"http://u:p@w@h/x", "http://h/a?b/c@d",
	} {
		target, err := relay.ParseTarget(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got string
		if err := s.pool.QueryRow(t.Context(), "select relay.shown_target($1)", text).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if shown := target.Redacted(); got != shown && got != "HTTP"+shown[min(4, len(shown)):] {
			t.Errorf("%s: %s, want %s", text, got, shown)
		}
	}
}

func TestADeathIsPublishedOnceAndInItsTransaction(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	count := func() (n int) {
		if err := admin.QueryRow(t.Context(), "select count(*) from relay.outbox where topic = 'relay.dead'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	die := func(id relay.ID) {
		t.Helper()
		c := taken(id, "direct", relay.DeliveryDead)
		c.MessageStatus = relay.MessageDead
		if ids, err := s.WriteTaken(t.Context(), lease, []Change{c}); err != nil || len(ids) != 1 {
			t.Fatal(ids, err)
		}
	}
	die(insert(t, admin, "topic", "'t'"))
	if n := count(); n != 0 {
		t.Errorf("%d published that nobody wants", n)
	}
	set(t, s, "everything", `{"topics": ["#"], "target": "http://h/"}`)
	die(insert(t, admin, "topic", "'t'"))
	if n := count(); n != 0 {
		t.Errorf("%d published for a subscription to everything", n)
	}
	set(t, s, "alert", `{"topics": ["x", "relay.dead"], "target": "http://h/"}`)
	id := insert(t, admin, "topic", "'t'")
	die(id)
	if n := count(); n != 1 {
		t.Errorf("%d published, want 1", n)
	}
	if _, err := s.RetryMessages(t.Context(), []relay.ID{id}, []relay.MessageStatus{"dead"}); err != nil {
		t.Fatal(err)
	}
	die(id)
	if n := count(); n != 2 {
		t.Errorf("%d published after it died again, want 2", n)
	}
	die(insert(t, admin, "topic, internal", "'relay.dead', true"))
	if n := count(); n != 3 { // with the one that has just been inserted
		t.Errorf("%d published, the death of a relay.dead message among them", n)
	}
	rejected := taken(insert(t, admin, "topic, destination", "'t', 'http://u:hunter2@h/'"), "", "")
	rejected.MessageStatus, rejected.Attempt = relay.MessageRejected, nil
	for range 2 {
		if _, err := s.WriteTaken(t.Context(), lease, []Change{rejected}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 4 {
		t.Errorf("%d published after a rejection, want 4", n)
	}
	if _, err := s.CancelMessages(t.Context(), []relay.ID{id}, []relay.MessageStatus{"dead"}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 4 {
		t.Errorf("%d published after a cancel, want 4", n)
	}
}

func TestAReplayOfEverythingLeavesOutTheDead(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	order := insert(t, admin, "topic, status", "'order.created', 'done'")
	alert := insert(t, admin, "topic, status, internal", "'relay.dead', 'done', true")
	for pattern, want := range map[string][]relay.ID{"#": {order}, "*.*": {order}, "relay.#": {alert}, "relay.dead": {alert}, "order.#": {order}} {
		if got := find(t, s, MessageFilter{ReplayTo: "sub", Topics: []string{pattern}}); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", pattern, got, want)
		}
	}
}
