package notify

import (
	"context"
	"errors"
	"fmt"

	"relay"
)

// deliver makes the attempt over this connection. again says that the connection was lost
// before the message was sent, so that another one may carry it.
//
// A bad message closes the channel under all others. Those that were under way go again,
// one at a time, on a channel of their own, and only the one that closes it is blamed.
func (c *amqpConnection) deliver(ctx context.Context, m *amqpMessage) (out relay.Outcome, again bool) {
	if err := m.checkHeaderSize(c.frame); err != nil {
		return relay.Outcome{Class: relay.ClassRejected, Error: err.Error()}, false
	}
	sent, suspect := false, c.isQuarantined(m.target.Exchange)
	var r amqpResult
	for !suspect {
		r = c.sendTogether(ctx, m)
		switch {
		case r.verdict == amqpUnsent && r.err == errAMQPChannelClosed && !c.isGone():
			continue // closed by another message before this one went
		case r.verdict == amqpLost && !c.isGone():
			sent, suspect = true, true
			continue
		}
		return c.outcome(ctx, m, r, false)
	}
	r = c.sendAlone(ctx, m)
	return c.outcome(ctx, m, r, sent)
}

// sendTogether makes sure that the target exists and sends over the destination's channel.
func (c *amqpConnection) sendTogether(ctx context.Context, m *amqpMessage) amqpResult {
	if err := c.ready(ctx, m); err != nil {
		return amqpResult{verdict: amqpUnsent, err: err}
	}
	channel, err := c.channelOf(ctx, m.destination)
	if err != nil {
		return amqpResult{verdict: amqpUnsent, err: err}
	}
	return channel.send(ctx, m)
}

// ready looks at the time and the gate, and makes sure that the target's exchange or queue exists.
func (c *amqpConnection) ready(ctx context.Context, m *amqpMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, blocked := c.blockedBy(); blocked {
		return errAMQPBlocked
	}
	if queue := m.publishing.ReplyTo; queue != "" {
		if err := c.topology.ensure(ctx, replyTarget(queue)); err != nil {
			return err
		}
	}
	return c.topology.ensure(ctx, m.target)
}

// sendAlone sends over the channel on which only one message at a time is under way. If
// that closes, the message is to blame, and its exchange stays under suspicion until a
// message to it has passed: one more of its kind closes nothing but its own channel.
func (c *amqpConnection) sendAlone(ctx context.Context, m *amqpMessage) amqpResult {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return amqpResult{verdict: amqpUnsent, err: ctx.Err()}
	case <-c.gone:
		return amqpResult{verdict: amqpUnsent, err: errAMQPGone}
	}
	if err := c.ready(ctx, m); err != nil {
		return amqpResult{verdict: amqpUnsent, err: err}
	}
	channel, err := c.aloneChannel(ctx)
	if err != nil {
		return amqpResult{verdict: amqpUnsent, err: err}
	}
	r := channel.send(ctx, m)
	switch r.verdict {
	case amqpLost:
		c.setQuarantined(m.target.Exchange, !c.isGone())
	case amqpConfirmed, amqpReturned, amqpNacked:
		c.setQuarantined(m.target.Exchange, false)
	case amqpExpired:
		c.leaveAlone(channel)
	}
	return r
}

// leaveAlone gives up the channel of the suspects because a message is still under way on
// it: the next one would not be alone.
func (c *amqpConnection) leaveAlone(channel *amqpChannel) {
	c.mu.Lock()
	c.alone = nil
	c.mu.Unlock()
	c.spawn(func() { channel.ch.Close() })
}

// outcome classifies a result. sent says that an earlier try within this attempt may have
// arrived already.
func (c *amqpConnection) outcome(ctx context.Context, m *amqpMessage, r amqpResult, sent bool) (out relay.Outcome, again bool) {
	switch r.verdict {
	case amqpConfirmed:
		return relay.Outcome{Class: relay.ClassDelivered}, false
	case amqpReturned:
		c.topology.forget(entityOf(m.target))
		return answered(r.reply.code, fmt.Sprintf("returned as unroutable: no queue is bound to the exchange %q for the routing key %q (%d %s)",
			m.target.Exchange, m.routingKey, r.reply.code, r.reply.text)), false
	case amqpNacked:
		return answered(0, "the broker refused the message (basic.nack): its queue is full, or it could not store it"), false
	case amqpExpired:
		return relay.Outcome{Class: relay.ClassUnknown, Silent: true, Error: "no confirm from the broker in time"}, false
	case amqpLost:
		if c.isGone() || r.reply.code == 0 {
			return relay.Outcome{Class: relay.ClassUnknown, Error: "the connection to the broker was lost before the confirm"}, false
		}
		return answered(r.reply.code, fmt.Sprintf("the broker closed the channel: %d %s", r.reply.code, r.reply.text)), false
	}
	return c.unsent(ctx, r.err, sent)
}

// unsent classifies a message that was not sent, or not again after a first, unknown try.
func (c *amqpConnection) unsent(ctx context.Context, err error, sent bool) (out relay.Outcome, again bool) {
	if sent && amqpCode(err) == 0 {
		return relay.Outcome{Class: relay.ClassUnknown, Error: "the channel was closed before the confirm, and there was no second try: " + amqpErrorText(err)}, false
	}
	reason, blocked := c.blockedBy()
	switch {
	case errors.Is(err, errAMQPWithheld):
		return relay.Outcome{Class: relay.ClassParked}, false
	case errors.Is(err, errAMQPBlocked) || blocked && ctx.Err() != nil:
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen, Error: "the broker has blocked publishers: " + reason}, false
	case errors.Is(err, errAMQPFull):
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonFull, Error: err.Error()}, false
	case ctx.Err() != nil:
		return pushFailed(0, "the time was over before the message could be sent"), false
	case c.isGone():
		return relay.Outcome{}, true
	}
	if code := amqpCode(err); code != 0 {
		return answered(code, unsentText(err)), false
	}
	return pushFailed(0, unsentText(err)), false
}

// unsentText leaves a text that was written for people as it is.
func unsentText(err error) string {
	var refusal *amqpRefusal
	if errors.As(err, &refusal) {
		return refusal.Error()
	}
	return amqpErrorText(err)
}

func pushFailed(code int, text string) relay.Outcome {
	return relay.Outcome{Class: relay.ClassPushFailed, Code: code, Error: text}
}

// answered is pushFailed by a broker that is well: the exchange or the queue is to blame.
func answered(code int, text string) relay.Outcome {
	return relay.Outcome{Class: relay.ClassPushFailed, Code: code, Error: text, Answered: true}
}
