package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
)

// keyed adds a message with a key and its deliveries, each as "subscription status [reason]".
func keyed(t *testing.T, db *pgxpool.Pool, key, status string, deliveries ...string) relay.ID {
	t.Helper()
	id := insert(t, db, "topic, key, status, outstanding", "'t', $1, $2::text::relay.message_status, $3", key, status, len(deliveries))
	for _, d := range deliveries {
		words := append(strings.Fields(d), "")
		_, err := db.Exec(t.Context(), `insert into relay.delivery (message_id, subscription, target, status, reason, last_error, attempts, circuit, shard, seq, due_at, key)
			select id, $2, 'x', $3::text::relay.delivery_status, nullif($4, ''), case when $4 = '' then 'why' end, 3, 'c', shard, seq, created_at, key from relay.outbox where id = $1`,
			[16]byte(id), words[0], words[1], words[2])
		if err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// dueAmong lists those of the messages that have a delivery due at the subscription.
func dueAmong(t *testing.T, db *pgxpool.Pool, subscription string, ids ...relay.ID) (due []int) {
	t.Helper()
	for i, id := range ids {
		var is bool
		err := db.QueryRow(t.Context(), "select next_attempt_at <= clock_timestamp() from relay.delivery where message_id = $1 and subscription = $2 and next_attempt_at is not null union all select false limit 1",
			[16]byte(id), subscription).Scan(&is)
		if err != nil {
			t.Fatal(err)
		}
		if is {
			due = append(due, i)
		}
	}
	return due
}

func blocking(t *testing.T, s *Store) {
	t.Helper()
	set(t, s, "blocks", `{"topics": ["#"], "target": "http://h/", "on_dead": "block"}`)
	set(t, s, "goes", `{"topics": ["#"], "target": "http://h/"}`)
}

func TestHeldKeysShowHeadsAndWhatIsBehind(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	blocking(t, s)
	dead := keyed(t, admin, "a", "open", "blocks dead", "goes dead")
	keyed(t, admin, "a", "open", "blocks waiting key_blocked", "goes handled")
	keyed(t, admin, "a", "open", "blocks waiting key_blocked", "goes handled")
	failing := keyed(t, admin, "b", "open", "blocks push_failed", "goes push_failed")
	keyed(t, admin, "c", "done", "blocks handled", "goes handled")
	list, err := s.HeldKeys(t.Context(), "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range list.Keys {
		got = append(got, fmt.Sprint(k.Subscription, " ", k.Key, " ", k.Message, " ", k.Status, " ", k.Error, " ", k.Waiting))
	}
	want := []string{
		fmt.Sprintf("blocks a %s dead why 2", dead),
		fmt.Sprintf("blocks b %s push_failed why 0", failing),
		fmt.Sprintf("goes b %s push_failed why 0", failing),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if one, err := s.HeldKeys(t.Context(), "blocks", "", 1); err != nil || len(one.Keys) != 1 || one.Keys[0].Key != "a" || one.Next == "" {
		t.Errorf("one of a subscription: %v: %v", one, err)
	}
	got = nil
	for page, first := (KeyPage{}), true; first || page.Next != ""; first = false {
		if page, err = s.HeldKeys(t.Context(), "", page.Next, 1); err != nil || len(page.Keys) != 1 {
			t.Fatalf("%+v: %v", page, err)
		}
		k := page.Keys[0]
		got = append(got, fmt.Sprint(k.Subscription, " ", k.Key, " ", k.Message, " ", k.Status, " ", k.Error, " ", k.Waiting))
	}
	if !slices.Equal(got, want) {
		t.Errorf("page by page: %q\nwant %q", got, want)
	}
	if none, err := s.HeldKeys(t.Context(), "default", "", 100); err != nil || len(none.Keys) != 0 {
		t.Errorf("none of the default destination: %v: %v", none, err)
	}
}

func TestSkippingADeadHeadWakesTheNextOne(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	blocking(t, s)
	first := keyed(t, admin, "k", "dead", "blocks dead", "goes handled")
	second := keyed(t, admin, "k", "dead", "blocks dead", "goes dead")
	third := keyed(t, admin, "k", "open", "blocks waiting key_blocked")
	fourth := keyed(t, admin, "k", "open", "blocks waiting key_blocked")
	other := keyed(t, admin, "other", "open", "blocks waiting key_blocked")
	for i, head := range []struct {
		id     relay.ID
		status string
		due    []int
	}{{first, "done", nil}, {second, "dead", []int{0}}} {
		changes, err := s.SkipHeads(t.Context(), "blocks", "k")
		if err != nil || len(changes) != 1 || changes[0].Message != head.id || changes[0].Effect != EffectSkipped {
			t.Fatalf("skip %d: %+v: %v", i, changes, err)
		}
		if got, _ := messageStatus(t, admin, head.id); got != head.status {
			t.Errorf("skip %d: the message is %s, want %s", i, got, head.status)
		}
		if due := dueAmong(t, admin, "blocks", third, fourth, other); !slices.Equal(due, head.due) {
			t.Errorf("skip %d: due are %v, want %v", i, due, head.due)
		}
	}
	var says string
	err := admin.QueryRow(t.Context(), "select status || ': ' || last_error from relay.delivery where message_id = $1 and subscription = 'blocks'", [16]byte(first)).Scan(&says)
	if err != nil || says != "cancelled: skipped by a person; it was dead: why" {
		t.Errorf("it says %q: %v", says, err)
	}
	if changes, err := s.SkipHeads(t.Context(), "blocks", "k"); err != nil || len(changes) != 1 || changes[0].Effect != EffectGoesOn {
		t.Errorf("skip of what is not dead: %+v: %v", changes, err)
	}
	if changes, err := s.SkipHeads(t.Context(), "blocks", "none"); err != nil || len(changes) != 0 {
		t.Errorf("skip of a key that waits nowhere: %+v: %v", changes, err)
	}
}

func TestRetryingAHeadSendsItAlone(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	blocking(t, s)
	head := keyed(t, admin, "k", "dead", "blocks dead", "goes handled")
	if _, err := admin.Exec(t.Context(), "update relay.outbox set outstanding = 0, finished_at = now() where id = $1", [16]byte(head)); err != nil {
		t.Fatal(err)
	}
	behind := keyed(t, admin, "k", "open", "blocks waiting key_blocked")
	for range 2 {
		changes, err := s.RetryHeads(t.Context(), "blocks", "k")
		if err != nil || len(changes) != 1 || changes[0].Message != head || changes[0].Effect != EffectRetried {
			t.Fatalf("%+v: %v", changes, err)
		}
		if status, outstanding := messageStatus(t, admin, head); status != "open" || outstanding != 1 {
			t.Errorf("the message is %s with %d outstanding", status, outstanding)
		}
		if due := dueAmong(t, admin, "blocks", head, behind); !slices.Equal(due, []int{0}) {
			t.Errorf("due are %v", due)
		}
	}
	var stands string
	err := admin.QueryRow(t.Context(), "select string_agg(concat_ws(' ', subscription, status, attempts), ', ' order by subscription) from relay.delivery where message_id = $1", [16]byte(head)).Scan(&stands)
	if err != nil || stands != "blocks waiting 0, goes handled 3" {
		t.Errorf("deliveries %q: %v", stands, err)
	}
}

func TestACancelledHeadWakesTheNextOne(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	blocking(t, s)
	all := []relay.MessageStatus{"open", "dead", "pending"}
	for key, status := range map[string]string{"failing": "push_failed", "dead": "dead"} {
		head := keyed(t, admin, key, "open", "blocks "+status)
		pending := keyed(t, admin, key, "pending")
		next := keyed(t, admin, key, "open", "blocks waiting key_blocked")
		last := keyed(t, admin, key, "open", "blocks waiting key_blocked")
		if _, err := s.CancelMessages(t.Context(), []relay.ID{head}, all); err != nil {
			t.Fatal(err)
		}
		if due := dueAmong(t, admin, "blocks", next, last); due != nil {
			t.Errorf("%s: due are %v although an earlier message is pending", key, due)
		}
		if _, err := s.CancelMessages(t.Context(), []relay.ID{pending}, all); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CancelMessages(t.Context(), []relay.ID{next}, all); err != nil {
			t.Fatal(err)
		}
		if due := dueAmong(t, admin, "blocks", next, last); !slices.Equal(due, []int{1}) {
			t.Errorf("%s: due are %v, want the last", key, due)
		}
	}
}

// Two sessions cancel neighbours at once: each sees the other's message as the head.
func TestHeadsCancelledAtOnceWakeTheNextOne(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	blocking(t, s)
	for i := range 20 {
		key := fmt.Sprint("k", i)
		first := keyed(t, admin, key, "open", "blocks push_failed")
		second := keyed(t, admin, key, "open", "blocks waiting key_blocked")
		third := keyed(t, admin, key, "open", "blocks waiting key_blocked")
		var group sync.WaitGroup
		for _, id := range []relay.ID{first, second} {
			group.Go(func() {
				if _, err := s.CancelMessages(context.WithoutCancel(t.Context()), []relay.ID{id}, []relay.MessageStatus{"open"}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if due := dueAmong(t, admin, "blocks", third); !slices.Equal(due, []int{0}) {
			t.Fatalf("round %d: nothing is due", i)
		}
	}
}
