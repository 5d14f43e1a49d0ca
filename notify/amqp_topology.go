package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay"
)

// maxKnownTopology bounds the memory of names, which rows can invent without end.
const maxKnownTopology = 10_000

// amqpEntity names an exchange or a queue.
type amqpEntity struct {
	queue bool
	name  string
}

func (e amqpEntity) String() string {
	if e.queue {
		return fmt.Sprintf("the queue %q", e.name)
	}
	return fmt.Sprintf("the exchange %q", e.name)
}

func entityOf(t relay.Target) amqpEntity {
	if t.Kind == relay.TargetQueue {
		return amqpEntity{queue: true, name: t.Queue}
	}
	return amqpEntity{name: t.Exchange}
}

// amqpTopology knows which exchanges and queues of the operator exist, as one connection has
// seen them. What exists is used as it is, whatever its kind; what is missing is declared.
// amqpRowChecks does the same for what rows name.
type amqpTopology struct {
	conn *amqpConnection

	mu    sync.RWMutex
	known map[amqpEntity]*amqpCall[struct{}] // also those being looked up
}

func newAMQPTopology(c *amqpConnection) *amqpTopology {
	return &amqpTopology{conn: c, known: make(map[amqpEntity]*amqpCall[struct{}])}
}

// ensure returns nil once the target's exchange or queue exists. A failure is told to all
// who waited for it and then forgotten.
func (t *amqpTopology) ensure(ctx context.Context, target relay.Target) error {
	entity := entityOf(target)
	t.mu.RLock()
	call := t.known[entity]
	t.mu.RUnlock()
	if call == nil {
		call = t.lookUp(entity)
	}
	_, err := call.wait(ctx, t.conn)
	return err
}

func (t *amqpTopology) lookUp(entity amqpEntity) *amqpCall[struct{}] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if call := t.known[entity]; call != nil {
		return call
	}
	if len(t.known) >= maxKnownTopology {
		clear(t.known)
	}
	call := startAMQPCall(t.conn, func() (struct{}, error) {
		err := t.conn.provide(entity)
		if err != nil {
			t.forget(entity)
		}
		return struct{}{}, err
	})
	t.known[entity] = call
	return call
}

// forget makes the next message to the entity look again.
func (t *amqpTopology) forget(entity amqpEntity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, entity)
}

// forgetAll is for a channel that closed with 404: any message on it may have been meant.
func (t *amqpTopology) forgetAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.known)
}

// provide looks whether the entity exists, and declares it if it does not.
func (c *amqpConnection) provide(entity amqpEntity) error {
	err := c.onScratchChannel(func(ch *amqp.Channel) error { return lookAMQP(ch, entity) })
	if amqpCode(err) != amqp.NotFound {
		return unlessPresent(err)
	}
	err = unlessPresent(c.onScratchChannel(func(ch *amqp.Channel) error { return declareAMQP(ch, entity) }))
	if amqpCode(err) == amqp.AccessRefused {
		return &amqpRefusal{entity: entity, broker: err}
	}
	return err
}

// onScratchChannel runs f on a channel of its own, because a refusal closes the channel.
func (c *amqpConnection) onScratchChannel(f func(*amqp.Channel) error) error {
	ch, err := c.conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	return closeReason(f(ch), closes)
}

// closeReason returns why the broker closed a channel where the library says only that it is closed.
func closeReason(err error, closes <-chan *amqp.Error) error {
	if err != amqp.ErrClosed {
		return err
	}
	if reason := <-closes; reason != nil {
		return reason
	}
	return err
}

// lookAMQP asks whether the entity exists. The broker asks a queue's process for its length if
// the answer is to hold it, and then waits for a queue that does nothing. Hence the question wants no
// answer, and the broker closes the channel if it has a refusal; the call behind it shows that there was none.
func lookAMQP(ch *amqp.Channel, e amqpEntity) error {
	if !e.queue {
		return ch.ExchangeDeclarePassive(e.name, amqp.ExchangeTopic, true, false, false, false, nil)
	}
	if _, err := ch.QueueDeclarePassive(e.name, true, false, false, true, nil); err != nil {
		return err
	}
	return ch.Qos(1, 0, false)
}

func declareAMQP(ch *amqp.Channel, e amqpEntity) error {
	if !e.queue {
		return ch.ExchangeDeclare(e.name, amqp.ExchangeTopic, true, false, false, false, nil)
	}
	_, err := ch.QueueDeclare(e.name, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	return err
}

// unlessPresent drops the refusals that only an existing entity can cause: an exclusive
// queue of somebody else, or one that was declared differently a moment ago.
func unlessPresent(err error) error {
	switch amqpCode(err) {
	case amqp.ResourceLocked, amqp.PreconditionFailed:
		return nil
	}
	return err
}

// amqpCode returns the broker's reply code in err, or 0.
func amqpCode(err error) int {
	var e *amqp.Error
	if errors.As(err, &e) && e.Server {
		return e.Code
	}
	return 0
}

// amqpRefusal says that something is missing and what a person can do about it.
type amqpRefusal struct {
	entity amqpEntity
	broker error
}

func (r *amqpRefusal) Error() string {
	return fmt.Sprintf("%s does not exist, and the relay's user may not declare it: declare it yourself, or grant the user configure on it (rabbitmqctl set_permissions); the broker says: %s",
		r.entity, amqpErrorText(r.broker))
}

func (r *amqpRefusal) Unwrap() error { return r.broker }
