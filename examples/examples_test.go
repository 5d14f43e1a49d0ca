// Package examples holds a small sender, receiver and consumer for each language. Its tests
// run them against a real database, with a relay between them.
package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"relay"
	"relay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// patience is how long anything may take: a JVM that starts on a busy machine is slow.
const patience = time.Minute

// TestPrograms has each language's programs send and receive.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, l := range languages() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.need(t)
			s := open(t, l)
			t.Run("committed and rolled back", s.testSend)
			t.Run("byte for byte", s.testBytes)
			t.Run("signatures", s.testSignatures)
			t.Run("duplicates", s.testDuplicates)
			t.Run("failing work", s.testFailingWork)
			if l.consume != nil {
				s.testConsumer(t)
			}
		})
	}
}

// testSend: what was committed arrives and is worked on, what was rolled back does not.
func (s *shop) testSend(t *testing.T) {
	const customer, cents = `Zoë "O'Neil" \ 日本`, 4200
	rolledBack := s.take(t, true, customer, cents)
	committed := s.take(t, false, customer, cents)
	payload := s.awaitDone(t, committed)
	var order struct {
		Order    int64
		Customer string
		Cents    int
	}
	if err := json.Unmarshal([]byte(payload), &order); err != nil {
		t.Fatalf("payload %s: %v", payload, err)
	}
	if order.Order == 0 || order.Customer != customer || order.Cents != cents {
		t.Errorf("the payload says %+v, want %q and %d", order, customer, cents)
	}
	if n := query[int](t, s.app, "select count(*) from orders where id = $1 and customer = $2", order.Order, customer); n != 1 {
		t.Errorf("%d orders with the id that the message names, want 1", n)
	}
	for _, table := range []string{"app.orders", "relay.inbox", "relay.outbox"} {
		if n := query[int](t, s.admin, "select count(*) from "+table); n != 1 {
			t.Errorf("%d rows in %s, want the committed one alone", n, table)
		}
	}
	if rolledBack == committed {
		t.Error("both programs printed the same id")
	}
}

// TestPublish runs the script that sends with relay.publish().
func TestPublish(t *testing.T) {
	t.Parallel()
	l := languages()[slices.IndexFunc(languages(), func(l language) bool { return l.name == "sql" })]
	l.need(t)
	s := open(t, l)
	s.run(t, "psql", "-f", "sql/publish.sql", s.appURL)
	id := query[string](t, s.admin, "select id::text from relay.outbox where topic = 'order.created' and key = 'order-42'")
	s.awaitDone(t, id)
	const delayed = "select count(*) from relay.outbox where topic = 'order.reminder' and status = 'pending' and deliver_at > now()"
	if n := query[int](t, s.admin, delayed); n != 1 {
		t.Errorf("%d delayed messages, want 1", n)
	}
}

// ended matches the last line of every sender.
var ended = regexp.MustCompile(`(?m)^(committed|rolled back) ([0-9a-f-]{36})$`)

// take has the language's program take an order, and returns the message's id.
func (s *shop) take(t *testing.T, rollBack bool, customer string, cents int) (id string) {
	t.Helper()
	out := s.run(t, s.language.send(s, rollBack, customer, strconv.Itoa(cents))...)
	word := "committed"
	if rollBack {
		word = "rolled back"
	}
	found := ended.FindStringSubmatch(out)
	if found == nil || found[1] != word {
		t.Fatalf("the sender printed %q, want a line '%s <id>'", out, word)
	}
	return found[2]
}

// awaitDone waits until a message is done, checks that the receiver worked on it once and
// on the very bytes that were written, and returns these.
func (s *shop) awaitDone(t *testing.T, id string) (payload string) {
	t.Helper()
	harness.Eventually(t, patience, "message "+id+" is done", func() bool {
		return query[string](t, s.admin, "select status::text from relay.outbox where id = $1", id) == "done"
	})
	payload = query[string](t, s.admin, "select payload from relay.outbox where id = $1", id)
	if shipped := s.shipped(t, id); !slices.Equal(shipped, []string{payload}) {
		t.Errorf("the receiver worked on %q, want once on %q", shipped, payload)
	}
	return payload
}

// shipped returns the bodies of a message that the receiver worked on.
func (s *shop) shipped(t *testing.T, id string) []string {
	t.Helper()
	return query[[]string](t, s.app, "select coalesce(array_agg(what), '{}') from shipment where message_id = $1", id)
}

// testBytes checks that the payload arrives byte for byte as it was written.
func (s *shop) testBytes(t *testing.T) {
	odd := "{ \"n\":12345678901234567890.10,\r\n\t\"s\" : \"\\u00e9é€\\/\" , \"n\": 1e400 }\n"
	s.awaitDone(t, query[string](t, s.app, "insert into relay.outbox (topic, payload) values ('odd', $1) returning id::text", odd))
}

// testSignatures: one right signature of several suffices; without one nothing is done.
func (s *shop) testSignatures(t *testing.T) {
	const body = `{"order":1}`
	now := time.Now()
	for _, c := range []struct {
		name   string
		change func(h http.Header)
		at     time.Time
		want   bool
	}{
		{name: "right", at: now, want: true},
		{name: "right and another", at: now, want: true, change: func(h http.Header) {
			h.Set("webhook-signature", h.Get("webhook-signature")+" v1,"+otherSignature)
		}},
		{name: "another and right", at: now, want: true, change: func(h http.Header) {
			h.Set("webhook-signature", "v1,"+otherSignature+" "+h.Get("webhook-signature"))
		}},
		{name: "a little late", at: now.Add(-4 * time.Minute), want: true},
		{name: "too old", at: now.Add(-6 * time.Minute)},
		{name: "from the future", at: now.Add(6 * time.Minute)},
		{name: "another secret", at: now, change: func(h http.Header) { h.Set("webhook-signature", "v1,"+otherSignature) }},
		{name: "another version", at: now, change: func(h http.Header) {
			h.Set("webhook-signature", "v2"+h.Get("webhook-signature")[2:])
		}},
		{name: "none", at: now, change: func(h http.Header) { h.Del("webhook-signature") }},
		{name: "empty", at: now, change: func(h http.Header) { h.Set("webhook-signature", "v1,") }},
		{name: "another message's", at: now, change: func(h http.Header) { h.Set("webhook-id", relay.NewID().String()) }},
		{name: "no id", at: now, change: func(h http.Header) { h.Del("webhook-id") }},
		{name: "no time", at: now, change: func(h http.Header) { h.Del("webhook-timestamp") }},
		{name: "time that is none", at: now, change: func(h http.Header) { h.Set("webhook-timestamp", "now") }},
		{name: "time without end", at: now, change: func(h http.Header) { h.Set("webhook-timestamp", "99999999999999999999") }},
	} {
		id := relay.NewID().String()
		header := s.sign(t, id, c.at, body)
		if c.change != nil {
			c.change(header)
		}
		status, shipped := s.post(t, header, body), len(s.shipped(t, id))
		switch {
		case c.want && (status/100 != 2 || shipped != 1):
			t.Errorf("%s: answered %d, %d shipments, want 2xx and 1", c.name, status, shipped)
		case !c.want && (status != http.StatusUnauthorized || shipped != 0):
			t.Errorf("%s: answered %d, %d shipments, want 401 and none", c.name, status, shipped)
		}
	}
	header := s.sign(t, relay.NewID().String(), now, body)
	if status := s.post(t, header, body+" "); status != http.StatusUnauthorized {
		t.Errorf("another body: answered %d, want 401", status)
	}
}

// otherSignature is well formed and made with another secret.
const otherSignature = "dGhpcyBpcyB0aGUgc2lnbmF0dXJlIG9mIGFub3RoZXI="

// testDuplicates: a message that comes again is accepted and not worked on again.
func (s *shop) testDuplicates(t *testing.T) {
	const body = `{"order":2}`
	id := relay.NewID().String()
	for range 3 {
		if status := s.post(t, s.sign(t, id, time.Now(), body), body); status/100 != 2 {
			t.Errorf("answered %d, want 2xx", status)
		}
	}
	if n := len(s.shipped(t, id)); n != 1 {
		t.Errorf("%d shipments, want 1", n)
	}
}

// testFailingWork: the answer is 5xx and the message is not remembered, so that it is
// worked on, once, when it comes again.
func (s *shop) testFailingWork(t *testing.T) {
	const body = `"refuse"`
	id := relay.NewID().String()
	if status := s.post(t, s.sign(t, id, time.Now(), body), body); status/100 != 5 {
		t.Errorf("answered %d, want 5xx", status)
	}
	if s.remembers(t, id) {
		t.Error("the receiver remembers a message whose work failed")
	}
	s.relent(t)
	defer s.refuse(t)
	for range 2 {
		if status := s.post(t, s.sign(t, id, time.Now(), body), body); status/100 != 2 {
			t.Errorf("when it came again: answered %d, want 2xx", status)
		}
	}
	if n := len(s.shipped(t, id)); n != 1 {
		t.Errorf("%d shipments, want 1", n)
	}
}

// remembers reports whether a message stands in the inbox.
func (s *shop) remembers(t *testing.T, id string) bool {
	t.Helper()
	return query[bool](t, s.admin, "select exists (select from relay.inbox where message_id = $1)", id)
}

// sign returns the headers that Standard Webhooks' own library makes for a message.
func (s *shop) sign(t *testing.T, id string, at time.Time, body string) http.Header {
	t.Helper()
	webhook, err := webhooks.NewWebhook(s.secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := webhook.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	header.Set("webhook-signature", signature)
	return header
}

// post sends a request to the receiver and returns the status of its answer.
func (s *shop) post(t *testing.T, header http.Header, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.endpoint, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
