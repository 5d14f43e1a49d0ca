package test

import (
	"context"
	"net/http"
	"net/url"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/checker"
)

// exchange and queue of a chaos run. The queue is a classic one: a quorum queue whose only
// node is killed within seconds of its making may lose what it had confirmed.
const (
	chaosExchange = "chaos"
	toAMQP        = "amqp"
)

func rabbitFaults() []fault {
	const s = time.Second
	return []fault{
		{"kill RabbitMQ", "rabbitmq", 0, 2 * s, true, (*chaos).killRabbit},
		{"restart RabbitMQ", "rabbitmq", 0, 2 * s, true, (*chaos).stopRabbit},
		{"memory alarm of RabbitMQ", "rabbitmq", 3 * s, 6 * s, true, (*chaos).alarm},
		{"close the broker's connections", "rabbitmq", 0, 0, true, (*chaos).closeConnections},
		{"delete the exchange", "rabbitmq", 1 * s, 3 * s, true, (*chaos).deleteExchange},
		{"cut the way to RabbitMQ", "way to rabbitmq", 1 * s, 4 * s, true, cutWay(toRabbit)},
		{"lose the connections to RabbitMQ for ever", "way to rabbitmq", 0, 0, true, loseWay(toRabbit)},
		{"half-open connections to RabbitMQ", "way to rabbitmq", 2 * s, 6 * s, true, stallWay(toRabbit)},
	}
}

func receiverFaults() []fault {
	const s = time.Second
	return []fault{
		{"the endpoint is down", "endpoint", 1 * s, 5 * s, true, cutWay(toEndpoint)},
		{"half-open connections to the endpoint", "endpoint", 2 * s, 5 * s, true, stallWay(toEndpoint)},
		{"the endpoint is slow", "endpoint", 1 * s, 4 * s, false, slowWay(toEndpoint)},
		{"the endpoint resets its answers", "endpoint", 1 * s, 3 * s, true, setWay(toEndpoint, proxyReset)},
		{"the endpoint answers 503", "endpoint", 1 * s, 4 * s, false, answering(http.StatusServiceUnavailable)},
		{"the endpoint answers 500", "endpoint", 1 * s, 4 * s, false, answering(http.StatusInternalServerError)},
		{"the endpoint hangs", "endpoint", 1 * s, 4 * s, false, answering(hanging)},
	}
}

// way selects one of the proxies.
type way func(*chaos) *proxy

func toPostgres(c *chaos) *proxy { return c.toPostgres }
func toRabbit(c *chaos) *proxy   { return c.toRabbit }
func toEndpoint(c *chaos) *proxy { return c.toEndpoint }

// setWay changes what a proxy does until the end.
func setWay(w way, mode proxyMode) func(*chaos, int) (func() error, error) {
	return func(c *chaos, _ int) (func() error, error) {
		p := w(c)
		p.set(mode)
		if mode == proxyRefuse {
			p.cut()
		}
		return func() error { p.set(proxyPass); return nil }, nil
	}
}

func cutWay(w way) func(*chaos, int) (func() error, error)   { return setWay(w, proxyRefuse) }
func stallWay(w way) func(*chaos, int) (func() error, error) { return setWay(w, proxyStall) }
func slowWay(w way) func(*chaos, int) (func() error, error)  { return setWay(w, proxySlow) }

// loseWay lets nothing more pass over the connections that there are.
func loseWay(w way) func(*chaos, int) (func() error, error) {
	return func(c *chaos, _ int) (func() error, error) {
		w(c).lose()
		return nil, nil
	}
}

// hanging stands for no answer at all.
const hanging = -1

// answering makes the endpoint itself answer with a status, or hang.
func answering(status int64) func(*chaos, int) (func() error, error) {
	return func(c *chaos, _ int) (func() error, error) {
		c.answer.Store(status)
		return func() error { c.answer.Store(http.StatusOK); return nil }, nil
	}
}

// answers is what the endpoint does with a request.
func (c *chaos) answers(w http.ResponseWriter, r *http.Request) bool {
	switch status := c.answer.Load(); status {
	case http.StatusOK:
		return true
	case hanging:
		<-r.Context().Done()
	default:
		w.WriteHeader(int(status))
	}
	return false
}

func (c *chaos) killRabbit(int) (func() error, error) { return c.startRabbit, c.rabbit.Kill() }

func (c *chaos) stopRabbit(int) (func() error, error) { return c.startRabbit, c.rabbit.Stop() }

func (c *chaos) startRabbit() error { return c.rabbit.Start(c.t.Context()) }

// alarm makes the broker believe that its memory is used up, so that it blocks connections that publish.
func (c *chaos) alarm(int) (func() error, error) {
	watermark := func(share string) error {
		_, err := c.rabbit.Ctl(c.t.Context(), "set_vm_memory_high_watermark", share)
		return err
	}
	return func() error { return watermark("0.4") }, watermark("0.00001")
}

func (c *chaos) closeConnections(int) (func() error, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	var all []struct{ Name string }
	if err := c.rabbit.API(ctx, "GET", "/api/connections", nil, &all); err != nil {
		return nil, err
	}
	for _, one := range all {
		// It may have gone by itself.
		_ = c.rabbit.API(ctx, "DELETE", "/api/connections/"+url.PathEscape(one.Name), nil, nil)
	}
	return nil, nil
}

func (c *chaos) deleteExchange(int) (func() error, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	return c.declare, c.rabbit.API(ctx, "DELETE", "/api/exchanges/%2f/"+chaosExchange, nil, nil)
}

// declare makes exchange, queue and binding where they are missing.
func (c *chaos) declare() error {
	return c.onChannel(declareChaos)
}

func (c *chaos) onChannel(do func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(c.rabbit.URL("/"))
	if err != nil {
		return err
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(channel)
}

func declareChaos(channel *amqp.Channel) error {
	if err := channel.ExchangeDeclare(chaosExchange, "topic", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(chaosExchange, true, false, false, false, nil); err != nil {
		return err
	}
	return channel.QueueBind(chaosExchange, "#", chaosExchange, false, nil)
}

// consume notes what the queue gives until ctx ends, over as many connections as it takes.
func (c *chaos) consume(ctx context.Context) {
	for ctx.Err() == nil {
		// Whatever ends it, the next connection goes on.
		_ = c.onChannel(func(channel *amqp.Channel) error { return c.take(ctx, channel) })
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// take consumes over one channel until it is closed.
func (c *chaos) take(ctx context.Context, channel *amqp.Channel) error {
	if err := declareChaos(channel); err != nil {
		return err
	}
	if err := channel.Qos(50, 0, false); err != nil {
		return err
	}
	deliveries, err := channel.ConsumeWithContext(ctx, chaosExchange, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for d := range deliveries {
		if err := c.consumed(d); err != nil {
			return err
		}
	}
	return nil
}

// consumed notes a message and acknowledges it. One that the broker gives again because the
// acknowledgement was lost is no doing of the relay's.
func (c *chaos) consumed(d amqp.Delivery) error {
	attempt, _ := d.Headers["relay-attempt"].(int32)
	c.mu.Lock()
	if !d.Redelivered || !c.known[d.MessageId] {
		c.receipts = append(c.receipts, checker.Receipt{Receiver: toAMQP, ID: d.MessageId, Attempt: int(attempt), At: time.Now()})
		c.known[d.MessageId] = true
	}
	c.mu.Unlock()
	return d.Ack(false)
}

// drain takes what the queue still holds when its consumer has ended.
func (c *chaos) drain() error {
	return c.onChannel(func(channel *amqp.Channel) error {
		for {
			d, there, err := channel.Get(chaosExchange, false)
			if err != nil || !there {
				return err
			}
			if err := c.consumed(d); err != nil {
				return err
			}
		}
	})
}
