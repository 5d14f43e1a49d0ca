package sql

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"relay"
)

// Random ids that an application made sorted above all others for ever, and filled each first page.
func TestIdsOfApplicationsDoNotHideTheYoungestMessages(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	var want []relay.ID
	for i := range 6 {
		id := relay.ID{0xff, byte(6 - i), 0x40}
		if i%2 == 0 {
			id = relay.NewID()
		}
		insert(t, admin, "id, topic, key, created_at, status", "$1, 't', 'k', now() - $2 * interval '1 hour', 'cancelled'", [16]byte(id), 6-i)
		want = append([]relay.ID{id}, want...)
	}
	for _, f := range []MessageFilter{{}, {Key: "k"}, {Status: Statuses{"cancelled"}}, {IDs: want}, {Status: Statuses{"dead", "cancelled"}}} {
		if got := find(t, s, f); !slices.Equal(got, want) {
			t.Errorf("%+v: found %v, want %v", f, got, want)
		}
		var pages []relay.ID
		for page, first := (MessagePage{}), true; first || page.Next != ""; first = false {
			var err error
			if page, err = s.FindMessages(t.Context(), f, page.Next, 2); err != nil {
				t.Fatal(err)
			}
			pages = append(pages, ids(page)...)
		}
		if !slices.Equal(pages, want) {
			t.Errorf("%+v: page by page %v, want %v", f, pages, want)
		}
	}
}

// A limit among what is pending chose some at random, and a job over 300 delayed messages ended after 221.
func TestAllThatIsPendingIsFoundPageByPage(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	const fill = `insert into relay.outbox (topic, key, deliver_at)
		select 't', case when n % 3 = 0 then 'k' end, case when n % 2 = 0 then now() + interval '1 day' end from generate_series(1, 600) n`
	if _, err := db.Admin(t).Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	seen := make(map[relay.ID]bool)
	for page, first := (MessagePage{}), true; first || page.Next != ""; first = false {
		var err error
		if page, err = s.FindMessages(t.Context(), MessageFilter{Status: Statuses{"pending"}}, page.Next, 10); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids(page) {
			seen[id] = true
		}
	}
	if len(seen) != 600 {
		t.Errorf("%d of 600 messages were found", len(seen))
	}
}

// An hour three days ago was found by walking through all that is younger.
func TestARangeOfTimeIsWalkedThroughAlone(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	const fill = "insert into relay.outbox (topic, status, created_at) select 't', 'done', now() - n * interval '1 minute' from generate_series(0, 30000) n"
	if _, err := db.Admin(t).Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(-72 * time.Hour)
	page, err := s.FindMessages(t.Context(), MessageFilter{Since: until.Add(-time.Hour), Until: until, Source: "none"}, "", 50)
	if err != nil || !page.Complete || page.Next != "" || page.Looked > 61 {
		t.Errorf("looked at %d messages of an hour with 60: %+v: %v", page.Looked, page, err)
	}
	total, by, err := s.CountMessages(t.Context(), MessageFilter{Since: until.Add(-time.Hour), Until: until}, 0)
	if err != nil || total != (Count{60, true}) || by["done"] != 60 {
		t.Errorf("counted %v, %v: %v", total, by, err)
	}
}

func TestFindMessagesByTheirDeliveries(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	subscribe(t, admin, "continue", "x", "y")
	dead := withDeliveries(t, admin, "a", "dead", "x dead", "y handled")
	both := withDeliveries(t, admin, "b", "open", "x dead", "y waiting")
	failing := withDeliveries(t, admin, "c", "open", "x push_failed")
	rejected := withDeliveries(t, admin, "d", "rejected")
	done := withDeliveries(t, admin, "e", "done", "y handled")
	for _, statement := range []string{
		"update relay.delivery set cause = 'timeout' where status = 'dead'", "update relay.delivery set cause = 'http 500' where status = 'push_failed'",
		"update relay.outbox set cause = 'rejected: route', last_error = 'no route', payload = '\"Blue\"' where status = 'rejected'",
		"update relay.delivery set updated_at = now() - interval '1 day' where status = 'push_failed'",
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		filter MessageFilter
		want   []relay.ID
	}{
		{MessageFilter{Causes: []relay.Cause{relay.CauseTimeout}}, []relay.ID{both, dead}},
		{MessageFilter{Causes: []relay.Cause{relay.CauseTimeout, relay.CauseNoRoute}}, []relay.ID{rejected, both, dead}},
		{MessageFilter{Causes: []relay.Cause{relay.CauseTimeout}, Subscription: "y"}, nil},
		{MessageFilter{Causes: []relay.Cause{relay.CauseTimeout}, Subscription: "x", Status: Statuses{"dead"}}, []relay.ID{both, dead}},
		{MessageFilter{Causes: []relay.Cause{relay.CauseDNS}, Subscription: "x", Status: Statuses{"dead"}}, nil},
		{MessageFilter{DeliveryStatus: []relay.DeliveryStatus{relay.DeliveryPushFailed}}, []relay.ID{failing}},
		{MessageFilter{DeliveryStatus: []relay.DeliveryStatus{relay.DeliveryDead, relay.DeliveryHandled}, Subscription: "y"}, []relay.ID{done, dead}},
		{MessageFilter{DeliveryStatus: []relay.DeliveryStatus{relay.DeliveryWaiting}, Subscription: "y"}, []relay.ID{both}},
		{MessageFilter{Status: Statuses{"dead", "rejected"}}, []relay.ID{rejected, dead}},
		{MessageFilter{Status: Statuses{"dead", "open"}, Subscription: "x"}, []relay.ID{failing, both, dead}},
		{MessageFilter{Text: "bLUE"}, []relay.ID{rejected}},
		{MessageFilter{Text: "NO ROUTE"}, []relay.ID{rejected}},
		{MessageFilter{IDs: []relay.ID{done, failing, relay.NewID()}}, []relay.ID{done, failing}},
		{MessageFilter{UpdatedUntil: time.Now().Add(-12 * time.Hour)}, []relay.ID{failing}},
	} {
		if got := find(t, s, tt.filter); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: found %v, want %v", tt.filter, got, tt.want)
		}
	}
	page, err := s.ListMessages(t.Context(), MessageFilter{IDs: []relay.ID{both}}, "", 1)
	if err != nil || fmt.Sprint(page.Messages[0].Deliveries) != "[{dead 1} {waiting 1}]" || page.Messages[0].Cause != relay.CauseTimeout || page.Messages[0].Attempts != 10 {
		t.Errorf("%+v: %v", page, err)
	}
	deliveries, err := s.ListDeliveries(t.Context(), DeliveryFilter{Subscription: "x", Status: []relay.DeliveryStatus{relay.DeliveryDead}}, "", 1)
	if err != nil || len(deliveries.Deliveries) != 1 || deliveries.Deliveries[0].Message != both || deliveries.Next == "" {
		t.Fatalf("%+v: %v", deliveries, err)
	}
	if d := deliveries.Deliveries[0]; d.Cause != relay.CauseTimeout || d.Topic != "b" || d.Status != relay.DeliveryDead {
		t.Errorf("%+v", d)
	}
	for _, c := range []Cursor{"x", "AAAA", deliveries.Next} {
		if _, err := s.FindMessages(t.Context(), MessageFilter{}, c, 1); !errors.Is(err, ErrCursor) {
			t.Errorf("a foreign cursor %q: %v", c, err)
		}
	}
}

// A job of an earlier version has a single status, and its part of an error under another name.
func TestFiltersOfEarlierJobsAreRead(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	_, err := db.Admin(t).Exec(t.Context(), `insert into relay.job (kind, filter, total) values ('retry', '{"status": "dead", "cause": "refused"}', 1), ('replay', '{"replay_to": "a"}', 1)`)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Jobs(t.Context(), "", 10)
	if err != nil || len(page.Jobs) != 2 {
		t.Fatalf("%+v: %v", page, err)
	}
	for _, job := range page.Jobs {
		if f := job.Filter; job.Kind == JobRetry && (f.Status.Only() != relay.MessageDead || f.Error != "refused") || job.Kind == JobReplay && f.Status != nil {
			t.Errorf("%+v", job)
		}
	}
}

// What is infinite is passed once.
func TestACursorPassesInfiniteTimes(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	for _, at := range []string{"infinity", "infinity", "2026-01-01", "-infinity", "-infinity"} {
		insert(t, db.Admin(t), "topic, created_at", "'t', $1::text::timestamptz", at)
	}
	seen := map[relay.ID]bool{}
	for page, first := (MessagePage{}), true; first || page.Next != ""; first = false {
		var err error
		if page, err = s.FindMessages(t.Context(), MessageFilter{}, page.Next, 1); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids(page) {
			if seen[id] {
				t.Fatalf("%s is listed twice", id)
			}
			seen[id] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d messages are listed, want 5", len(seen))
	}
}

// TestOneLongSearchAtATime: a search of the console that does not find its page at once waits for the one before it,
// and says that it has not looked through all; a short one waits for none.
func TestOneLongSearchAtATime(t *testing.T) {
	t.Parallel()
	store, db := open(t)
	if _, err := db.Admin(t).Exec(t.Context(), "insert into relay.outbox (topic) select 't' from generate_series(1, 2000)"); err != nil {
		t.Fatal(err)
	}
	s := store.Console()
	s.long <- struct{}{} // by another search
	page, err := s.FindMessages(t.Context(), MessageFilter{Topic: "nothing"}, "", 50)
	if err != nil || page.Complete || page.Looked == 0 || page.Looked >= 2000 || page.Next == "" {
		t.Errorf("beside a long search: %d messages looked at, complete %v, %v", page.Looked, page.Complete, err)
	}
	if page, err = s.FindMessages(t.Context(), MessageFilter{Topic: "t"}, "", 50); err != nil || !page.Complete || len(page.Messages) != 50 {
		t.Errorf("a short one: %d messages, complete %v, %v", len(page.Messages), page.Complete, err)
	}
	<-s.long
	if page, err = s.FindMessages(t.Context(), MessageFilter{Topic: "nothing"}, "", 50); err != nil || !page.Complete {
		t.Errorf("alone: %d messages looked at, complete %v, %v", page.Looked, page.Complete, err)
	}
	if len(s.long) != 0 {
		t.Error("a search has ended and is still in the way")
	}
}
