package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// snippet returns the code block below a comment of a page.
func snippet(t testing.TB, page, mark string) string {
	t.Helper()
	content, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- " + mark + " -->\n```[a-z]*\n(.*?)```\n").FindStringSubmatch(string(content))
	if block == nil {
		t.Fatalf("docs/%s has no code below %q", page, mark)
	}
	return block[1]
}

// asOwner runs a snippet as the relay's role, which may create in the schema public meanwhile.
func (s *system) asOwner(t testing.TB, statements string) {
	t.Helper()
	s.exec(t, "grant usage, create on schema public to relay")
	if _, err := connect(t, s.db.URL).Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "revoke create on schema public from relay")
}

// The view of docs/coming-from.md takes what Debezium's applications do with their outbox: they
// insert a row and delete it again in the same transaction. It is delivered all the same.
func TestTheViewForDebeziumDelivers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.asOwner(t, snippet(t, "coming-from.md", "debezium view"))
	const insert = `insert into outboxevent (id, aggregatetype, aggregateid, type, "timestamp", payload)
		values (coalesce($1, gen_random_uuid()), 'Order', 'order-7', 'OrderCreated', localtimestamp, $2::jsonb) returning id::text`
	var id string
	err := pgx.BeginFunc(t.Context(), s.app, func(tx pgx.Tx) error {
		if err := tx.QueryRow(t.Context(), insert, nil, `{"order": 7}`).Scan(&id); err != nil {
			return err
		}
		var kind, key, event, payload string
		err := tx.QueryRow(t.Context(), "select aggregatetype, aggregateid, type, payload::text from outboxevent where id = $1::text::uuid", id).Scan(&kind, &key, &event, &payload)
		if err != nil || kind != "Order" || key != "order-7" || event != "OrderCreated" || payload != `{"order": 7}` {
			t.Errorf("the view shows %s %s %s %s, error %v", kind, key, event, payload, err)
		}
		tag, err := tx.Exec(t.Context(), "delete from outboxevent where id = $1::text::uuid", id)
		if tag.RowsAffected() != 1 {
			t.Errorf("the delete found %d rows, which an object mapper takes for an error", tag.RowsAffected())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.waitStatus(t, id, "done")
	got := s.receiver.requests(id)[0]
	if got.id != id || string(got.body) != `{"order": 7}` || got.header.Get("ce-type") != "Order.OrderCreated" || got.header.Get("ce-subject") != "order-7" {
		t.Errorf("received %s %s %v", got.id, got.body, got.header)
	}
	// Without an id, and as a statement of its own; nothing is to be seen of other transactions.
	if err := s.app.QueryRow(t.Context(), "insert into outboxevent (aggregatetype, aggregateid, type) values ('Order', 'order-8', 'OrderPaid') returning id::text").Scan(&id); err != nil {
		t.Fatal(err)
	}
	s.waitStatus(t, id, "done")
	if n := s.text(t, "select count(*)::text from public.outboxevent"); n != "0" {
		t.Errorf("the view shows %s messages of other transactions", n)
	}
	if out := runs(t, []string{"RELAY_DATABASE_URL=" + s.db.URL, "RELAY_SLOT=" + s.db.Name}, "migrate"); !strings.Contains(out, "already") {
		t.Error(out)
	}
	d := diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	if strings.Contains(d.output, "were deleted") || d.code != 0 {
		t.Error(d.output)
	}
}

// The trigger of docs/coming-from.md passes on what an application inserts into its own table.
func TestTheTriggerForAPollerDelivers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(t, "create table public.events (id bigserial primary key, topic text, entity_id text, payload jsonb); alter table public.events owner to relay")
	s.asOwner(t, snippet(t, "coming-from.md", "poller trigger"))
	s.exec(t, "grant insert on public.events to app; grant usage on sequence public.events_id_seq to app")
	if _, err := s.app.Exec(t.Context(), `insert into events (topic, entity_id, payload) values ('order.paid', '7', '{"order": 7}')`); err != nil {
		t.Fatal(err)
	}
	s.settled(t, 20*time.Second)
	if got := s.receiver.requests(s.text(t, "select id::text from relay.outbox")); len(got) != 1 || string(got[0].body) != `{"order": 7}` || got[0].header.Get("ce-subject") != "7" {
		t.Errorf("received %v", got)
	}
}

// A row that is inserted and deleted in the same transaction is never delivered, and doctor tells.
func TestDoctorTellsOfRowsThatAreDeletedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	quiet := func() diagnosis {
		return diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	}
	s.waitStatus(t, s.send(t, "topic", "'kept'"), "done")
	if d := quiet(); strings.Contains(d.output, "were deleted") {
		t.Error(d.output)
	}
	for range 3 {
		s.exec(t, "begin; insert into relay.outbox (topic, key) values ('t', 'k'), ('t', null); delete from relay.outbox where status = 'pending'; commit")
	}
	harness.Eventually(t, 20*time.Second, "doctor tells of what was deleted", func() bool {
		return strings.Contains(quiet().output, "6 messages were deleted before they could be delivered")
	})
	quiet().names(t, "warn", "outbox", "the last: message ", "let no transaction delete from relay.outbox")
	if log := s.relay.log.String(); strings.Count(log, "messages are deleted before they can be delivered") != 1 {
		t.Errorf("the relay says:\n%s", log)
	}
	if n := s.receiver.distinct(); n != 1 {
		t.Errorf("%d messages were delivered", n)
	}
}
