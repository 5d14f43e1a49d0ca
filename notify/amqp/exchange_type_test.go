package amqp_test

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// An exchange that keeps what it has no queue for returned the message all the same, and the
// relay sent it again until it was dead.
func TestAMQPTakesAMessageForKeptByAnExchangeThatKeepsIt(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t, "rabbitmq_recent_history_exchange")
	url := rabbit.URL("/")
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	must(t, ch.ExchangeDeclare("history", "x-recent-history", true, false, false, false, amqp091.Table{"x-recent-history-length": 10}))
	must(t, ch.ExchangeDeclare("plain", "topic", true, false, false, false, nil))
	for _, subscriber := range []func(testing.TB, string) *relay.Subscriber{subscriberOf, rowOf} {
		for range 2 {
			wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(subscriber(t, "amqp:history/x"), nil)), relay.ClassDelivered, "")
			out := a.Deliver(t.Context(), conformance.NewDelivery(subscriber(t, "amqp:plain/x"), nil))
			wantClass(t, out, relay.ClassPushFailed, "returned as unroutable")
			if out.Code != amqp091.NoRoute {
				t.Errorf("code %d, want 312", out.Code)
			}
		}
	}
	_, err := ch.QueueDeclare("late", true, false, false, false, nil)
	must(t, err)
	must(t, ch.QueueBind("late", "", "history", false, nil))
	harness.Eventually(t, 10*time.Second, "the exchange hands over what it has kept", func() bool { return depth(t, ch, "late") == 4 })
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, "amqp:history/x"), nil)), relay.ClassDelivered, "")
	if n := depth(t, ch, "late"); n != 5 {
		t.Errorf("%d messages in the queue, want 5", n)
	}

	// A user that may not configure an exchange does not learn its type.
	must(t, ch.ExchangeDeclare("foreign", "x-recent-history", true, false, false, false, nil))
	must(t, rabbit.API(t.Context(), "PUT", "/api/users/restricted", map[string]string{"password": "word", "tags": ""}, nil))
	must(t, rabbit.API(t.Context(), "PUT", "/api/permissions/%2f/restricted", map[string]string{"configure": "none", "write": ".*", "read": "none"}, nil))
	restricted := startAMQP(t, amqp.Config{URL: fmt.Sprintf("amqp://restricted:word@127.0.0.1:%d/", rabbit.Port())})
	wantClass(t, restricted.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, "amqp:foreign/x"), nil)), relay.ClassPushFailed, "grant the relay's user configure on it")
}

// The question for the type of an exchange is a declaration: it must never make an exchange.
func TestAMQPAskingForTheTypeMakesNoExchange(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	for kind, want := range map[string]string{"direct": "", "fanout": "fanout", "topic": "topic", "headers": "headers"} {
		name := "current is '' but current is " + kind
		must(t, ch.ExchangeDeclare(name, kind, false, true, false, false, nil))
		if got, err := amqp.AskExchangeType(brokerChannel(t, url), name); got != want || err != nil {
			t.Errorf("the type of %s is %q, %v", kind, got, err)
		}
	}
	if got, err := amqp.AskExchangeType(brokerChannel(t, url), "missing"); err != nil || got != "" {
		t.Errorf("the type of what is missing is %q, %v", got, err)
	}
	if err := ch.ExchangeDeclarePassive("missing", "topic", true, false, false, false, nil); err == nil {
		t.Error("the question has made an exchange")
	}
}
