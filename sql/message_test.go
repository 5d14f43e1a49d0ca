package sql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// waitingDelivery gives an open message a delivery that waits for a time.
func waitingDelivery(t *testing.T, s *Store, id relay.ID, subscription, status, next string) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `insert into relay.delivery (message_id, subscription, target, status, circuit, shard, seq, due_at, next_attempt_at)
		values ($1, $2, 'x', $3::relay.delivery_status, 'c', 0, 0, now(), now() + nullif($4, '')::interval)`, [16]byte(id), subscription, status, next)
	if err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, s *Store, f MessageFilter) (ids []relay.ID) {
	t.Helper()
	page, err := s.FindMessages(t.Context(), f, "", 1000)
	if err != nil || !page.Complete || page.Next != "" {
		t.Fatalf("%+v: more %v: %v", f, page.Next, err)
	}
	for _, m := range page.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestFindMessagesByEachFilter(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	if got := find(t, s, MessageFilter{}); got != nil {
		t.Fatalf("an empty table has %v", got)
	}
	admin := db.Admin(t)
	pending := insert(t, admin, "topic, key, source", "'order.created', 'k', 'shop'")
	delayed := insert(t, admin, "topic, deliver_at", "'order', now() + interval '1 day'")
	dead := insert(t, admin, "topic, status, last_error", "'order.created.eu', 'dead', 'Connection REFUSED'")
	open := insert(t, admin, "topic, status, created_at", "'invoice.sent', 'open', now() - interval '2 hours'")
	done := insert(t, admin, "topic, status", "'done', 'done'")
	waitingDelivery(t, s, dead, "a", "dead", "")
	waitingDelivery(t, s, dead, "b", "handled", "")
	waitingDelivery(t, s, open, "b", "push_failed", "1 hour")
	ago := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		filter MessageFilter
		want   []relay.ID
	}{
		{MessageFilter{}, []relay.ID{done, open, dead, delayed, pending}},
		{MessageFilter{Status: Statuses{"pending"}}, []relay.ID{delayed, pending}},
		{MessageFilter{Status: Statuses{"done"}}, []relay.ID{done}},
		{MessageFilter{Status: Statuses{"dead"}}, []relay.ID{dead}},
		{MessageFilter{Status: Statuses{"open"}}, []relay.ID{open}},
		{MessageFilter{Status: Statuses{"rejected"}}, nil},
		{MessageFilter{Topic: "order"}, []relay.ID{delayed}},
		{MessageFilter{Topic: "order.*"}, []relay.ID{pending}},
		{MessageFilter{Topic: "order.#"}, []relay.ID{dead, delayed, pending}},
		{MessageFilter{Key: "k"}, []relay.ID{pending}},
		{MessageFilter{Source: "shop"}, []relay.ID{pending}},
		{MessageFilter{Error: "refused"}, []relay.ID{dead}},
		{MessageFilter{Error: "%"}, nil},
		{MessageFilter{Until: ago}, []relay.ID{open}},
		{MessageFilter{Since: ago}, []relay.ID{done, dead, delayed, pending}},
		{MessageFilter{Subscription: "b"}, []relay.ID{open, dead}},
		{MessageFilter{Subscription: "b", Status: Statuses{"dead"}}, nil},
		{MessageFilter{Subscription: "a", Status: Statuses{"dead"}}, []relay.ID{dead}},
		{MessageFilter{Subscription: "b", Status: Statuses{"open"}}, []relay.ID{open}},
	} {
		if got := find(t, s, tt.filter); !slices.Equal(sorted(got), sorted(tt.want)) {
			t.Errorf("%+v: found %v, want %v", tt.filter, got, tt.want)
		}
	}
}

// sorted orders ids; two that were made in the same millisecond have no order of their own.
func sorted(ids []relay.ID) []relay.ID {
	return slices.SortedFunc(slices.Values(ids), func(a, b relay.ID) int { return strings.Compare(a.String(), b.String()) })
}

func TestMessagesAreFoundByKeyInEachStatus(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	want := []relay.ID{
		keyed(t, admin, "k", "done", "a handled", "b handled"),
		keyed(t, admin, "k", "pending", "a dead"), // sent again by hand
		keyed(t, admin, "k", "pending"),
		keyed(t, admin, "k", "rejected"),
		keyed(t, admin, "k", "cancelled"),
		insert(t, admin, "topic, key, deliver_at", "'t', 'k', now() + interval '1 day'"),
	}
	for _, status := range []string{"done", "pending", "rejected", "cancelled"} {
		keyed(t, admin, "other", status, "a handled")
	}
	if got := find(t, s, MessageFilter{Key: "k"}); !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("found %v, want %v", got, want)
	}
	if got := find(t, s, MessageFilter{Key: "k", Status: Statuses{"cancelled"}}); !slices.Equal(got, want[4:5]) {
		t.Errorf("cancelled: found %v, want %v", got, want[4:5])
	}
	var pages []relay.ID
	for page, first := (MessagePage{}), true; first || page.Next != ""; pages = append(pages, ids(page)...) {
		var err error
		first = false
		if page, err = s.FindMessages(t.Context(), MessageFilter{Key: "k"}, page.Next, 2); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(sorted(pages), sorted(want)) {
		t.Errorf("page by page: found %v, want %v", pages, want)
	}
}

func ids(page MessagePage) (ids []relay.ID) {
	for _, m := range page.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestTopicPatternsMatchAsAMQPHasThem(t *testing.T) {
	t.Parallel()
	for pattern, topics := range map[string]map[string]bool{
		"#":       {"a": true, "a.b.c": true},
		"*":       {"a": true, "a.b": false},
		"a.#":     {"a": true, "a.b.c": true, "ab": false, "b.a": false},
		"#.a":     {"a": true, "b.c.a": true, "ba": false, "a.b": false},
		"a.#.b":   {"a.b": true, "a.x.y.b": true, "a.xb": false},
		"a.*.b":   {"a.x.b": true, "a.b": false, "a.x.y.b": false},
		"#.#":     {"a": true, "a.b": true},
		"#.*":     {"a": true, "a.b": true},
		"*.#":     {"a": true, "a.b.c": true},
		"a+.(b.#": {"a+.(b": true, "aa.(b": false},
	} {
		expression := regexp.MustCompile(topicExpression(pattern)) // it means the same to PostgreSQL
		for topic, want := range topics {
			if got := expression.MatchString(topic); got != want {
				t.Errorf("%s (%s) matches %s: %v", pattern, expression, topic, got)
			}
		}
	}
}

func TestRetryAndCancelSayWhatBecameOfEachMessage(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	messages := func() (ids []relay.ID) {
		for _, status := range []string{"pending", "open", "done", "dead", "rejected", "cancelled"} {
			ids = append(ids, insert(t, admin, "topic, status, outstanding, last_error", "'t', $1::text::relay.message_status, 1, 'why'", status))
		}
		later := insert(t, admin, "topic, status, outstanding", "'t', 'open', 1")
		waitingDelivery(t, s, later, "a", "push_failed", "1 hour")
		waitingDelivery(t, s, later, "b", "handled", "")
		return append(ids, later, relay.NewID())
	}
	ended := []relay.MessageStatus{"dead", "rejected", "cancelled", "open"}
	for _, tt := range []struct {
		name   string
		change func(context.Context, []relay.ID, []relay.MessageStatus) ([]Effect, error)
		from   []relay.MessageStatus
		want   []Effect
		after  string
	}{
		{"retry", s.RetryMessages, ended,
			[]Effect{EffectNotEnded, EffectNotEnded, EffectEndedWell, EffectRetried, EffectRetried, EffectRetried, EffectRetried, EffectNotFound},
			"pending open done pending pending pending open | a push_failed due, b handled"},
		{"retry with force", s.RetryMessages, append(ended, "done"),
			[]Effect{EffectNotEnded, EffectNotEnded, EffectRetried, EffectRetried, EffectRetried, EffectRetried, EffectRetried, EffectNotFound},
			"pending open pending pending pending pending open | a push_failed due, b handled"},
		{"retry the dead", s.RetryMessages, []relay.MessageStatus{"dead"},
			[]Effect{EffectNotEnded, EffectNotEnded, EffectEndedWell, EffectRetried, EffectChanged, EffectChanged, EffectNotEnded, EffectNotFound},
			"pending open done pending rejected cancelled open | a push_failed later, b handled"},
		{"cancel", s.CancelMessages, []relay.MessageStatus{"pending", "open", "dead", "rejected", "done"},
			[]Effect{EffectCancelled, EffectCancelled, EffectEndedWell, EffectCancelled, EffectCancelled, EffectAlreadyCancelled, EffectCancelled, EffectNotFound},
			"cancelled cancelled done cancelled cancelled cancelled cancelled | a cancelled, b handled"},
		{"cancel the pending", s.CancelMessages, []relay.MessageStatus{"pending"},
			[]Effect{EffectCancelled, EffectNotEnded, EffectEndedWell, EffectChanged, EffectChanged, EffectAlreadyCancelled, EffectNotEnded, EffectNotFound},
			"cancelled open done dead rejected cancelled open | a push_failed later, b handled"},
	} {
		ids := messages()
		effects, err := tt.change(t.Context(), ids, tt.from)
		if err != nil || !slices.Equal(effects, tt.want) {
			t.Errorf("%s: %v, want %v: %v", tt.name, effects, tt.want, err)
		}
		var after string
		err = admin.QueryRow(t.Context(), `select string_agg(status::text, ' ' order by seq) || ' | ' || (
				select string_agg(concat_ws(' ', subscription, d.status, case when next_attempt_at <= clock_timestamp() then 'due' when next_attempt_at is not null then 'later' end), ', ' order by subscription)
				from relay.delivery d where message_id = any ($1))
			from relay.outbox where id = any ($1)`, uuids(ids)).Scan(&after)
		if err != nil || after != tt.after {
			t.Errorf("%s: left %q, want %q: %v", tt.name, after, tt.after, err)
		}
	}
	var wrong int
	err := admin.QueryRow(t.Context(), `select count(*) from relay.outbox
		where status = 'cancelled' and finished_at is not null and outstanding <> 0`).Scan(&wrong)
	if err != nil || wrong != 0 {
		t.Errorf("%d cancelled messages have something outstanding: %v", wrong, err)
	}
}

func TestAChangeSkipsALockedMessage(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	locked, free := insert(t, admin, "topic, status", "'t', 'dead'"), insert(t, admin, "topic, status", "'t', 'dead'")
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "select 1 from relay.outbox where id = $1 for update", [16]byte(locked)); err != nil {
		t.Fatal(err)
	}
	effects, err := s.RetryMessages(t.Context(), []relay.ID{locked, free}, []relay.MessageStatus{"dead"})
	if err != nil || !slices.Equal(effects, []Effect{EffectLocked, EffectRetried}) {
		t.Errorf("retry: %v: %v", effects, err)
	}
	effects, err = s.CancelMessages(t.Context(), []relay.ID{free, locked}, []relay.MessageStatus{"dead", "pending"})
	if err != nil || !slices.Equal(effects, []Effect{EffectCancelled, EffectLocked}) {
		t.Errorf("cancel: %v: %v", effects, err)
	}
}

// A relay may write while a person cancels: the second one sees what the first has done.
func TestCancelAgainstARelayThatWrites(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	for range 50 {
		ids := make([]relay.ID, 20)
		changes := make([]Change, len(ids))
		for i := range ids {
			ids[i] = insert(t, admin, "topic", "'t'")
			changes[i] = taken(ids[i], "a", relay.DeliveryPushFailed)
			changes[i].MessageStatus, changes[i].Outstanding, changes[i].NextAttempt = relay.MessageOpen, 1, time.Hour
		}
		written := make(chan error, 1)
		go func() {
			_, err := s.WriteTaken(context.Background(), lease, changes)
			written <- err
		}()
		effects, err := s.CancelMessages(t.Context(), ids, []relay.MessageStatus{"pending", "open"})
		if err := errors.Join(err, <-written); err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			status, outstanding := messageStatus(t, admin, id)
			if (effects[i] == EffectCancelled) != (status == "cancelled" && outstanding == 0) {
				t.Fatalf("%s, and the message is %s with %d outstanding", effects[i], status, outstanding)
			}
		}
	}
	var left int
	err := admin.QueryRow(t.Context(), `select count(*) from relay.delivery d join relay.outbox o on o.id = d.message_id
		where o.status = 'cancelled' and d.status <> 'cancelled'`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d deliveries of cancelled messages go on: %v", left, err)
	}
}

func TestCopyAndShow(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	id := insert(t, admin, "topic, key, body, content_type, headers, source, destination, deliver_at, status",
		`'t', 'k', '\x00ff01', 'x/y', '{"a": "b"}', 's', 'amqp:/q', now() - interval '1 hour', 'dead'`)
	copied, err := s.CopyMessage(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.ShowMessage(t.Context(), copied, 2)
	if err != nil || m.ID == id || m.Status != "pending" || m.Key != "k" || !m.Binary || string(m.Payload) != "\x00\xff" || m.Size != 3 ||
		m.ContentType != "x/y" || string(m.Headers) != fmt.Sprintf(`{"a": "b", "relay-original-id": "%s"}`, id) || m.Source != "s" || m.Destination != "amqp:/q" || m.DeliverAt != nil {
		t.Errorf("%+v: %v", m, err)
	}
	if copied, err = s.CopyMessage(t.Context(), id, "amqp:/r"); err != nil {
		t.Fatal(err)
	}
	again, err := s.CopyMessage(t.Context(), copied, "")
	if err != nil {
		t.Fatal(err)
	}
	if trace, err := s.TraceMessage(t.Context(), again); err != nil || trace.Original == nil || *trace.Original != id {
		t.Errorf("a copy of a copy names %v: %v", trace.Original, err)
	}
	if m, err = s.ShowMessage(t.Context(), copied, 0); err != nil || m.Destination != "amqp:/r" || m.Payload != nil {
		t.Errorf("%+v: %v", m, err)
	}
	text := insert(t, admin, "topic, payload, content_type", "'t', 'äöü', 'text/plain'")
	if m, err = s.ShowMessage(t.Context(), text, 3); err != nil || string(m.Payload) != "ä\xc3" || m.Size != 6 {
		t.Errorf("%q: %v", m.Payload, err)
	}
	_, showErr := s.ShowMessage(t.Context(), relay.NewID(), 0)
	_, copyErr := s.CopyMessage(t.Context(), relay.NewID(), "")
	if !errors.Is(showErr, ErrGone) || !errors.Is(copyErr, ErrGone) {
		t.Errorf("show: %v; copy: %v", showErr, copyErr)
	}
}

// fillLarge makes a table of 100,000 messages; few have not ended well.
const fillLarge = `
insert into relay.outbox (topic, status, last_error)
	select 't' || n % 10, case n % 1000 when 0 then 'dead' when 1 then 'open' when 2 then 'pending' else 'done' end::relay.message_status, 'why'
	from generate_series(1, 100200) n;
insert into relay.delivery (message_id, subscription, target, status, circuit, shard, seq, due_at)
	select id, 's', 'x', case status when 'dead' then 'dead' when 'open' then 'waiting' else 'handled' end::relay.delivery_status, 'c', shard, seq, now() from relay.outbox;`

func TestALargeTableIsWalkedByIndexAndInWindows(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	if _, err := db.Admin(t).Exec(t.Context(), fillLarge); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = SessionSettings()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	some := func(source string) []any {
		f := MessageFilter{Since: time.Now(), Until: time.Now(), AsOf: time.Now(), Subscription: source}
		return append(f.arguments(start, firstWindow), 50)
	}
	dead := uuids(find(t, s, MessageFilter{Status: Statuses{"dead"}, Topic: "t0"})[:100])
	for _, statistics := range []string{"select 1", "analyze relay.outbox, relay.delivery"} {
		if _, err := conn.Exec(t.Context(), statistics); err != nil {
			t.Fatal(err)
		}
		for index, hot := range map[string]hotStatement{
			"outbox_created":                    {"list", source{byTime, findAll}.found(), some("s")},
			"outbox_standing":                   {"list dead", source{byTime, standing(Statuses{"dead"})}.found(), some("s")},
			"outbox_ready":                      {"list pending", source{byTime, findFewPending}.found(), some("")},
			"outbox_waiting":                    {"count pending", countFewPending, []any{100}},
			"Index":                             {"lock", lockMessages, []any{dead}},
			"Index Scan using":                  {"retry", retryMessages, []any{dead}},
			"delivery_":                         {"hurry", hurryDeliveries, []any{dead, ""}},
			"Scan Backward using delivery_dead": {"list dead there", source{bySeq, findDeadThere}.found(), some("s")},
			"delivery_pkey":                     {"cancel", cancelMessages, []any{dead}},
			"attempt_message":                   {"attempts", showAttempts, []any{dead[0], 10}},
			"delivery_due":                      {"earliest due", earliestDue, nil},
		} {
			plan := explain(t, conn, "force_generic_plan", hot)
			if seqScan.MatchString(plan) || !strings.Contains(plan, index) {
				t.Errorf("%s does not use %s:\n%s", hot.name, index, plan)
			}
		}
	}
	page, err := s.FindMessages(t.Context(), MessageFilter{Status: Statuses{"done"}, Topic: "nothing"}, "", 50)
	if err != nil || len(page.Messages) != 0 || page.Complete != (page.Next == "") {
		t.Fatalf("a search without a match: %+v: %v", page, err)
	}
	t.Logf("%d messages were looked at in the time of a search", page.Looked)
	looked := page.Looked
	for page.Next != "" {
		if page, err = s.FindMessages(t.Context(), MessageFilter{Status: Statuses{"done"}, Topic: "nothing"}, page.Next, 50); err != nil {
			t.Fatal(err)
		}
		looked += page.Looked
	}
	if looked > 100200 || looked < 100200-FindWindow {
		t.Errorf("%d messages were looked at in all, want each once, of the last window perhaps none", looked)
	}
	var seen []relay.ID
	for page, first := (MessagePage{}), true; first || page.Next != ""; first = false {
		if page, err = s.FindMessages(t.Context(), MessageFilter{Status: Statuses{"dead"}}, page.Next, 30); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, ids(page)...)
	}
	if len(seen) != 100 || len(slices.Compact(sorted(seen))) != 100 {
		t.Errorf("paging saw %d messages", len(seen))
	}
}
