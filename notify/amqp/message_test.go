package amqp

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
)

func targetOf(t *testing.T, text string) relay.Target {
	t.Helper()
	target, err := relay.ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func delivery(t *testing.T, target string) *relay.Delivery {
	return &relay.Delivery{
		Message: &relay.Message{
			ID: relay.NewID(), Topic: "order.created", Key: "order-1", Body: []byte(`{"n": 1.0}`),
			ContentType: "application/json",
			CreatedAt:   time.Date(2025, 3, 4, 5, 6, 7, 891_000_000, time.FixedZone("", 3600)),
		},
		Subscriber: &relay.Subscriber{Name: "billing", Target: targetOf(t, target), Headers: map[string]string{"x-team": "billing", "x-both": "subscriber"}},
		Attempt:    3,
		Headers:    map[string]string{"x-tenant": "acme", "X_Both": "row"},
		Source:     "shop",
	}
}

// What a row asks of the broker becomes properties of the message, and no header.
func TestAMQPMessageAsksTheBroker(t *testing.T) {
	d := delivery(t, "amqp:orders/{topic}")
	d.Headers = map[string]string{"amqp-priority": "7", "amqp-expiration": "060000", "AMQP_X_Delay": "1500", "x-delay": "3"}
	d.Subscriber.Headers = map[string]string{"Amqp-Priority": "9"}
	m, err := newMessage(d)
	if err != nil {
		t.Fatal(err)
	}
	if p := m.publishing; p.Priority != 9 || p.Expiration != "60000" || p.Headers["x-delay"] != int32(1500) {
		t.Errorf("priority %d, expiration %q, headers %v", p.Priority, p.Expiration, p.Headers)
	}
	for name := range m.publishing.Headers {
		if relay.IsBrokerHeader(name) {
			t.Errorf("%s is a header, too", name)
		}
	}
}

func TestAMQPMessageProperties(t *testing.T) {
	d := delivery(t, "amqp:orders/{topic}.{key}")
	m, err := newMessage(d)
	if err != nil {
		t.Fatal(err)
	}
	id := d.Message.ID.String()
	p := m.publishing
	if m.target.Exchange != "orders" || m.routingKey != "order.created.order-1" {
		t.Errorf("goes to %q with %q", m.target.Exchange, m.routingKey)
	}
	if p.MessageId != id || p.Type != "order.created" || p.AppId != "shop" || p.ContentType != "application/json" ||
		p.DeliveryMode != amqp091.Persistent || !p.Timestamp.Equal(d.Message.CreatedAt) || !bytes.Equal(p.Body, d.Message.Body) {
		t.Errorf("properties: %+v", p)
	}
	want := amqp091.Table{
		"cloudEvents_specversion": "1.0", "cloudEvents_id": id, "cloudEvents_source": "shop",
		"cloudEvents_type": "order.created", "cloudEvents_time": "2025-03-04T04:06:07.891Z",
		"cloudEvents_subject": "order-1", "relay-key": "order-1", "relay-attempt": int32(3),
		"x-team": "billing", "x-tenant": "acme", "x-both": "subscriber",
	}
	if !maps.Equal(p.Headers, want) {
		t.Errorf("headers: %v\nwant %v", p.Headers, want)
	}
}

// Strings are UTF-8 in AMQP's tables, so nothing is encoded.
func TestAMQPMessageKeepsUnicode(t *testing.T) {
	d := delivery(t, "amqp:/orders")
	d.Headers = map[string]string{"x-size": "größe 100%"}
	m, err := newMessage(d)
	if err != nil || m.publishing.Headers["x-size"] != "größe 100%" {
		t.Errorf("headers %v: %v", m.publishing.Headers, err)
	}
}

func TestAMQPMessageWithoutKey(t *testing.T) {
	d := delivery(t, "amqp:/orders")
	d.Message.Key = ""
	m, err := newMessage(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cloudEvents_subject", "relay-key"} {
		if v, found := m.publishing.Headers[name]; found {
			t.Errorf("header %s is %q without a key", name, v)
		}
	}
	if m.target.Exchange != "" || m.routingKey != "orders" {
		t.Errorf("goes to %q with %q", m.target.Exchange, m.routingKey)
	}
}

func TestAMQPMessageLeavesOutActingHeaders(t *testing.T) {
	d := delivery(t, "amqp:/orders")
	d.Headers = map[string]string{"CC": "other", "Bcc": "other", "user_id": "root", "Reply-To": "me", "x-ok": "1"}
	d.Subscriber.Headers = map[string]string{"BCC": "other"}
	m, err := newMessage(d)
	if err != nil {
		t.Fatal(err)
	}
	for name := range m.publishing.Headers {
		if actingHeaders[relay.FoldHeader(name)] {
			t.Errorf("header %s was kept", name)
		}
	}
	if m.publishing.Headers["x-ok"] != "1" || m.publishing.UserId != "" || m.publishing.ReplyTo != "" {
		t.Errorf("%+v", m.publishing)
	}
}

func TestAMQPMessageRejections(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		spoil func(d *relay.Delivery)
		want  string
	}{
		"http target":  {func(d *relay.Delivery) { d.Subscriber.Target = targetOf(t, "http://user:pw@host/") }, "not an AMQP target"},
		"routing key":  {func(d *relay.Delivery) { d.Message.Key = long }, "routing key of 270 bytes"},
		"topic":        {func(d *relay.Delivery) { d.Message.Topic = long; d.Message.Key = "" }, "AMQP allows 255"},
		"source":       {func(d *relay.Delivery) { d.Source = long }, "app id (source) of 256 bytes"},
		"content type": {func(d *relay.Delivery) { d.Message.ContentType = long }, "content type of 256 bytes"},
		"header name":  {func(d *relay.Delivery) { d.Headers = map[string]string{long: "v"} }, "header name of 256 bytes"},
		"header size":  {func(d *relay.Delivery) { d.Headers = map[string]string{"x": strings.Repeat("v", 131072)} }, "AMQP allows 126976 here"},
		"body":         {func(d *relay.Delivery) { d.Message.Body = make([]byte, maxBody+1) }, "body of 536870913 bytes"},
	} {
		d := delivery(t, "amqp:orders/{topic}.{key}")
		c.spoil(d)
		_, err := newMessage(d)
		if !errors.Is(err, relay.ErrRejected) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a rejection with %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: repeats a password: %v", name, err)
		}
	}
}

// An estimate that is too small would break the connection for all messages.
func TestAMQPMessageHeaderSize(t *testing.T) {
	d := delivery(t, "amqp:orders/{topic}.{key}")
	m, err := newMessage(d)
	if err != nil {
		t.Fatal(err)
	}
	before := m.headerSize
	d.Headers["x-more"] = "four"
	m, err = newMessage(d)
	if err != nil {
		t.Fatal(err)
	}
	if grown := m.headerSize - before; grown != 1+len("x-more")+1+4+len("four") {
		t.Errorf("a header of 6 and 4 bytes adds %d", grown)
	}
	if err := m.checkHeaderSize(m.headerSize); !errors.Is(err, relay.ErrRejected) {
		t.Errorf("without room for what the broker adds: %v", err)
	}
	if err := m.checkHeaderSize(2 * m.headerSize); err != nil {
		t.Errorf("with room: %v", err)
	}
}
