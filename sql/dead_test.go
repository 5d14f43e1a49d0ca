package sql

import (
	"slices"
	"strings"
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
		"http://h/", "https://user:hunter2@h:8080/a@b?token=hunter2&x=?", "http://u:p%40@h", "HTTP://u@H/p?x", "http://h?a@b", "amqp:ex/key", "amqp:/queue?x",
		"http://u:p@w@h/x", "http://h/a?b/c@d", " http://h/ \n", "billing", "10.0.0.1:8080", "[fe80::1]:80", "[fe80::1%eth0]:80", "", "http://h/?", "http://h:/x?",
		"https://hooks.example/services/T0123456789ABCDE/B01234567890ABCDEF/hunter2hunter2hunter2", "http://[::1]:8080/0123456789abcde/0123456789abcdef",
		"http://h/größe/x", "http://h/123%20567890123456/12%2067890123456789/1%20567890123456", "http://[fe80::1%25eth0]/", "amqp:my exchange/a b", "amqp:größe/x",
		// None of these can be read.
		"http://user:hunter2/x@example.com/", "http://user:hunter%zz2@example.com/", "http://user:hunter2@exa mple.com/", "http://user:hunter2@example.com:x/",
		"http://user:hunter2@[::1/", "http://user:hunter2 @example.com/", "http://user:hunter2@/", "http://user:99999hunter2/@example.com/",
		"ftp://user:hunter2@example.com/", "amqp://user:hunter2@broker/", "amqps://user:hunter2@broker/", "amqp:user:hunter2@broker/vhost", "http:/h/hunter2",
		"http://h/hunter2#x", "http://h\\hunter2", "http://user:hunter2@größe.example/", "http://h/p?q=hunter2 HTTP/1.0", "postgres://user:hunter2@h/", "two hunter2",
		"http://h:80:80/hunter2", "amqp:hunter2", "http://h/%hunter2", "https://hook.example/hunter2\x01/",
	} {
		var got string
		if err := s.pool.QueryRow(t.Context(), "select relay.shown_target($1)", text).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if shown := relay.ShownTarget(text); got != strings.Trim(shown, " \n") {
			t.Errorf("%q: %q, want %q", text, got, shown)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
	var none bool
	if err := s.pool.QueryRow(t.Context(), "select relay.shown_target(null) is null").Scan(&none); err != nil || !none {
		t.Errorf("no target is shown: %v", err)
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
		t.Errorf("%d published that no subscriber wants", n)
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
