package amqp

import (
	"context"
	"relay/notify"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// channel is a channel in confirm mode on which many deliveries publish at once. One
// goroutine writes, so that a delivery whose time is over can leave while a write hangs.
//
// Returns: the broker sends basic.return before the ack of the same message, and the
// library puts it into a buffered channel, in whose reader it would wait if that were
// full. It never is: it has room for as many as the window has slots, and a slot is given
// back only after the returns have been collected.
type channel struct {
	conn    *connection
	ch      *amqp091.Channel
	missing func() // called when it was closed because what a message was for does not exist
	queue   chan *flight
	window  chan struct{} // a slot per publish that awaits its confirm
	returns chan amqp091.Return
	closed  chan struct{}  // closed after the channel, when err has been set
	err     *amqp091.Error // nil: closed without a word

	mu      sync.Mutex
	flights map[flightKey]*flight
}

// flightKey is all that a returned message tells about itself. Two deliveries that
// agree in it take turns, or a return could be taken for the wrong one's.
type flightKey struct{ exchange, routingKey, id string }

// flight is one message on its way through a channel.
type flight struct {
	message *message
	key     flightKey
	since   time.Time // when its attempt came to the channel
	// taken is won by the writer, which then publishes, or by the delivery, which leaves.
	taken     atomic.Bool
	published chan struct{} // closed by the writer, when confirm and err have been set
	confirm   *amqp091.DeferredConfirmation
	err       error
	// Guarded by the channel's mu:
	returned *reply
	ended    chan struct{} // nil if no goroutine waits for this flight's end
	// late is not nil once the delivery has left the flight, and closed when result is set.
	late   chan struct{}
	result result
}

// reply is what the broker said about a message.
type reply struct {
	code int
	text string
}

// openChannel opens a channel for at most window unconfirmed publishes. missing is called when the broker closes
// it because an exchange does not exist.
func (c *connection) openChannel(window int, missing func()) (*channel, error) {
	ch, err := c.conn.Channel()
	if err != nil {
		return nil, err
	}
	closes := ch.NotifyClose(make(chan *amqp091.Error, 1))
	p := &channel{
		conn: c, ch: ch, missing: missing,
		queue:   make(chan *flight, window),
		window:  make(chan struct{}, window),
		returns: ch.NotifyReturn(make(chan amqp091.Return, window)),
		closed:  make(chan struct{}),
		flights: make(map[flightKey]*flight),
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	if !c.spawn(func() { p.watch(closes) }) || !c.spawn(p.write) {
		return nil, errGone
	}
	return p, nil
}

// watch learns why the channel closed.
func (p *channel) watch(closes <-chan *amqp091.Error) {
	p.err = <-closes
	if p.err != nil && p.err.Code == amqp091.NotFound {
		p.missing()
	}
	close(p.closed)
}

// batchMost is how many messages go out in one write to the socket.
const batchMost = 64

// write publishes what is queued, as far as the window reaches: what waits together goes out in one write to the
// socket. The broker, too, takes up the more at once the more it reads. A slot stands ready before a flight is taken:
// what waits in the queue can still leave.
func (p *channel) write() {
	batch := make([]*flight, 0, batchMost)
	for {
		select {
		case p.window <- struct{}{}:
		case <-p.closed:
			return
		}
		f := p.next()
		if f == nil {
			return
		}
		p.conn.socket.hold()
		for batch = batch[:0]; f != nil; f = p.another(len(batch)) {
			p.attempt(f)
			batch = append(batch, f)
		}
		p.conn.socket.release()
		for _, f := range batch {
			close(f.published)
		}
		clear(batch)
	}
}

// attempt publishes a flight, unless it has waited for too long: it may have been cancelled meanwhile.
func (p *channel) attempt(f *flight) {
	if time.Since(f.since) > notify.MaxWait {
		f.err = errFull
		return
	}
	f.confirm, f.err = p.publish(f.message)
}

// next takes the next flight that has not left. Nil means that the channel was closed.
func (p *channel) next() *flight {
	for {
		select {
		case f := <-p.queue:
			if f.taken.CompareAndSwap(false, true) {
				return f
			}
		case <-p.closed:
			return nil
		}
	}
}

// another takes one more flight for a batch that has n, if one waits and there is a slot for it.
func (p *channel) another(n int) *flight {
	if n == batchMost {
		return nil
	}
	select {
	case p.window <- struct{}{}:
	default:
		return nil
	}
	for {
		select {
		case f := <-p.queue:
			if f.taken.CompareAndSwap(false, true) {
				return f
			}
		default:
			<-p.window
			return nil
		}
	}
}

// publish hands the message to the library, mandatory, if it is still this relay's. Any other
// error of the library than a closed channel may have left half a message on the socket, which is given up.
func (p *channel) publish(m *message) (*amqp091.DeferredConfirmation, error) {
	if _, blocked := p.conn.blockedBy(); blocked {
		return nil, errBlocked
	}
	if !p.conn.allowed(m.shard) {
		return nil, errWithheld
	}
	confirm, err := p.ch.PublishWithDeferredConfirm(m.target.Exchange, m.routingKey, true, false, m.publishing)
	switch {
	case err == amqp091.ErrClosed, err == nil && confirm == nil:
		return nil, errChannelClosed
	case err != nil:
		p.conn.socket.Close()
		return nil, err
	}
	return confirm, nil
}

// register makes the flight known, so that a return can find it. A flight with the same
// key is waited for. If an earlier attempt of the same delivery has left it, what becomes of it
// becomes of this attempt, which publishes nothing: the flight is nil then, as it is
// with an error.
func (p *channel) register(ctx context.Context, m *message) (*flight, result) {
	f := &flight{
		message:   m,
		key:       flightKey{m.target.Exchange, m.routingKey, m.publishing.MessageId},
		since:     time.Now(),
		published: make(chan struct{}),
	}
	for {
		p.mu.Lock()
		earlier := p.flights[f.key]
		if earlier == nil {
			p.flights[f.key] = f
			p.mu.Unlock()
			return f, result{}
		}
		if earlier.late != nil && earlier.message.subscriber == m.subscriber {
			p.mu.Unlock()
			return nil, p.join(ctx, earlier)
		}
		if earlier.ended == nil {
			earlier.ended = make(chan struct{})
		}
		ended := earlier.ended
		p.mu.Unlock()
		select {
		case <-p.closed:
			return nil, result{verdict: verdictUnsent, err: errChannelClosed}
		default:
		}
		if err := p.conn.await(ctx, ended); err != nil {
			return nil, result{verdict: verdictUnsent, err: err}
		}
	}
}

// join waits for the end of a flight that an earlier attempt has left.
func (p *channel) join(ctx context.Context, f *flight) result {
	err := p.conn.await(ctx, f.late)
	switch {
	case err == nil && f.result.verdict == verdictLost:
		return result{verdict: verdictUnsent, err: errChannelClosed}
	case err == nil:
		return f.result
	case ctx.Err() != nil:
		return result{verdict: verdictExpired}
	}
	return result{verdict: verdictUnsent, err: err}
}

// outstanding reports whether a message is under way on the channel.
func (p *channel) outstanding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flights) > 0
}

// remove ends a flight and returns what the broker said when it returned the message.
func (p *channel) remove(f *flight) *reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.collectReturns()
	delete(p.flights, f.key)
	if f.ended != nil {
		close(f.ended)
	}
	return f.returned
}

// collectReturns gives each returned message to its flight. The caller holds mu.
func (p *channel) collectReturns() {
	for {
		select {
		case r, open := <-p.returns:
			if !open {
				return
			}
			if f := p.flights[flightKey{r.Exchange, r.RoutingKey, r.MessageId}]; f != nil {
				f.returned = &reply{code: int(r.ReplyCode), text: r.ReplyText}
			}
		default:
			return
		}
	}
}
