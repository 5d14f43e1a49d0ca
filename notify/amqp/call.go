package amqp

import "context"

// call is one request to the broker for which any number of deliveries wait, each
// no longer than its own time. The library's calls take no context, and hang while the
// broker reads nothing.
type call[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func startCall[T any](c *connection, f func() (T, error)) *call[T] {
	call := &call[T]{done: make(chan struct{})}
	started := c.spawn(func() {
		defer close(call.done)
		call.value, call.err = f()
	})
	if !started {
		call.err = errGone
		close(call.done)
	}
	return call
}

func (call *call[T]) over() bool {
	select {
	case <-call.done:
		return true
	default:
		return false
	}
}

func (call *call[T]) wait(ctx context.Context, c *connection) (T, error) {
	if err := c.await(ctx, call.done); err != nil {
		var none T
		return none, err
	}
	return call.value, call.err
}
