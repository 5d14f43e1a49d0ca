package test

import (
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/harness"
)

// reply acknowledges a message that came by the broker.
func (b *broker) reply(t testing.TB, queue, token, body string) {
	t.Helper()
	err := b.channel.PublishWithContext(t.Context(), "", queue, false, false, amqp.Publishing{CorrelationId: token, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAConsumerAcknowledgesOverRabbitMQ(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	b := newBroker(t, url)
	b.queue(t, "work", "", "")
	env := []string{"RELAY_AMQP_URL=" + url, "RELAY_BACKOFF=50ms"}
	s := newSystem(t, env...)
	env = append(env, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	s.exec(t, "insert into relay.subscription (name, topics, target, ack) values ('sub', '{#}', 'amqp:/work', 'consumer')")

	handled := s.send(t, "topic, key", "'t', 'k'")
	got := b.consume(t, "work", 1)[0]
	if got.MessageId != handled || got.ReplyTo != "relay.ack."+s.db.Name || len(got.CorrelationId) > 255 || got.CorrelationId == "" {
		t.Fatalf("message %q, reply to %q, correlation id %q", got.MessageId, got.ReplyTo, got.CorrelationId)
	}
	s.waitDelivery(t, handled, "awaiting_ack")
	second := s.send(t, "topic, key", "'t', 'k'") // the key goes on
	next := b.consume(t, "work", 1)[0]

	// Poison is counted and dropped, and what follows is taken.
	b.reply(t, got.ReplyTo, "", saysHandled)
	b.reply(t, got.ReplyTo, got.CorrelationId, "poison")
	b.reply(t, got.ReplyTo, got.CorrelationId[:90]+"AA", saysHandled)
	b.reply(t, got.ReplyTo, got.CorrelationId, saysHandled)
	s.waitStatus(t, handled, "done")
	b.reply(t, got.ReplyTo, got.CorrelationId, saysHandled)

	b.reply(t, next.ReplyTo, next.CorrelationId, saysFailed)
	again := b.consume(t, "work", 1)[0]
	if again.MessageId != second || again.CorrelationId == next.CorrelationId {
		t.Fatalf("message %q came again, want %q by another token", again.MessageId, second)
	}
	s.relay.kill() // the reply waits in the queue, or is taken by another relay
	b.reply(t, next.ReplyTo, again.CorrelationId, saysNever)
	s.relay = start(t, s.db, env...)
	s.waitStatus(t, second, "dead")
	harness.Eventually(t, 20*time.Second, "no reply is left", func() bool {
		q, err := b.channel.QueueDeclarePassive(got.ReplyTo, true, false, false, false, nil)
		return err == nil && q.Messages == 0
	})
}

// A subscription that comes later is served without a restart, and its messages go again when no
// acknowledgement comes.
func TestRepliesAreTakenFromWhenASubscriptionWantsThem(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	b := newBroker(t, url)
	b.queue(t, "work", "", "")
	s := newSystem(t, "RELAY_AMQP_URL="+url)
	queue := "relay.ack." + s.db.Name
	s.exec(t, "insert into relay.subscription (name, topics, target, ack, ack_timeout, max_attempts) values ('sub', '{#}', 'amqp:/work', 'consumer', '4 seconds', 2)")
	id := s.send(t, "topic", "'t'")
	first := b.consume(t, "work", 2)[0]
	b.reply(t, queue, first.CorrelationId, saysHandled)
	s.waitStatus(t, id, "done")
	silent := s.send(t, "topic", "'t'")
	s.waitStatus(t, silent, "dead")
	if n := s.text(t, "select attempts::text from relay.delivery where message_id = $1", silent); n != "2" {
		t.Errorf("%s attempts, want 2", n)
	}
	// The queue is deleted under the relay: it is made again.
	if _, err := b.channel.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "the queue is there again", func() bool {
		ch := newBroker(t, url).channel
		_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err == nil
	})
}

// While the broker has an alarm it reads nothing from a connection that publishes. What was in the relay's
// queue beyond 64 acknowledgements waited for the end of the alarm.
func TestAcknowledgementsAreTakenWhilePublishersAreBlocked(t *testing.T) {
	t.Parallel()
	node := harness.OwnRabbit(t)
	b := newBroker(t, node.URL("/"))
	b.queue(t, "work", "", "")
	env := []string{"RELAY_AMQP_URL=" + node.URL("/")}
	s := newSystem(t, env...)
	s.exec(t, "insert into relay.subscription (name, topics, target, ack) values ('sub', '{t}', 'amqp:/work', 'consumer')")
	const n = 200
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, $1::int)", n)
	messages := b.consume(t, "work", n)
	harness.Eventually(t, 20*time.Second, "all await their acknowledgement", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where status = 'awaiting_ack'") == strconv.Itoa(n)
	})
	s.relay.kill()
	for _, m := range messages {
		b.reply(t, m.ReplyTo, m.CorrelationId, saysHandled)
	}
	harness.Eventually(t, 20*time.Second, "the acknowledgements are in the queue", func() bool {
		q, err := b.channel.QueueDeclarePassive(messages[0].ReplyTo, true, false, false, false, nil)
		return err == nil && q.Messages == n
	})
	if _, err := node.Ctl(t.Context(), "set_vm_memory_high_watermark", "0.00001"); err != nil {
		t.Fatal(err)
	}
	blocked := s.send(t, "topic", "'t'")
	// Nothing can be stored before the relay has published and is blocked.
	hold, err := s.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback(t.Context())
	if _, err := hold.Exec(t.Context(), "lock table relay.ack in share mode"); err != nil {
		t.Fatal(err)
	}
	s.relay = start(t, s.db, append(env, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)...)
	s.relay.says("broker: failed: blocked by the broker")
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, "all are acknowledged", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where status = 'handled'") == strconv.Itoa(n)
	})
	s.relay.says("broker: failed: blocked by the broker")
	if _, err := node.Ctl(t.Context(), "set_vm_memory_high_watermark", "0.4"); err != nil {
		t.Fatal(err)
	}
	s.waitDelivery(t, blocked, "awaiting_ack")
}
