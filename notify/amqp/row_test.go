package amqp_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// rowOf returns the subscriber of a row with a destination of its own.
func rowOf(t testing.TB, target string) *relay.Subscriber {
	t.Helper()
	s := subscriberOf(t, target)
	s.Name = relay.SubscriptionDirect
	return s
}

// A row could have exchanges and queues declared without end.
func TestAMQPDeclaresNothingForARow(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a := startAMQP(t, amqp.Config{URL: url})
	for target, look := range map[string]func(*amqp091.Channel) error{
		"amqp:/missing": func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclarePassive("missing", true, false, false, false, nil)
			return err
		},
		"amqp:missing/{topic}": func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclarePassive("missing", "topic", true, false, false, false, nil)
		},
	} {
		for range 2 {
			out := a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, target), nil))
			wantClass(t, out, relay.ClassPushFailed, "does not exist, and the relay declares nothing for a row's own destination: declare it")
			if out.Code != amqp091.NotFound {
				t.Errorf("%s: code %d, want 404", target, out.Code)
			}
		}
		if err := look(brokerChannel(t, url)); err == nil {
			t.Errorf("%s exists", target)
		}
		// What the operator names is declared as before, and what the relay has learned of it is forgotten in time.
		if out := a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, target), nil)); out.Class != relay.ClassDelivered && out.Code != amqp091.NoRoute {
			t.Errorf("%s of a subscription: class %d, %s", target, out.Class, out.Error)
		}
		harness.Eventually(t, 20*time.Second, "the row's message goes when the target exists", func() bool {
			out := a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, target), nil))
			return out.Class == relay.ClassDelivered || out.Code == amqp091.NoRoute
		})
	}
}

func TestAMQPRowsReachNothingReserved(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	_, err := ch.QueueDeclare("relay.ack.shop", true, false, false, false, nil)
	must(t, err)
	unnamed, err := ch.QueueDeclare("", false, true, true, false, nil)
	must(t, err)
	_, err = ch.QueueDeclare("mine", false, true, true, false, nil)
	must(t, err)
	for _, target := range []string{
		"amqp:amq.topic/x", "amqp:amq.direct/{key}", "amqp:amq.missing/x", "amqp:amq.default/mine",
		"amqp:/relay.ack.shop", "amqp:/amq.rabbitmq.reply-to.x", "amqp:/" + unnamed.Name,
	} {
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, target), nil)), relay.ClassRejected, "is reserved: a row's own destination cannot name")
	}
	out := a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, "amqp:/mine"), nil))
	wantClass(t, out, relay.ClassPushFailed, `the queue "mine" is exclusive to another connection`)
	if out.Code != amqp091.ResourceLocked {
		t.Errorf("code %d, want 405", out.Code)
	}
	for _, queue := range []string{"relay.ack.shop", "mine", unnamed.Name} {
		if n := depth(t, ch, queue); n != 0 {
			t.Errorf("%d messages in %s", n, queue)
		}
	}
}

func TestAMQPRowsUseWhatExistsOfAnyType(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	for _, kind := range []string{"classic", "quorum", "stream"} {
		_, err := ch.QueueDeclare("of-"+kind, true, false, false, false, amqp091.Table{"x-queue-type": kind})
		must(t, err)
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, "amqp:/of-"+kind), nil)), relay.ClassDelivered, "")
	}
	for kind, match := range map[string]amqp091.Table{"fanout": nil, "topic": nil, "direct": nil, "headers": {"x-tenant": "shop"}} {
		must(t, ch.ExchangeDeclare("of-"+kind, kind, false, true, false, false, nil))
		must(t, ch.QueueBind("of-classic", "t", "of-"+kind, false, match))
		d := conformance.NewDelivery(rowOf(t, "amqp:of-"+kind+"/t"), nil)
		d.Headers = map[string]string{"x-tenant": "shop"}
		wantClass(t, a.Deliver(t.Context(), d), relay.ClassDelivered, "")
	}
	if n := depth(t, ch, "of-classic"); n != 5 {
		t.Errorf("%d messages in the queue, want 5", n)
	}
}

// The broker closes the channel on which something is published to an internal exchange.
func TestAMQPRowsOfAnInternalExchangeDisturbNothingElse(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	boundQueue(t, ch, "open", "behind")
	must(t, ch.ExchangeDeclare("internal", "topic", true, false, true, false, nil))
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			switch i % 3 {
			case 0:
				out := deliver(t, a, conformance.NewDelivery(rowOf(t, "amqp:internal/x"), nil))
				if out.Class != relay.ClassPushFailed && out.Class != relay.ClassUnknown || out.Class == relay.ClassPushFailed && !out.Answered {
					t.Errorf("class %d, answered %v: %s", out.Class, out.Answered, out.Error)
				}
			case 1:
				wantClass(t, deliver(t, a, conformance.NewDelivery(rowOf(t, "amqp:open/x"), nil)), relay.ClassDelivered, "")
			default:
				wantClass(t, deliver(t, a, conformance.NewDelivery(subscriberOf(t, "amqp:open/x"), nil)), relay.ClassDelivered, "")
			}
		})
	}
	wg.Wait()
	harness.Eventually(t, 20*time.Second, "the broker's reason is given", func() bool {
		return a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, "amqp:internal/x"), nil)).Code == amqp091.AccessRefused
	})
	if n := depth(t, ch, "behind"); n != 200 {
		t.Errorf("%d messages behind the open exchange, want 200: those of others were sent twice", n)
	}
}

// Rows can invent names without end: each costs the broker a channel.
func TestAMQPInventedNamesSlowDownNothingElse(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	for _, queue := range []string{"operators", "rows"} {
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		must(t, err)
	}
	operators, rows := subscriberOf(t, "amqp:/operators"), rowOf(t, "amqp:/rows")
	for _, s := range []*relay.Subscriber{operators, rows} {
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, nil)), relay.ClassDelivered, "")
	}
	begun := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	missing := 0
	for worker := range 50 {
		wg.Go(func() {
			for i := 0; time.Since(begun) < 4*time.Second; i++ {
				out := a.Deliver(t.Context(), conformance.NewDelivery(rowOf(t, fmt.Sprintf("amqp:/invented-%d-%d", worker, i)), nil))
				if out.Class != relay.ClassPushFailed || !out.Answered {
					t.Errorf("class %d, answered %v: %s", out.Class, out.Answered, out.Error)
				}
				mu.Lock()
				if out.Code == amqp091.NotFound {
					missing++
				}
				mu.Unlock()
			}
		})
	}
	deliversAtOnce(t, a, operators)
	deliversAtOnce(t, a, rows)
	wg.Wait()
	// 20 in a second, and at most 64 that were asked before the first answer.
	if most := 64 + 20*5 + 25; missing == 0 || missing > most {
		t.Errorf("the broker was asked for %d invented names, want between 1 and %d", missing, most)
	}
}

// The check of a queue waited for the queue itself, and attempts were counted for it.
func TestAMQPChecksDoNotWaitForAQueueThatDoesNothing(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t)
	ch := brokerChannel(t, rabbit.URL("/"))
	for _, queue := range []string{"silent", "well"} {
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		must(t, err)
	}
	resume := harness.SuspendQueue(t, rabbit, "silent")
	defer resume()
	a := startAMQP(t, amqp.Config{URL: rabbit.URL("/")})
	for _, subscriber := range []func(testing.TB, string) *relay.Subscriber{rowOf, subscriberOf} {
		silent := subscriber(t, "amqp:/silent")
		silent.Timeout = time.Second
		if out := a.Deliver(t.Context(), conformance.NewDelivery(silent, nil)); out.Class != relay.ClassUnknown || !out.Silent {
			t.Errorf("%s: class %d, silent %v: %s", silent.Name, out.Class, out.Silent, out.Error)
		}
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(subscriber(t, "amqp:/well"), nil)), relay.ClassDelivered, "")
	}
}

// Channels are few. The one used longest ago makes room, and one that owes a confirm is the last to do so.
func TestAMQPRowsTakeTurnsOnFewChannels(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t)
	url := rabbit.URL("/")
	ch := brokerChannel(t, url)
	const queues = 30
	for i := range queues {
		_, err := ch.QueueDeclare(fmt.Sprint("q", i), true, false, false, false, nil)
		must(t, err)
	}
	a := startAMQP(t, amqp.Config{URL: url + "?channel_max=40"}) // 10 of them for rows
	silent := rowOf(t, "amqp:/q0")
	wantClass(t, deliver(t, a, conformance.NewDelivery(silent, nil)), relay.ClassDelivered, "")
	silent.Timeout = 500 * time.Millisecond
	resume := harness.SuspendQueue(t, rabbit, "q0")
	late := conformance.NewDelivery(silent, nil)
	wantClass(t, a.Deliver(t.Context(), late), relay.ClassUnknown, "no confirm")
	for range 3 {
		var wg sync.WaitGroup
		for i := 1; i < queues; i++ {
			wg.Go(func() {
				wantClass(t, deliver(t, a, conformance.NewDelivery(rowOf(t, fmt.Sprint("amqp:/q", i)), nil)), relay.ClassDelivered, "")
			})
		}
		wg.Wait()
	}
	// The repeat waits for the confirm of the first, which its channel has kept.
	silent.Timeout = 20 * time.Second
	sendAll(t, a, []*relay.Delivery{late}, func() { <-time.After(100 * time.Millisecond); resume() })
	for i := range queues {
		want := 3
		if i == 0 {
			want = 2
		}
		if n := depth(t, ch, fmt.Sprint("q", i)); n != want {
			t.Errorf("%d messages in q%d, want %d", n, i, want)
		}
	}
}
