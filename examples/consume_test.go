package examples

import (
	"sync/atomic"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/test/harness"
)

// queue is what the consumers consume.
const queue = "warehouse"

// consumer is a language's program that consumes a queue, with the broker it sees.
type consumer struct {
	*shop
	broker  *broker
	channel *amqp.Channel // straight to RabbitMQ
	kill    func()        // ends the program that runs
}

// testConsumer starts the language's consumer and tests it.
func (s *shop) testConsumer(t *testing.T) {
	conn, err := amqp.Dial(s.amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	c := &consumer{shop: s, broker: openBroker(t, s.amqpURL), channel: channel}
	s.env = append(s.env, "AMQP_URL="+c.broker.url)
	c.start()
	// RabbitMQ 3.10 fails two programs that declare a quorum queue at the same moment.
	harness.Eventually(t, patience, "the consumer is there", func() bool { return consumed(t, conn) })
	t.Run("from the outbox to the consumer", c.testSend)
	t.Run("consumed twice", c.testDuplicates)
	t.Run("crash between work and ack", c.testCrash)
	t.Run("consumer's failing work", c.testFailingWork)
	t.Run("consumer's foreign message", c.testForeign)
}

// consumed reports whether a program consumes the queue. The broker closes the channel if the
// queue is missing.
func consumed(t *testing.T, conn *amqp.Connection) bool {
	t.Helper()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	q, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	return err == nil && q.Consumers > 0
}

func (c *consumer) start() { c.kill = c.shop.start(c.language.consume(c.shop, queue)...) }

// publish gives RabbitMQ a message as the relay would.
func (c *consumer) publish(t *testing.T, id, body string) {
	t.Helper()
	err := c.channel.PublishWithContext(t.Context(), "", queue, true, false, amqp.Publishing{
		MessageId: id, Type: "order.created", ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: []byte(body),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until a count has reached a number.
func await(t *testing.T, what string, count *atomic.Int64, want int64) {
	t.Helper()
	harness.Eventually(t, patience, what, func() bool { return count.Load() >= want })
}

// testSend: the relay and the consumer declare the same queue, and what was committed
// arrives, byte for byte.
func (c *consumer) testSend(t *testing.T) {
	const insert = "insert into relay.outbox (topic, payload, destination) values ('order.created', $1, $2) returning id::text"
	body := "{ \"s\" : \"\\u00e9é€\\/\" }\n"
	id := query[string](t, c.app, insert, body, "amqp:/"+queue)
	await(t, "the consumer acks", &c.broker.acked, 1)
	if payload := c.awaitDone(t, id); payload != body {
		t.Errorf("the payload is %q, want %q", payload, body)
	}
}

// testDuplicates: a message that comes again is acked and not worked on again.
func (c *consumer) testDuplicates(t *testing.T) {
	id, before := relay.NewID().String(), c.broker.acked.Load()
	for range 3 {
		c.publish(t, id, `{"order":3}`)
	}
	await(t, "all copies are acked", &c.broker.acked, before+3)
	if n := len(c.shipped(t, id)); n != 1 {
		t.Errorf("%d shipments, want 1", n)
	}
}

// testCrash: the consumer dies after it has committed its work and before RabbitMQ hears
// of it. The message comes again, and is not worked on again.
func (c *consumer) testCrash(t *testing.T) {
	id, before := relay.NewID().String(), c.broker.acked.Load()
	c.broker.withhold.Store(true)
	c.publish(t, id, `{"order":4}`)
	await(t, "the consumer would ack", &c.broker.withheld, 1)
	if n := len(c.shipped(t, id)); n != 1 {
		t.Errorf("%d shipments are committed when the consumer acks, want 1", n)
	}
	c.kill()
	c.broker.withhold.Store(false)
	c.start()
	await(t, "the message is acked when it comes again", &c.broker.acked, before+1)
	if n := len(c.shipped(t, id)); n != 1 {
		t.Errorf("%d shipments, want 1", n)
	}
}

// testFailingWork: a message whose work was rolled back goes back to the queue, is not
// remembered, and is worked on once when it comes again.
func (c *consumer) testFailingWork(t *testing.T) {
	id, acked, requeued := relay.NewID().String(), c.broker.acked.Load(), c.broker.requeued.Load()
	c.publish(t, id, `"refuse"`)
	await(t, "the consumer returns the message", &c.broker.requeued, requeued+1)
	if c.remembers(t, id) {
		t.Error("the consumer remembers a message whose work failed")
	}
	c.relent(t)
	defer c.refuse(t)
	c.publish(t, id, `"refuse"`)
	await(t, "both copies are acked", &c.broker.acked, acked+2)
	if n := len(c.shipped(t, id)); n != 1 {
		t.Errorf("%d shipments, want 1", n)
	}
}

// testForeign: a message without an id cannot be told from its copies. It does not come
// again, and the ones behind it are worked on.
func (c *consumer) testForeign(t *testing.T) {
	acked, requeued := c.broker.acked.Load(), c.broker.requeued.Load()
	for i, id := range []string{"", "42"} {
		c.publish(t, id, "{}")
		await(t, "the consumer drops the message "+id, &c.broker.dropped, int64(i+1))
	}
	id := relay.NewID().String()
	c.publish(t, id, "{}")
	await(t, "the next one is acked", &c.broker.acked, acked+1)
	if n := len(c.shipped(t, id)); n != 1 || c.broker.requeued.Load() != requeued {
		t.Errorf("%d shipments, %d messages returned, want 1 and none", n, c.broker.requeued.Load()-requeued)
	}
}
