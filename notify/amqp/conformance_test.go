package amqp_test

import (
	"fmt"
	"net"
	neturl "net/url"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

func TestAMQPConforms(t *testing.T) {
	t.Parallel()
	conformance.Test(t, brokerCase)
}

func brokerCase(t *testing.T) conformance.Case {
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	a := startAMQP(t, amqp.Config{URL: url})
	must(t, ch.ExchangeDeclare("unbound", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("all", true, false, false, false, nil)
	must(t, err)
	parsed, err := neturl.Parse(url)
	must(t, err)
	password, _ := parsed.User.Password()
	return conformance.Case{
		Accepting:   conformance.Endpoint{Destination: a, Subscriber: subscriberOf(t, "amqp:/all")},
		Received:    consumeInto(t, ch, "all"),
		Accepted:    relay.ClassDelivered,
		Failing:     conformance.Endpoint{Destination: a, Subscriber: subscriberOf(t, "amqp:unbound/nowhere")},
		Failed:      relay.ClassPushFailed,
		Unreachable: conformance.Endpoint{Destination: runAMQP(t, amqp.Config{URL: "amqp://user:hidden-word@" + harness.FreeAddress(t) + "/"}), Subscriber: subscriberOf(t, "amqp:/all")},
		Silent:      conformance.Endpoint{Destination: runAMQP(t, amqp.Config{URL: "amqp://user:hidden-word@" + silentAddress(t) + "/"}), Subscriber: subscriberOf(t, "amqp:/all")},
		Secrets:     []string{"hidden-word", ":" + password + "@"},
	}
}

// consumeInto consumes the queue and returns a way to wait for a message by its id.
func consumeInto(t *testing.T, ch *amqp091.Channel, queue string) func(*testing.T, relay.ID) conformance.Message {
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	must(t, err)
	var mu sync.Mutex
	arrived := make(map[string]amqp091.Delivery)
	go func() {
		for d := range deliveries {
			mu.Lock()
			arrived[d.MessageId] = d
			mu.Unlock()
		}
	}()
	return func(t *testing.T, id relay.ID) conformance.Message {
		t.Helper()
		var d amqp091.Delivery
		harness.Eventually(t, 10*time.Second, "the message "+id.String(), func() bool {
			mu.Lock()
			defer mu.Unlock()
			var ok bool
			d, ok = arrived[id.String()]
			return ok
		})
		return received(t, d)
	}
}

// received reads the attributes as a consumer would.
func received(t *testing.T, d amqp091.Delivery) conformance.Message {
	text := func(name string) string { s, _ := d.Headers[name].(string); return s }
	at, err := time.Parse(time.RFC3339Nano, text("cloudEvents_time"))
	must(t, err)
	attempt, _ := d.Headers["relay-attempt"].(int32)
	headers := make(map[string]string)
	for name, value := range d.Headers {
		headers[strings.ToLower(name)] = fmt.Sprint(value)
	}
	return conformance.Message{
		ID: d.MessageId, Topic: d.Type, Key: text("cloudEvents_subject"), Source: d.AppId, Time: at,
		ContentType: d.ContentType, Attempt: int(attempt), Headers: headers, Body: d.Body,
	}
}

// silentAddress returns the address of a peer that accepts and never says a word.
func silentAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	return l.Addr().String()
}
