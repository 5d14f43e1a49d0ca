package notify

import (
	"context"
	"hash/maphash"
	"strconv"

	"relay"
)

const (
	// ownAMQPChannels is how many destinations have a channel of their own on a connection
	// (RabbitMQ allows 2,047 channels), and commonAMQPChannels how many those share that
	// come later.
	ownAMQPChannels    = 256
	commonAMQPChannels = 8
)

// channelOf returns the channel of a destination. A queue that takes nothing can stop the
// channel by which it is published to within the broker, for all that is sent over it:
// hence each destination has its own.
func (c *amqpConnection) channelOf(ctx context.Context, d amqpDestination) (*amqpChannel, error) {
	c.mu.Lock()
	call := c.channels[d]
	own := c.own
	if d.circuit == relay.CircuitBroker {
		own /= 2 // rows may name any number of queues, which must not be the subscriptions' loss
	}
	if call == nil && len(c.channels) >= own {
		d = amqpDestination{circuit: "/" + strconv.FormatUint(maphash.Comparable(c.seed, d)%commonAMQPChannels, 10)}
		call = c.channels[d]
	}
	if spent(call) {
		call = startAMQPCall(c, func() (*amqpChannel, error) { return c.openChannel(c.window) })
		c.channels[d] = call
	}
	c.mu.Unlock()
	return call.wait(ctx, c)
}

// aloneChannel returns the channel of the suspects, on which one message at a time is under way.
func (c *amqpConnection) aloneChannel(ctx context.Context) (*amqpChannel, error) {
	c.mu.Lock()
	if spent(c.alone) {
		c.alone = startAMQPCall(c, func() (*amqpChannel, error) { return c.openChannel(1) })
	}
	call := c.alone
	c.mu.Unlock()
	return call.wait(ctx, c)
}

// spent reports whether a call has brought no channel, or one that was closed since.
func spent(call *amqpCall[*amqpChannel]) bool {
	return call == nil || call.over() && (call.err != nil || call.value.ch.IsClosed())
}
