package sql

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Every change by hand tells the relays, at once, which messages are pending again, or else
// one message, so that they look at what is due.
func TestAChangeByHandRings(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	ear, err := pgx.Connect(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer ear.Close(context.WithoutCancel(t.Context()))
	if _, err := ear.Exec(t.Context(), "listen relay_changed"); err != nil {
		t.Fatal(err)
	}
	// heard returns the ids of the next notification, or none if there is none soon.
	heard := func() []string {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		n, err := ear.WaitForNotification(ctx)
		for err == nil && n.Payload == "" { // of the test's own statements
			n, err = ear.WaitForNotification(ctx)
		}
		if err != nil {
			return nil
		}
		ids := strings.Split(n.Payload, ",")
		slices.Sort(ids)
		return ids
	}
	first, second := insert(t, admin, "topic, status", "'t', 'dead'"), insert(t, admin, "topic, status", "'t', 'rejected'")
	open, done := insert(t, admin, "topic, status, outstanding", "'t', 'open', 1"), insert(t, admin, "topic, status", "'t', 'done'")
	waitingDelivery(t, s, open, "sub", "push_failed", "1 hour")
	blocking(t, s)
	both := []string{first.String(), second.String()}
	slices.Sort(both)
	all := []relay.MessageStatus{"pending", "open", "dead", "rejected"}
	for _, c := range []struct {
		name   string
		change func() error
		want   []string
	}{
		{"nothing", func() error { _, err := s.RetryMessages(t.Context(), []relay.ID{done}, all); return err }, nil},
		{"pending again", func() error {
			_, err := s.RetryMessages(t.Context(), []relay.ID{done, first, open, second}, all)
			return err
		}, both},
		{"due at once", func() error { _, err := s.RetryMessages(t.Context(), []relay.ID{done, open}, all); return err }, []string{open.String()}},
		{"one subscriber", func() error { _, err := s.RetryDeliveries(t.Context(), []relay.ID{open}, "sub", false); return err }, []string{open.String()}},
		{"cancelled", func() error { _, err := s.CancelMessages(t.Context(), []relay.ID{open}, all); return err }, []string{open.String()}},
	} {
		if _, err := admin.Exec(t.Context(), "update relay.delivery set next_attempt_at = now() + interval '1 hour' where next_attempt_at is not null"); err != nil {
			t.Fatal(err)
		}
		if err := c.change(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := heard(); !slices.Equal(got, c.want) {
			t.Errorf("%s: heard %v, want %v", c.name, got, c.want)
		}
	}
	head := keyed(t, admin, "k", "dead", "blocks dead")
	for name, change := range map[string]func() error{
		"retry a head": func() error { _, err := s.RetryHeads(t.Context(), "blocks", "k"); return err },
		"delete":       func() error { _, _, err := s.CancelOutstanding(t.Context(), "blocks", "why", 10); return err },
	} {
		if _, err := admin.Exec(t.Context(), "update relay.delivery set status = 'waiting' where message_id = $1", [16]byte(head)); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := heard(); !slices.Equal(got, []string{head.String()}) {
			t.Errorf("%s: heard %v", name, got)
		}
	}
}
