package notify

import "context"

// amqpCall is one request to the broker for which any number of deliveries wait, each
// no longer than its own time. The library's calls take no context, and hang while the
// broker reads nothing.
type amqpCall[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func startAMQPCall[T any](c *amqpConnection, f func() (T, error)) *amqpCall[T] {
	call := &amqpCall[T]{done: make(chan struct{})}
	started := c.spawn(func() {
		defer close(call.done)
		call.value, call.err = f()
	})
	if !started {
		call.err = errAMQPGone
		close(call.done)
	}
	return call
}

func (call *amqpCall[T]) over() bool {
	select {
	case <-call.done:
		return true
	default:
		return false
	}
}

func (call *amqpCall[T]) wait(ctx context.Context, c *amqpConnection) (T, error) {
	if err := c.await(ctx, call.done); err != nil {
		var none T
		return none, err
	}
	return call.value, call.err
}
