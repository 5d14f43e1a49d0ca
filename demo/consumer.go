package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay"
)

// exchange is the topic exchange that the shop's messages for RabbitMQ go to.
const exchange = "shop"

// consumer consumes what the relay publishes to RabbitMQ.
type consumer struct {
	conn    *amqp.Connection
	version string // of RabbitMQ
	arrive  <-chan amqp.Delivery
	tally   *tally
	screen  *screen
}

// newConsumer connects and binds a queue, so that nothing published later is unroutable.
func newConsumer(url string, t *tally, s *screen) (*consumer, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to the demo's RabbitMQ: %w", err)
	}
	c := &consumer{conn: conn, tally: t, screen: s}
	c.version, _ = conn.Properties["version"].(string)
	if err := c.subscribe(); err != nil {
		return nil, errors.Join(fmt.Errorf("consume from the demo's RabbitMQ: %w", err), conn.Close())
	}
	return c, nil
}

func (c *consumer) subscribe() error {
	ch, err := c.conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	const queue = "warehouse"
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return err
	}
	if err := ch.QueueBind(queue, "#", exchange, false, nil); err != nil {
		return err
	}
	if err := ch.Qos(200, 0, false); err != nil {
		return err
	}
	c.arrive, err = ch.Consume(queue, "", false, false, false, false, nil)
	return err
}

// run consumes until ctx ends.
func (c *consumer) run(ctx context.Context) error {
	defer c.conn.CloseDeadline(time.Now().Add(time.Second))
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, ok := <-c.arrive:
			if !ok {
				return errors.New("the consumer lost its connection to RabbitMQ")
			}
			if err := c.take(d); err != nil {
				return fmt.Errorf("the consumer: %w", err)
			}
		}
	}
}

// take counts one message and acknowledges it.
func (c *consumer) take(d amqp.Delivery) error {
	at := time.Now()
	id, err := relay.ParseID(d.MessageId)
	if err != nil {
		return err
	}
	attempt, err := strconv.Atoi(fmt.Sprint(d.Headers["relay-attempt"]))
	if err != nil {
		return fmt.Errorf("header relay-attempt: %w", err)
	}
	if c.tally.arrived(id, attempt, at) {
		c.tally.accept(id)
	} else {
		inserted, _ := d.Headers["cloudEvents_time"].(string)
		c.screen.print(greeting(viaRabbit, d.Type, d.Body, since(inserted, at)))
	}
	return d.Ack(false)
}
