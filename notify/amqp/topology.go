package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
)

// maxKnownTopology bounds the memory of names, which rows can invent without end.
const maxKnownTopology = 10_000

// entity names an exchange or a queue.
type entity struct {
	queue bool
	name  string
}

func (e entity) String() string {
	if e.queue {
		return fmt.Sprintf("the queue %q", e.name)
	}
	return fmt.Sprintf("the exchange %q", e.name)
}

func entityOf(t relay.Target) entity {
	if t.Kind == relay.TargetQueue {
		return entity{queue: true, name: t.Queue}
	}
	return entity{name: t.Exchange}
}

// topology knows which exchanges and queues of the operator exist, as one connection has
// seen them. What exists is used as it is, whatever its kind; what is missing is declared.
// rowChecks does the same for what rows name.
type topology struct {
	conn *connection

	mu    sync.RWMutex
	known map[entity]*call[struct{}] // also those being looked up
}

func newTopology(c *connection) *topology {
	return &topology{conn: c, known: make(map[entity]*call[struct{}])}
}

// ensure returns nil once the target's exchange or queue exists. All calls that wait for the same
// declaration get its failure, which is then forgotten.
func (t *topology) ensure(ctx context.Context, target relay.Target) error {
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

func (t *topology) lookUp(entity entity) *call[struct{}] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if call := t.known[entity]; call != nil {
		return call
	}
	if len(t.known) >= maxKnownTopology {
		clear(t.known)
	}
	call := startCall(t.conn, func() (struct{}, error) {
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
func (t *topology) forget(entity entity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, entity)
}

// forgetAll is for a channel that closed with 404: any message on it may have been meant.
func (t *topology) forgetAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.known)
}

// provide looks whether the entity exists, and declares it if it does not.
func (c *connection) provide(entity entity) error {
	err := c.onScratchChannel(func(ch *amqp091.Channel) error { return look(ch, entity) })
	if replyCode(err) != amqp091.NotFound {
		return unlessPresent(err)
	}
	err = unlessPresent(c.onScratchChannel(func(ch *amqp091.Channel) error { return declare(ch, entity) }))
	if replyCode(err) == amqp091.AccessRefused {
		return &refusal{entity: entity, broker: err}
	}
	return err
}

// onScratchChannel runs f on a channel of its own, because a refusal closes the channel.
func (c *connection) onScratchChannel(f func(*amqp091.Channel) error) error {
	ch, err := c.conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	closes := ch.NotifyClose(make(chan *amqp091.Error, 1))
	return closeReason(f(ch), closes)
}

// closeReason returns why the broker closed a channel where the library says only that it is closed.
func closeReason(err error, closes <-chan *amqp091.Error) error {
	if err != amqp091.ErrClosed {
		return err
	}
	if reason := <-closes; reason != nil {
		return reason
	}
	return err
}

// look asks whether the entity exists. The broker asks a queue's process for its length if
// the answer is to hold it, and then waits for a queue that does nothing. Hence the question wants no
// answer, and the broker closes the channel if it has a refusal; the call behind it shows that there was none.
func look(ch *amqp091.Channel, e entity) error {
	if !e.queue {
		return ch.ExchangeDeclarePassive(e.name, amqp091.ExchangeTopic, true, false, false, false, nil)
	}
	if _, err := ch.QueueDeclarePassive(e.name, true, false, false, true, nil); err != nil {
		return err
	}
	return ch.Qos(1, 0, false)
}

func declare(ch *amqp091.Channel, e entity) error {
	if !e.queue {
		return ch.ExchangeDeclare(e.name, amqp091.ExchangeTopic, true, false, false, false, nil)
	}
	_, err := ch.QueueDeclare(e.name, true, false, false, false, amqp091.Table{amqp091.QueueTypeArg: amqp091.QueueTypeQuorum})
	return err
}

// unlessPresent drops the refusals that only an existing entity can cause: an exclusive queue of
// another connection, or a queue that was declared differently a moment ago.
func unlessPresent(err error) error {
	switch replyCode(err) {
	case amqp091.ResourceLocked, amqp091.PreconditionFailed:
		return nil
	}
	return err
}

// replyCode returns the broker's reply code in err, or 0.
func replyCode(err error) int {
	var e *amqp091.Error
	if errors.As(err, &e) && e.Server {
		return e.Code
	}
	return 0
}

// refusal says that something is missing and what a person can do about it.
type refusal struct {
	entity entity
	broker error
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s does not exist, and the relay's user may not declare it: declare it yourself, or grant the user configure on it (rabbitmqctl set_permissions); the broker says: %s",
		r.entity, errorText(r.broker))
}

func (r *refusal) Unwrap() error { return r.broker }
