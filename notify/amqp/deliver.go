package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
)

// deliver makes the attempt over this connection. again says that the connection was lost
// before the message was sent, so that another one may carry it.
//
// A bad message closes the channel under all others. Those that were under way go again,
// one at a time, on a channel of their own, and only the one that closes it is blamed.
func (c *connection) deliver(ctx context.Context, m *message) (out relay.Outcome, again bool) {
	if err := m.checkHeaderSize(c.frame); err != nil {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.Rejection(err.Error()).Cause(), Error: err.Error()}, false
	}
	suspects := c.suspects
	if m.namedByRow {
		suspects = c.rowSuspects
	}
	sent, suspect := false, suspects.has(m.target.Exchange)
	var r result
	for !suspect {
		r = c.sendTogether(ctx, m)
		switch {
		case r.verdict == verdictUnsent && r.err == errChannelClosed && !c.isGone():
			continue // closed by another message before this one went
		case r.verdict == verdictLost && !c.isGone():
			sent, suspect = true, true
			continue
		}
		return c.outcome(ctx, m, r, false)
	}
	r = suspects.send(ctx, m)
	return c.outcome(ctx, m, r, sent)
}

// sendTogether makes sure that the target exists and sends over the destination's channel.
func (c *connection) sendTogether(ctx context.Context, m *message) result {
	if err := c.ready(ctx, m); err != nil {
		return result{verdict: verdictUnsent, err: err}
	}
	if m.namedByRow {
		return c.rowChannels.send(ctx, m)
	}
	channel, err := c.channelOf(ctx, m.destination)
	if err != nil {
		return result{verdict: verdictUnsent, err: err}
	}
	return channel.send(ctx, m)
}

// ready looks at the time and the gate, and makes sure that the target's exchange or queue exists: what is
// missing is declared unless a row names it.
func (c *connection) ready(ctx context.Context, m *message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, blocked := c.blockedBy(); blocked {
		return errBlocked
	}
	if m.namedByRow {
		return c.rows.ensure(ctx, entityOf(m.target))
	}
	if queue := m.publishing.ReplyTo; queue != "" {
		if err := c.topology.ensure(ctx, replyTarget(queue)); err != nil {
			return err
		}
	}
	return c.topology.ensure(ctx, m.target)
}

// outcome classifies a result. sent says that an earlier try within this attempt may have
// arrived already.
func (c *connection) outcome(ctx context.Context, m *message, r result, sent bool) (out relay.Outcome, again bool) {
	switch r.verdict {
	case verdictConfirmed:
		return relay.Outcome{Class: relay.ClassDelivered}, false
	case verdictReturned:
		return c.returned(ctx, m, r.reply), false
	case verdictNacked:
		return answered(relay.CauseNack, 0, "the broker refused the message (basic.nack): its queue is full, or it could not store it"), false
	case verdictExpired:
		return relay.Outcome{Class: relay.ClassUnknown, Silent: true, Cause: relay.CauseNoConfirm, Error: "no confirm from the broker in time"}, false
	case verdictLost:
		if c.isGone() || r.reply.code == 0 {
			return relay.Outcome{Class: relay.ClassUnknown, Cause: relay.CauseNoConfirm, Error: "the connection to the broker was lost before the confirm"}, false
		}
		return answered(relay.AMQPCause(r.reply.code), r.reply.code, fmt.Sprintf("the broker closed the channel: %d %s", r.reply.code, r.reply.text)), false
	}
	return c.unsent(ctx, r.err, sent)
}

// returned classifies what came back. Some exchanges return what they have kept.
func (c *connection) returned(ctx context.Context, m *message, reply reply) relay.Outcome {
	if m.target.Kind == relay.TargetQueue {
		c.forget(m)
		return answered(relay.CauseUnroutable, reply.code, fmt.Sprintf("returned as unroutable: there is no queue %q (%d %s)", m.routingKey, reply.code, reply.text))
	}
	text := fmt.Sprintf("returned as unroutable: no queue is bound to the exchange %q for the routing key %q (%d %s)",
		m.target.Exchange, m.routingKey, reply.code, reply.text)
	types := c.types
	if m.namedByRow {
		types = c.rowTypes
	} else {
		c.forget(m)
	}
	kind, err := types.of(ctx, m.target.Exchange)
	if keeps := keepsReturned[kind]; keeps != nil && keeps(m.publishing.Headers) {
		return relay.Outcome{Class: relay.ClassDelivered}
	}
	if replyCode(err) == amqp091.AccessRefused {
		text += "; if the exchange keeps messages itself (x-delayed-message, x-recent-history), grant the relay's user configure on it, so that it sees the type (rabbitmqctl set_permissions)"
	}
	return answered(relay.CauseUnroutable, reply.code, text)
}

// forget makes the next message to the same target look again whether that exists.
func (c *connection) forget(m *message) {
	if m.namedByRow {
		c.rows.forget(entityOf(m.target))
		return
	}
	c.topology.forget(entityOf(m.target))
}

// unsent classifies a message that was not sent, or not again after a first, unknown try.
func (c *connection) unsent(ctx context.Context, err error, sent bool) (out relay.Outcome, again bool) {
	if sent && replyCode(err) == 0 {
		return relay.Outcome{Class: relay.ClassUnknown, Cause: relay.CauseNoConfirm, Error: "the channel was closed before the confirm, and there was no second try: " + errorText(err)}, false
	}
	reason, blocked := c.blockedBy()
	switch {
	case errors.Is(err, errWithheld):
		return relay.Outcome{Class: relay.ClassParked}, false
	case errors.Is(err, errBlocked) || blocked && ctx.Err() != nil:
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen, Cause: relay.CauseBrokerBlocked, Error: "the broker has blocked publishers: " + reason}, false
	case errors.Is(err, errFull), errors.Is(err, errNoRowChannel):
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonFull, Error: err.Error()}, false
	case errors.Is(err, errRowsBusy):
		return answered(relay.CauseUnroutable, 0, err.Error()), false
	case ctx.Err() != nil:
		return pushFailed(relay.CauseTimeout, 0, "the time was over before the message could be sent"), false
	case c.isGone():
		return relay.Outcome{}, true
	}
	if code := replyCode(err); code != 0 {
		return answered(relay.AMQPCause(code), code, unsentText(err)), false
	}
	return pushFailed(relay.CauseBrokerDown, 0, unsentText(err)), false
}

// unsentText leaves a text that was written for people as it is.
func unsentText(err error) string {
	var refusal *refusal
	var row *rowRefusal
	if errors.As(err, &refusal) || errors.As(err, &row) {
		return err.Error()
	}
	return errorText(err)
}

func pushFailed(cause relay.Cause, code int, text string) relay.Outcome {
	return relay.Outcome{Class: relay.ClassPushFailed, Cause: cause, Code: code, Error: text}
}

// answered is pushFailed by a broker that is well: the exchange or the queue is to blame.
func answered(cause relay.Cause, code int, text string) relay.Outcome {
	return relay.Outcome{Class: relay.ClassPushFailed, Cause: cause, Code: code, Error: text, Answered: true}
}
