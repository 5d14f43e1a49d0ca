package notify

import (
	"context"

	"relay/crash"
)

// amqpVerdict is how the way of one message through one channel ended.
type amqpVerdict int

const (
	amqpUnsent    amqpVerdict = iota // not one byte of it was sent; err says why
	amqpConfirmed                    // stored, in a queue
	amqpReturned                     // no queue for it; reply says so
	amqpNacked                       // the broker refuses it
	amqpLost                         // the channel or the connection closed before the confirm
	amqpExpired                      // the time was over before the confirm
)

// amqpResult is a verdict with what is known besides.
type amqpResult struct {
	verdict amqpVerdict
	reply   amqpReply // for amqpReturned, and amqpLost where the broker closed the channel
	err     error     // for amqpUnsent
}

// send publishes the message and waits for its confirm, until ctx ends.
func (p *amqpChannel) send(ctx context.Context, m *amqpMessage) amqpResult {
	f, over := p.register(ctx, m)
	if f == nil {
		return over
	}
	if err := p.submit(ctx, f); err != nil {
		p.remove(f)
		return amqpResult{verdict: amqpUnsent, err: err}
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
func (p *amqpChannel) submit(ctx context.Context, f *amqpFlight) error {
	gate := p.conn.gate.Load().shut
	var err error
	select {
	case p.queue <- f:
		select {
		case <-f.published:
			return nil
		case <-p.closed:
			err = errAMQPChannelClosed
		case <-gate:
			err = errAMQPBlocked
		case <-ctx.Done():
			err = ctx.Err()
		}
	case <-p.closed:
		err = errAMQPChannelClosed
	case <-gate:
		err = errAMQPBlocked
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case !f.taken.CompareAndSwap(false, true):
		return nil
	case err == ctx.Err() && len(p.window) == cap(p.window):
		return errAMQPFull
	}
	return err
}

// abandon leaves a flight that may have been sent. Its slot stays occupied until its
// confirm has come, or the channel has gone: who sends the same message again waits for that.
func (p *amqpChannel) abandon(f *amqpFlight) amqpResult {
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
	return amqpResult{verdict: amqpExpired}
}

// conclude ends a published flight and says how.
func (p *amqpChannel) conclude(f *amqpFlight) amqpResult {
	returned := p.remove(f)
	<-p.window
	switch {
	case f.err == errAMQPChannelClosed, f.err == errAMQPBlocked, f.err == errAMQPFull, f.err == errAMQPWithheld:
		return amqpResult{verdict: amqpUnsent, err: f.err}
	case f.err != nil:
		return amqpResult{verdict: amqpLost}
	case f.confirm.Acked() && returned != nil:
		return amqpResult{verdict: amqpReturned, reply: *returned}
	case f.confirm.Acked():
		return amqpResult{verdict: amqpConfirmed}
	case !p.ch.IsClosed():
		return amqpResult{verdict: amqpNacked}
	}
	// The library reads 'nack' into every confirm that a closed channel will not give.
	<-p.closed
	if p.err == nil {
		return amqpResult{verdict: amqpLost}
	}
	return amqpResult{verdict: amqpLost, reply: amqpReply{code: p.err.Code, text: p.err.Reason}}
}
