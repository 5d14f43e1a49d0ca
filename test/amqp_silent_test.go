package test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// A queue that confirms nothing held up all messages over the same broker, and its own messages
// died of attempts that the broker could not answer.
func TestAQueueThatNeverConfirmsIsItsSubscriptionsAlone(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t)
	b := newBroker(t, node.URL("/"))
	b.queue(t, "silent", "", "")
	b.queue(t, "well", "", "")
	s := newSystem(t, "RELAY_AMQP_URL="+node.URL("/"), "RELAY_BACKOFF=1s", "RELAY_MAX_ATTEMPTS=3")
	s.exec(t, `insert into relay.subscription (name, topics, target, timeout) values
		('silent', '{silent}', 'amqp:/silent', '3s'), ('well', '{well}', 'amqp:/well', null)`)
	for _, topic := range []string{"silent", "well"} {
		s.waitStatus(t, s.send(t, "topic", "$1", topic), "done")
	}
	resume := harness.SuspendQueue(t, node, "silent")
	const n = 1500
	s.exec(t, "insert into relay.outbox (topic) select 'silent' from generate_series(1, $1::int)", n)
	down := func() bool { return strings.Contains(s.relay.log.String(), "destination=silent") }
	deadline := time.Now().Add(30 * time.Second)
	for again := 0; !down() || again < 5; again++ {
		if time.Now().After(deadline) {
			t.Fatal("the subscription's circuit did not open")
		}
		begun := time.Now()
		s.waitStatus(t, s.send(t, "topic", "'well'"), "done")
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("a message to another queue took %s", took)
		}
	}
	harness.Eventually(t, 30*time.Second, "the rest waits", func() bool {
		return s.text(t, "select (count(*) > $1)::text from relay.delivery where status = 'waiting'", n-300) == "true"
	})
	if counted := s.text(t, "select count(*)::text from relay.delivery where subscription = 'silent' and status <> 'delivered' and attempts > 0"); counted != "0" {
		t.Errorf("%s deliveries have counted an attempt", counted)
	}
	resume()
	s.settled(t, time.Minute)
	if done := s.text(t, "select count(*)::text from relay.outbox where status = 'done' and topic = 'silent'"); done != strconv.Itoa(n+1) {
		t.Errorf("%s messages are done, want %d", done, n+1)
	}
	if twice := len(b.stored(t, "silent")) - n - 1; twice < 0 || twice > 200 {
		t.Errorf("%d duplicates, want 200 at most", twice)
	}
}

// Rows' own exchanges and queues shared a lane of 250 attempts, and one that confirmed nothing held up all.
func TestAQueueThatNeverConfirmsHoldsUpNoOtherThatRowsName(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t)
	b := newBroker(t, node.URL("/"))
	b.queue(t, "silent", "", "")
	b.queue(t, "well", "shop", "#")
	s := newSystem(t, "RELAY_AMQP_URL="+node.URL("/"), "RELAY_HTTP_TIMEOUT=3s", "RELAY_BACKOFF=1s")
	for _, target := range []string{"amqp:/silent", "amqp:/well", "amqp:shop/x"} {
		s.waitStatus(t, s.send(t, "topic, destination", "'t', $1", target), "done")
	}
	resume := harness.SuspendQueue(t, node, "silent")
	const n = 1500
	s.exec(t, "insert into relay.outbox (topic, destination) select 't', 'amqp:/silent' from generate_series(1, $1::int)", n)
	down := func() bool { return strings.Contains(s.relay.log.String(), "destination=amqp:/silent") }
	deadline := time.Now().Add(40 * time.Second)
	for again := 0; !down() || again < 5; again++ {
		if time.Now().After(deadline) {
			t.Fatal("the queue's circuit did not open")
		}
		for _, target := range []string{"amqp:/well", "amqp:shop/x"} {
			begun := time.Now()
			s.waitStatus(t, s.send(t, "topic, destination", "'t', $1", target), "done")
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("a message to %s took %s", target, took)
			}
		}
	}
	resume()
	s.settled(t, time.Minute)
	if done := s.text(t, "select count(*)::text from relay.outbox where status = 'done' and destination = 'amqp:/silent'"); done != strconv.Itoa(n+1) {
		t.Errorf("%s messages are done, want %d", done, n+1)
	}
	if counted := s.text(t, "select count(*)::text from relay.delivery where status <> 'delivered' or attempts > 1"); counted != "0" {
		t.Errorf("%s deliveries have counted an attempt too many", counted)
	}
}

// The circuit of a subscription stayed open after the broker had come back, until its own
// next probe.
func TestASubscriptionsMessagesGoWhenTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t)
	if _, err := newBroker(t, node.URL("/")).channel.QueueDeclare("all", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, "RELAY_AMQP_URL="+node.URL("/"), "RELAY_BACKOFF=1h")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{#}', 'amqp:/all')")
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	s.relay.says("broker: failed: no connection")
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, 12)")
	harness.Eventually(t, 30*time.Second, "the circuit opens", func() bool {
		return strings.Contains(s.relay.log.String(), "destination=sub")
	})
	id := s.send(t, "topic", "'t'")
	harness.Eventually(t, 30*time.Second, "a message waits for the circuit", func() bool {
		return s.text(t, "select reason from relay.delivery where message_id = $1", id) == "circuit_open"
	})
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.waitStatus(t, id, "done")
}

// What the next message of a key waits for is the confirm of the one before; without a key
// nothing waits.
func TestTheNextMessageOfAKeyIsPublishedAfterTheConfirm(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t)
	b := newBroker(t, node.URL("/"))
	b.queue(t, "all", "", "")
	way := newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(node.Port())))
	way.tapped.Store(true)
	s := newSystem(t, "RELAY_AMQP_URL="+way.through(t, node.URL("/")), "RELAY_DEFAULT_DESTINATION=amqp:/all")
	s.waitStatus(t, s.send(t, "topic", "'first'"), "done")
	resume := harness.SuspendQueue(t, node, "all")
	keyed := []string{"keyed-1", "keyed-2", "keyed-3"}
	published := func(topic string) bool { return strings.Contains(way.sent.String(), topic) }
	var ids []string
	for _, topic := range keyed {
		ids = append(ids, s.send(t, "topic, key", "$1, 'k'", topic))
	}
	for _, topic := range []string{"free-1", "free-2", "free-3"} {
		s.send(t, "topic", "$1", topic)
		harness.Eventually(t, 20*time.Second, "what has no key is published", func() bool { return published(topic) })
	}
	harness.Eventually(t, 20*time.Second, "the first of the key is published", func() bool { return published(keyed[0]) })
	harness.Eventually(t, 20*time.Second, "the others of the key wait", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where message_id::text = any($1) and reason = 'key_blocked'", ids[1:]) == "2"
	})
	if published(keyed[1]) || published(keyed[2]) {
		t.Error("a message was published before the one before it in its key was confirmed")
	}
	resume()
	s.settled(t, time.Minute)
	var order []string
	for _, id := range b.stored(t, "all") {
		if slices.Contains(ids, id) && !slices.Contains(order, id) {
			order = append(order, id)
		}
	}
	if !slices.Equal(order, ids) {
		t.Errorf("order in the queue %v, want %v", order, ids)
	}
}
