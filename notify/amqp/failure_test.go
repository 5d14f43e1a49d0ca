package amqp_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

func TestAMQPReturnedMessageIsNotDelivered(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	must(t, ch.ExchangeDeclare("orders", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("eu", true, false, false, false, nil)
	must(t, err)
	must(t, ch.QueueBind("eu", "eu.#", "orders", false, nil))
	eu, us := subscriberOf(t, "amqp:orders/eu.x"), subscriberOf(t, "amqp:orders/us.x")
	// The same message to a target with a queue and to one without, and twice to the same.
	var wg sync.WaitGroup
	for range 100 {
		d := conformance.NewDelivery(eu, []byte("{}"))
		for _, s := range []*relay.Subscriber{eu, us, eu, us} {
			wg.Go(func() {
				out := deliver(t, a, &relay.Delivery{Message: d.Message, Subscriber: s, Attempt: 1, Source: "shop"})
				if s == eu {
					wantClass(t, out, relay.ClassDelivered, "")
					return
				}
				wantClass(t, out, relay.ClassPushFailed, "unroutable")
			})
		}
	}
	wg.Wait()
	if n := depth(t, ch, "eu"); n != 200 {
		t.Errorf("%d messages in the queue, want 200", n)
	}
}

func TestAMQPNackOfAFullQueue(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	_, err := ch.QueueDeclare("small", true, false, false, false, amqp091.Table{"x-max-length": 3, "x-overflow": "reject-publish"})
	must(t, err)
	s := subscriberOf(t, "amqp:/small")
	for i := range 5 {
		out := a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}")))
		if i < 3 {
			wantClass(t, out, relay.ClassDelivered, "")
			continue
		}
		wantClass(t, out, relay.ClassPushFailed, "basic.nack")
	}
}

// An exchange that is deleted while messages flow closes the channel for the messages of all exchanges.
func TestAMQPExchangeDeletedInMidFlow(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	boundQueue(t, ch, "good", "kept")
	boundQueue(t, ch, "bad", "cut")
	good, bad := subscriberOf(t, "amqp:good/x"), subscriberOf(t, "amqp:bad/x")
	var failed atomic.Int32
	var wg sync.WaitGroup
	began := make(chan struct{}, 4000)
	for i := range 200 {
		wg.Go(func() {
			for range 20 {
				began <- struct{}{}
				if i%4 != 0 {
					wantClass(t, deliver(t, a, conformance.NewDelivery(good, []byte("{}"))), relay.ClassDelivered, "")
					continue
				}
				switch out := deliver(t, a, conformance.NewDelivery(bad, []byte("{}"))); out.Class {
				case relay.ClassDelivered:
				case relay.ClassPushFailed:
					failed.Add(1)
				default:
					t.Errorf("class %d: %s", out.Class, out.Error)
				}
			}
		})
	}
	for range 1000 {
		<-began
	}
	must(t, ch.ExchangeDelete("bad", false, false))
	wg.Wait()
	if failed.Load() == 0 {
		t.Error("no message to the deleted exchange failed")
	}
	if n := depth(t, ch, "kept"); n < 3000 {
		t.Errorf("%d messages arrived over the good exchange, want 3000", n)
	}
}

func TestAMQPBrokerKilledAndRestarted(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t)
	// A quorum queue needs some seconds to survive a kill: RabbitMQ 3.10 then has it
	// without a leader. What is tested here is the relay.
	_, err := brokerChannel(t, rabbit.URL("/")).QueueDeclare("orders", true, false, false, false, nil)
	must(t, err)
	var ups atomic.Int32
	a := startAMQP(t, amqp.Config{URL: rabbit.URL("/"), OnUp: func() { ups.Add(1) }})
	s := subscriberOf(t, "amqp:/orders")
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
	for name, end := range map[string]func() error{"killed": rabbit.Kill, "stopped": rabbit.Stop} {
		before := ups.Load()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for ctx.Err() == nil {
					switch out := deliver(t, a, conformance.NewDelivery(s, []byte("{}"))); out.Class {
					case relay.ClassDelivered, relay.ClassUnknown:
					case relay.ClassPushFailed:
						if !strings.Contains(out.Error, "no connection to the broker") {
							t.Errorf("%s: %s", name, out.Error)
						}
					default:
						t.Errorf("%s: class %d: %s", name, out.Class, out.Error)
					}
				}
			})
		}
		must(t, end())
		harness.Eventually(t, 30*time.Second, "the loss is noticed", func() bool { up, _ := a.State(); return !up })
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassPushFailed, "no connection to the broker")
		must(t, rabbit.Start(t.Context()))
		eventuallyUp(t, a)
		harness.Eventually(t, 30*time.Second, "delivery after the restart", func() bool {
			return a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))).Class == relay.ClassDelivered
		})
		cancel()
		wg.Wait()
		if ups.Load() == before {
			t.Errorf("%s: OnUp was not called although the broker is back", name)
		}
	}
}

func TestAMQPWithoutBroker(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	a := runAMQP(t, amqp.Config{
		URL: "amqp://user:hidden-word@" + harness.FreeAddress(t) + "/vhost",
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	began := time.Now()
	out := a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, "amqp:/x"), []byte("{}")))
	wantClass(t, out, relay.ClassPushFailed, "no connection to the broker")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	harness.Eventually(t, 10*time.Second, "several attempts to connect", func() bool {
		_, text := a.State()
		return strings.Contains(text, "refused")
	})
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("the same failure was logged %d times:\n%s", n, log.String())
	}
	checkNoSecret(t, a, out, &log)
}

func TestAMQPWrongPasswordLeaksNothing(t *testing.T) {
	t.Parallel()
	url := restrictedUser(t, harness.AMQPURL(t), "", "", "")
	var log lockedBuffer
	a := runAMQP(t, amqp.Config{
		URL: strings.Replace(url, "hidden-word", "hidden-word-2", 1),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	harness.Eventually(t, 10*time.Second, "the refusal", func() bool {
		_, text := a.State()
		return strings.Contains(text, "username or password not allowed")
	})
	checkNoSecret(t, a, a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, "amqp:/x"), []byte("{}"))), &log)
}

// checkNoSecret looks for the password wherever the destination can speak.
func checkNoSecret(t *testing.T, a *amqp.Destination, out relay.Outcome, log fmt.Stringer) {
	t.Helper()
	_, state := a.State()
	for what, text := range map[string]string{"log": log.String(), "error": out.Error, "state": state} {
		if strings.Contains(text, "hidden-word") || strings.Contains(text, "user:") {
			t.Errorf("the %s repeats the password: %s", what, text)
		}
	}
}
