package amqp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// startAMQP runs a destination until the test ends, and waits until it is connected.
func startAMQP(t testing.TB, cfg amqp.Config) *amqp.Destination {
	t.Helper()
	a := runAMQP(t, cfg)
	eventuallyUp(t, a)
	return a
}

// runAMQP runs a destination until the test ends.
func runAMQP(t testing.TB, cfg amqp.Config) *amqp.Destination {
	t.Helper()
	a, err := amqp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not end")
		}
	})
	return a
}

func eventuallyUp(t testing.TB, a *amqp.Destination) {
	t.Helper()
	harness.Eventually(t, 60*time.Second, "the destination is connected", func() bool {
		up, _ := a.State()
		return up
	})
}

// brokerChannel is the test's own way to the broker.
func brokerChannel(t testing.TB, url string) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// subscriberOf returns a subscriber with the target.
func subscriberOf(t testing.TB, target string) *relay.Subscriber {
	t.Helper()
	parsed, err := relay.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	return &relay.Subscriber{Name: "billing", Target: parsed}
}

// boundQueue makes a topic exchange with a queue behind it that takes everything.
func boundQueue(t testing.TB, ch *amqp091.Channel, exchange, queue string) {
	t.Helper()
	must(t, ch.ExchangeDeclare(exchange, "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
	must(t, err)
	must(t, ch.QueueBind(queue, "#", exchange, false, nil))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// take returns the next message of the queue.
func take(t testing.TB, ch *amqp091.Channel, queue string) amqp091.Delivery {
	t.Helper()
	var got amqp091.Delivery
	harness.Eventually(t, 10*time.Second, "a message in "+queue, func() bool {
		d, ok, err := ch.Get(queue, true)
		must(t, err)
		got = d
		return ok
	})
	return got
}

// depth returns how many messages the queue holds.
func depth(t testing.TB, ch *amqp091.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	must(t, err)
	return q.Messages
}

// deliver delivers as the relay does: what a destination has no room for is tried again. Of many messages at once some
// wait for more than notify.MaxWait on a busy machine.
func deliver(t testing.TB, a *amqp.Destination, d *relay.Delivery) relay.Outcome {
	for begun := time.Now(); ; <-time.After(50 * time.Millisecond) {
		out := a.Deliver(t.Context(), d)
		if out.Reason != relay.ReasonFull || time.Since(begun) > 30*time.Second {
			return out
		}
	}
}

func wantClass(t testing.TB, out relay.Outcome, class relay.Class, words string) {
	t.Helper()
	if out.Class != class || !strings.Contains(out.Error, words) {
		t.Errorf("class %d with error %q, want %d with %q", out.Class, out.Error, class, words)
	}
}

func TestAMQPMessageArrivesAsItWas(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	boundQueue(t, ch, "orders", "all")
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	for name, body := range map[string][]byte{
		"odd JSON": []byte("{ \"n\" : 123456789012345678901234567890.10,\n\t\"a\":[ 1e400 ,-0 ] }\r\n"),
		"binary":   binary,
		"empty":    nil,
		"1 MiB":    bytes.Repeat([]byte("0123456789abcde\n"), 1<<16),
	} {
		d := conformance.NewDelivery(subscriberOf(t, "amqp:orders/eu.{key}"), body)
		d.Message.Key, d.Attempt = "order-7", 4
		d.Headers = map[string]string{"x-tenant": "größe 😀", "CC": "all", "BCC": "all"}
		d.Subscriber.Headers = map[string]string{"x-team": "billing"}
		wantClass(t, a.Deliver(t.Context(), d), relay.ClassDelivered, "")
		compareAMQP(t, name, take(t, ch, "all"), d)
	}
	if n := depth(t, ch, "all"); n != 0 {
		t.Errorf("%d copies more than were sent: the row's CC has acted", n)
	}
}

// compareAMQP compares every property of the message as it was consumed.
func compareAMQP(t *testing.T, name string, got amqp091.Delivery, d *relay.Delivery) {
	t.Helper()
	m := d.Message
	if !bytes.Equal(got.Body, m.Body) {
		t.Errorf("%s: %d bytes arrived (sha256 %x), want %d (%x)", name, len(got.Body), sha256.Sum256(got.Body), len(m.Body), sha256.Sum256(m.Body))
	}
	type properties struct {
		exchange, key, id, topic, app, contentType string
		encoding, correlation, reply, expiry, user string
		mode, priority                             uint8
		at                                         int64
	}
	is := properties{
		got.Exchange, got.RoutingKey, got.MessageId, got.Type, got.AppId, got.ContentType,
		got.ContentEncoding, got.CorrelationId, got.ReplyTo, got.Expiration, got.UserId,
		got.DeliveryMode, got.Priority, got.Timestamp.Unix(),
	}
	want := properties{
		exchange: "orders", key: "eu.order-7", id: m.ID.String(), topic: m.Topic, app: d.Source,
		contentType: m.ContentType, mode: amqp091.Persistent, at: m.CreatedAt.Unix(),
	}
	if is != want {
		t.Errorf("%s: properties %+v\nwant %+v", name, is, want)
	}
	headers := amqp091.Table{
		"cloudEvents_specversion": "1.0", "cloudEvents_id": m.ID.String(), "cloudEvents_source": d.Source,
		"cloudEvents_type": m.Topic, "cloudEvents_subject": m.Key,
		"cloudEvents_time": m.CreatedAt.UTC().Format(time.RFC3339Nano),
		"relay-key":        m.Key, "relay-attempt": int32(d.Attempt),
		"x-tenant": "größe 😀", "x-team": "billing",
	}
	if !maps.Equal(got.Headers, headers) {
		t.Errorf("%s: headers %v\nwant %v", name, got.Headers, headers)
	}
}

// The largest content header that passes the check must pass the broker too, and still
// reach a consumer after a quorum queue has added its own.
func TestAMQPLargestHeaders(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	d := conformance.NewDelivery(subscriberOf(t, "amqp:/wide"), []byte("{}"))
	accepted, refused := 100_000, 131_072
	for refused-accepted > 1 {
		size := (accepted + refused) / 2
		d.Message.ID = relay.NewID()
		d.Headers = map[string]string{"x-wide": strings.Repeat("v", size)}
		switch out := a.Deliver(t.Context(), d); out.Class {
		case relay.ClassDelivered:
			accepted = size
			if got := take(t, ch, "wide").Headers["x-wide"]; got != d.Headers["x-wide"] {
				t.Fatalf("a header of %d bytes came back changed", size)
			}
		case relay.ClassRejected:
			refused = size
		default:
			t.Fatalf("a header of %d bytes: class %d: %s", size, out.Class, out.Error)
		}
	}
	if accepted < 120_000 {
		t.Errorf("headers of more than %d bytes were rejected", accepted)
	}
}

func TestAMQPRefusesBadURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "amqp://", "localhost:5672", "http://user:s3cret@host/", "amqp://user:s3cret@host:port/",
		"amqp://user:s3cret/x@host/", "amqp://user:s3cret%zz@host/", "amqp://user:s3 cret@host/",
		"amqp://user:s3cret@host/?heartbeat=s3cret", "amqp://user:s3cret@host:99999999999/",
	} {
		_, err := amqp.New(amqp.Config{URL: url})
		if err == nil {
			t.Errorf("%q was accepted", url)
			continue
		}
		if strings.Contains(err.Error(), "s3") || strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: the error repeats it: %v", url, err)
		}
	}
	if _, err := amqp.New(amqp.Config{URL: "amqps://user:p%40ss@broker.example/vhost?heartbeat=5"}); err != nil {
		t.Error(err)
	}
}
