package amqp

import (
	"context"
	"hash/maphash"
	"strconv"
)

const (
	// ownChannels is how many of the operator's destinations have a channel of their own on a
	// connection (RabbitMQ allows 2,047 channels), and commonChannels how many those
	// share that come later. What rows name has channels besides: maxRowChannels.
	ownChannels    = 256
	commonChannels = 8
)

// channelOf returns the channel of one of the operator's destinations. A queue that takes nothing can stop
// the channel by which it is published to within the broker, for all that is sent over it:
// hence each destination has its own.
func (c *connection) channelOf(ctx context.Context, destination string) (*channel, error) {
	c.mu.Lock()
	call := c.channels[destination]
	if call == nil && len(c.channels) >= c.own {
		destination = "/" + strconv.FormatUint(maphash.String(c.seed, destination)%commonChannels, 10)
		call = c.channels[destination]
	}
	if spent(call) {
		call = startCall(c, func() (*channel, error) { return c.openChannel(c.window, c.topology.forgetAll) })
		c.channels[destination] = call
	}
	c.mu.Unlock()
	return call.wait(ctx, c)
}

// spent reports whether a call has brought no channel, or one that was closed since.
func spent(call *call[*channel]) bool {
	return call == nil || call.over() && (call.err != nil || call.value.ch.IsClosed())
}
