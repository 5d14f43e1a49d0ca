package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/harness"
)

// broker is a vhost of the test's own with a channel to look at it.
type broker struct {
	url     string
	channel *amqp.Channel
}

func newBroker(t testing.TB, url string) *broker {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return &broker{url: url, channel: channel}
}

// queue declares a durable quorum queue, bound to an exchange of kind topic unless it is empty.
func (b *broker) queue(t testing.TB, name, exchange, pattern string) {
	t.Helper()
	if exchange != "" {
		if err := b.channel.ExchangeDeclare(exchange, "topic", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.channel.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	if exchange != "" {
		if err := b.channel.QueueBind(name, pattern, exchange, false, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// consume takes n messages from a queue.
func (b *broker) consume(t testing.TB, queue string, n int) []amqp.Delivery {
	t.Helper()
	tag := fmt.Sprint("test-", queue)
	// A context would cancel the consumer a second time from a goroutine of its own, whose
	// frame may come between those of what the test publishes: the broker then closes all.
	deliveries, err := b.channel.Consume(queue, tag, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []amqp.Delivery
	for limit := time.After(time.Minute); len(got) < n; {
		select {
		case d, open := <-deliveries:
			if !open {
				t.Fatalf("the consumer of %s has ended after %d messages, want %d", queue, len(got), n)
			}
			got = append(got, d)
		case <-limit:
			t.Fatalf("%d messages in %s, want %d", len(got), queue, n)
		}
	}
	if err := b.channel.Cancel(tag, false); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAMQPMessagesPropertyByProperty(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	b := newBroker(t, url)
	b.queue(t, "orders", "shop", "order.#")
	s := newSystem(t, "RELAY_AMQP_URL="+url, "RELAY_DEFAULT_DESTINATION=amqp:shop/", "RELAY_SOURCE=the-shop")
	odd := "{ \"big\" : 123456789012345678901234567890.10, \"s\" : \"ü 😀\" }"
	binary := string([]byte{0, 1, 2, 0xff, 0xfe})
	large := `"` + strings.Repeat("x", 1<<20-2) + `"`
	bodies := map[string]string{
		s.send(t, "topic, key, payload, headers", `'order.created', 'k1', $1, '{"traceparent": "00-a-b-01", "CC": "elsewhere"}'`, odd): odd,
		s.send(t, "topic, body, content_type, source", `'order.binary', $1, 'application/octet-stream', 'other'`, []byte(binary)):      binary,
		s.send(t, "topic", "'order.empty'"):                     "",
		s.send(t, "topic, payload", "'order.large', $1", large): large,
	}
	for _, d := range b.consume(t, "orders", len(bodies)) {
		body, known := bodies[d.MessageId]
		if !known || string(d.Body) != body {
			t.Fatalf("message %q: body of %d bytes, want %d", d.MessageId, len(d.Body), len(body))
		}
		want := map[string]any{
			"cloudEvents_specversion": "1.0", "cloudEvents_id": d.MessageId, "cloudEvents_type": d.Type,
			"cloudEvents_source": d.AppId,
		}
		source := "the-shop"
		switch d.Type {
		case "order.created":
			want["cloudEvents_subject"], want["relay-key"], want["traceparent"] = "k1", "k1", "00-a-b-01"
		case "order.binary":
			source = "other"
		}
		for name, value := range want {
			if d.Headers[name] != value {
				t.Errorf("%s: header %s is %v, want %v", d.Type, name, d.Headers[name], value)
			}
		}
		if fmt.Sprint(d.Headers["relay-attempt"]) != "1" || d.Headers["CC"] != nil {
			t.Errorf("%s: headers %v", d.Type, d.Headers)
		}
		if d.DeliveryMode != amqp.Persistent || d.AppId != source || d.RoutingKey != d.Type || d.Exchange != "shop" || d.Timestamp.IsZero() {
			t.Errorf("%s: properties %+v", d.Type, d)
		}
		if want := map[bool]string{true: "application/octet-stream", false: "application/json"}[d.Type == "order.binary"]; d.ContentType != want {
			t.Errorf("%s: content type %q", d.Type, d.ContentType)
		}
	}
	s.settled(t, 20*time.Second)
	for id := range bodies {
		if got := s.text(t, "select status::text from relay.delivery where message_id = $1", id); got != "delivered" {
			t.Errorf("delivery is %s, want delivered", got)
		}
	}
}

func TestAMQPRefusals(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	b := newBroker(t, url)
	if _, err := b.channel.QueueDeclare("full", true, false, false, false, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"}); err != nil {
		t.Fatal(err)
	}
	if err := b.channel.Publish("", "full", false, false, amqp.Publishing{}); err != nil {
		t.Fatal(err)
	}
	if err := b.channel.ExchangeDeclare("there", "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.channel.QueueDeclare("exclusive", false, true, true, false, nil); err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, "RELAY_AMQP_URL="+url, "RELAY_DEFAULT_DESTINATION=amqp:/made", "RELAY_BACKOFF=1h")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{declared}', 'amqp:declared/x')")
	for name, c := range map[string]struct{ columns, values, status, delivery, says string }{
		"a queue that is missing is declared": {"topic", "'t'", "done", "delivered", ""},
		"a placeholder":                       {"topic, key, destination", "'t', 'made', 'amqp:there/{key}'", "open", "push_failed", `the routing key "made"`},
		"a row's exchange that is missing":    {"topic, destination", "'t', 'amqp:new/x'", "open", "push_failed", `the exchange "new" does not exist, and the relay declares nothing`},
		"a row's queue that is missing":       {"topic, destination", "'t', 'amqp:/new'", "open", "push_failed", `the queue "new" does not exist, and the relay declares nothing`},
		"a row's exclusive queue":             {"topic, destination", "'t', 'amqp:/exclusive'", "open", "push_failed", "exclusive to another connection"},
		"a subscription's missing exchange":   {"topic", "'declared'", "open", "push_failed", "returned as unroutable"},
		"a full queue":                        {"topic, destination", "'t', 'amqp:/full'", "open", "push_failed", "nack"},
		"a long routing key":                  {"topic, key, destination", "'t', repeat('k', 300), 'amqp:there/{key}'", "rejected", "", "routing key of 300 bytes"},
		"a long source":                       {"topic, source", "'t', repeat('s', 300)", "rejected", "", "255"},
	} {
		t.Run(name, func(t *testing.T) {
			id := s.sendUnlimited(t, c.columns, c.values)
			s.waitStatus(t, id, c.status)
			const last = "select coalesce(d.last_error, o.last_error) from relay.outbox o left join relay.delivery d on d.message_id = o.id where o.id = $1"
			if says := s.text(t, last, id); !strings.Contains(says, c.says) {
				t.Errorf("%q does not say %q", says, c.says)
			}
			if got := s.text(t, "select status::text from relay.delivery where message_id = $1", id); got != c.delivery {
				t.Errorf("delivery is %q, want %q", got, c.delivery)
			}
		})
	}
}

// What a row names by itself is reserved whatever the row says, and nothing is sent to it.
func TestRowsReachNothingReservedAtTheBroker(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	b := newBroker(t, url)
	b.queue(t, "relay.ack.another", "", "")
	s := newSystem(t, "RELAY_AMQP_URL="+url)
	for _, target := range []string{"amqp:amq.topic/x", "amqp:amq.direct/{key}", "amqp:/relay.ack.another", "amqp:/relay.ack." + s.db.Name, "amqp:/amq.rabbitmq.reply-to.x"} {
		id := s.send(t, "topic, key, destination", "'t', 'relay.ack.another', $1", target)
		harness.Eventually(t, 20*time.Second, target+" is refused", func() bool {
			return s.text(t, `select coalesce(string_agg(d.last_error, ''), max(o.last_error)) from relay.outbox o left join relay.delivery d on d.message_id = o.id
				where o.id = $1 and o.status in ('dead', 'rejected')`, id) != ""
		})
	}
	if stored := b.stored(t, "relay.ack.another"); len(stored) > 0 {
		t.Errorf("%d messages came into another relay's queue", len(stored))
	}
}

// An exchange that keeps a message and returns it as well got as many copies as there are attempts.
func TestAnExchangeThatKeepsMessagesGetsEachOnce(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t, "rabbitmq_recent_history_exchange")
	b := newBroker(t, node.URL("/"))
	if err := b.channel.ExchangeDeclare("history", "x-recent-history", true, false, false, false, amqp.Table{"x-recent-history-length": 50}); err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, "RELAY_AMQP_URL="+node.URL("/"), "RELAY_BACKOFF=50ms")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{t}', 'amqp:history/')")
	ids := []string{s.send(t, "topic", "'t'"), s.send(t, "topic, destination", "'t', 'amqp:history/x'")}
	for _, id := range ids {
		s.waitStatus(t, id, "done")
		if n := s.text(t, "select attempts::text from relay.delivery where message_id = $1", id); n != "1" {
			t.Errorf("%s attempts, want 1", n)
		}
	}
	b.queue(t, "late", "", "")
	if err := b.channel.QueueBind("late", "", "history", false, nil); err != nil {
		t.Fatal(err)
	}
	stored := b.stored(t, "late")
	slices.Sort(stored) // two messages without a key have no order
	slices.Sort(ids)
	if !slices.Equal(stored, ids) {
		t.Errorf("the exchange has kept %v, want %v", stored, ids)
	}
}

func TestABrokerThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t)
	b := newBroker(t, node.URL("/"))
	// A classic queue: a quorum queue that was declared seconds before its only node is
	// killed may come back without a leader, and without what it had confirmed.
	if _, err := b.channel.QueueDeclare("all", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, "RELAY_AMQP_URL="+node.URL("/"), "RELAY_DEFAULT_DESTINATION=amqp:/all", "RELAY_BACKOFF=200ms", "RELAY_MAX_ATTEMPTS=1000")
	tr := newTraffic(t, s, 2, time.Millisecond)
	for range 2 {
		done := "select count(*)::text from relay.outbox where status = 'done'"
		was := s.text(t, done)
		harness.Eventually(t, 60*time.Second, "the relay delivers", func() bool { return s.text(t, done) > was || len(s.text(t, done)) > len(was) })
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := node.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tr.end()
	s.settled(t, 2*time.Minute)
	again := newBroker(t, node.URL("/"))
	s.receiver.accept(again.stored(t, "all"))
	tr.interrupted("two kills; a queue keeps no times of arrival", time.Time{})
	tr.verify(t, s, time.Minute)
}
