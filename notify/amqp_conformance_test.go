package notify_test

import (
	"fmt"
	"net"
	neturl "net/url"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify"
	"relay/test/harness"
)

func TestAMQPConforms(t *testing.T) {
	t.Parallel()
	testDestination(t, amqpConformance)
}

func amqpConformance(t *testing.T) conformanceCase {
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	a := startAMQP(t, notify.AMQPConfig{URL: url})
	must(t, ch.ExchangeDeclare("unbound", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("all", true, false, false, false, nil)
	must(t, err)
	parsed, err := neturl.Parse(url)
	must(t, err)
	password, _ := parsed.User.Password()
	return conformanceCase{
		accepting:   endpoint{a, subscriberOf(t, "amqp:/all")},
		received:    consumeInto(t, ch, "all"),
		accepted:    relay.ClassDelivered,
		failing:     endpoint{a, subscriberOf(t, "amqp:unbound/nowhere")},
		failed:      relay.ClassPushFailed,
		unreachable: endpoint{runAMQP(t, notify.AMQPConfig{URL: "amqp://user:hidden-word@" + closedAddress(t) + "/"}), subscriberOf(t, "amqp:/all")},
		silent:      endpoint{runAMQP(t, notify.AMQPConfig{URL: "amqp://user:hidden-word@" + silentAddress(t) + "/"}), subscriberOf(t, "amqp:/all")},
		secrets:     []string{"hidden-word", ":" + password + "@"},
	}
}

// consumeInto consumes the queue and returns a way to wait for a message by its id.
func consumeInto(t *testing.T, ch *amqp.Channel, queue string) func(*testing.T, relay.ID) receivedMessage {
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	must(t, err)
	var mu sync.Mutex
	arrived := make(map[string]amqp.Delivery)
	go func() {
		for d := range deliveries {
			mu.Lock()
			arrived[d.MessageId] = d
			mu.Unlock()
		}
	}()
	return func(t *testing.T, id relay.ID) receivedMessage {
		t.Helper()
		var d amqp.Delivery
		harness.Eventually(t, 10*time.Second, "the message "+id.String(), func() bool {
			mu.Lock()
			defer mu.Unlock()
			var ok bool
			d, ok = arrived[id.String()]
			return ok
		})
		return amqpReceived(t, d)
	}
}

// amqpReceived reads the attributes as a consumer would.
func amqpReceived(t *testing.T, d amqp.Delivery) receivedMessage {
	text := func(name string) string { s, _ := d.Headers[name].(string); return s }
	at, err := time.Parse(time.RFC3339Nano, text("cloudEvents_time"))
	must(t, err)
	attempt, _ := d.Headers["relay-attempt"].(int32)
	headers := make(map[string]string)
	for name, value := range d.Headers {
		headers[strings.ToLower(name)] = fmt.Sprint(value)
	}
	return receivedMessage{
		ID: d.MessageId, Topic: d.Type, Key: text("cloudEvents_subject"), Source: d.AppId, Time: at,
		ContentType: d.ContentType, Attempt: int(attempt), Headers: headers, Body: d.Body,
	}
}

// closedAddress returns an address where nothing listens.
func closedAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
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
