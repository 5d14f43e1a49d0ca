package amqp

import (
	"context"

	"relay/crash"
)

// verdict is how the way of one message through one channel ended.
type verdict int

const (
	verdictUnsent    verdict = iota // not one byte of it was sent; err says why
	verdictConfirmed                // stored, in a queue
	verdictReturned                 // no queue for it; reply says so
	verdictNacked                   // the broker refuses it
	verdictLost                     // the channel or the connection closed before the confirm
	verdictExpired                  // the time was over before the confirm
)

// result is a verdict with what is known besides.
type result struct {
	verdict verdict
	reply   reply // for verdictReturned, and verdictLost where the broker closed the channel
	err     error // for verdictUnsent
}

// send publishes the message and waits for its confirm, until ctx ends.
func (p *channel) send(ctx context.Context, m *message) result {
	f, over := p.register(ctx, m)
	if f == nil {
		return over
	}
	if err := p.submit(ctx, f); err != nil {
		p.remove(f)
		return result{verdict: verdictUnsent, err: err}
	}
	select {
	case <-f.published:
	case <-ctx.Done(): // the writer hangs in the socket
		return p.abandon(f)
	}
	if f.err == nil {
		crash.At(crash.AfterSend)
		select {
		case <-f.confirm.Done():
		case <-ctx.Done():
			return p.abandon(f)
		}
	}
	return p.conclude(f)
}

// submit queues the flight until the writer has it. With an error the flight has left:
// the writer will not touch it.
func (p *channel) submit(ctx context.Context, f *flight) error {
	gate := p.conn.gate.Load().shut
	var err error
	select {
	case p.queue <- f:
		select {
		case <-f.published:
			return nil
		case <-p.closed:
			err = errChannelClosed
		case <-gate:
			err = errBlocked
		case <-ctx.Done():
			err = ctx.Err()
		}
	case <-p.closed:
		err = errChannelClosed
	case <-gate:
		err = errBlocked
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case !f.taken.CompareAndSwap(false, true):
		return nil
	case err == ctx.Err() && len(p.window) == cap(p.window):
		return errFull
	}
	return err
}

// abandon leaves a flight that may have been sent. Its slot stays occupied until its confirm has
// come, or the channel has gone. A call that sends the same message again waits for that.
func (p *channel) abandon(f *flight) result {
	p.mu.Lock()
	f.late = make(chan struct{})
	p.mu.Unlock()
	p.conn.spawn(func() {
		<-f.published
		if f.err == nil {
			<-f.confirm.Done()
		}
		f.result = p.conclude(f)
		close(f.late)
	})
	return result{verdict: verdictExpired}
}

// conclude ends a published flight and says how.
func (p *channel) conclude(f *flight) result {
	returned := p.remove(f)
	<-p.window
	switch {
	case f.err == errChannelClosed, f.err == errBlocked, f.err == errFull, f.err == errWithheld:
		return result{verdict: verdictUnsent, err: f.err}
	case f.err != nil:
		return result{verdict: verdictLost}
	case f.confirm.Acked() && returned != nil:
		return result{verdict: verdictReturned, reply: *returned}
	case f.confirm.Acked():
		return result{verdict: verdictConfirmed}
	case !p.ch.IsClosed():
		return result{verdict: verdictNacked}
	}
	// The library reads 'nack' into every confirm that a closed channel will not give.
	<-p.closed
	if p.err == nil {
		return result{verdict: verdictLost}
	}
	return result{verdict: verdictLost, reply: reply{code: p.err.Code, text: p.err.Reason}}
}
