package amqp

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"golang.org/x/time/rate"
)

// Limits of what is asked about names that rows give. A row can name anything; an answer
// 'missing' costs the broker a channel and a line of its log.
const (
	rowChecksPerSecond = 500
	rowChecksBurst     = 50
	// rowMissCost is as many checks as one whose answer is a refusal counts for: 20 in a second.
	rowMissCost = 25
	// maxRowChecksWaiting bounds the questions that wait for their turn on the channel.
	maxRowChecksWaiting = 64
	// rowCheckPatience is how long a message waits until its name may be asked about.
	rowCheckPatience = 500 * time.Millisecond
	// maxRowChecks bounds the names that are remembered.
	maxRowChecks = 10_000
)

// How long an answer is believed.
const (
	rowMissingLife = 5 * time.Second
	rowPresentLife = 30 * time.Second
	// rowRenewAfter is from when on a use of a name makes the relay ask again, beside the message.
	rowRenewAfter = 10 * time.Second
)

// rowChecks knows which of the exchanges and queues that rows name exist. It declares
// nothing, asks on a channel of its own, one name at a time, and limits how often: a
// flood of invented names takes nothing from the operator's destinations, and nothing from names
// that are in use, whose renewal has a limit of its own.
type rowChecks struct {
	conn  *connection
	fresh *rate.Limiter // names that are not known to exist
	again *rate.Limiter // names that are

	waiting atomic.Int32
	asking  sync.Mutex // guards ch and closes
	ch      *amqp091.Channel
	closes  <-chan *amqp091.Error

	mu    sync.Mutex
	known map[entity]*rowCheck
	swept time.Time
}

// rowCheck is what is known about one name, or is being asked.
type rowCheck struct {
	call     *call[struct{}]
	at       time.Time // when it was asked
	renewing bool
}

func newRowChecks(c *connection) *rowChecks {
	return &rowChecks{
		conn:  c,
		fresh: rate.NewLimiter(rowChecksPerSecond, rowChecksBurst),
		again: rate.NewLimiter(rowChecksPerSecond, rowChecksBurst),
		known: make(map[entity]*rowCheck),
	}
}

// ensure returns nil if the exchange or the queue exists and may be reached by a row.
func (k *rowChecks) ensure(ctx context.Context, entity entity) error {
	check := k.current(entity, time.Now())
	if check == nil {
		if err := k.admit(ctx); err != nil {
			return err
		}
		check = k.start(entity, time.Now())
	}
	_, err := check.call.wait(ctx, k.conn)
	return err
}

// current returns what is known and still believed, or nil. It renews what is used and old.
func (k *rowChecks) current(entity entity, now time.Time) *rowCheck {
	k.mu.Lock()
	defer k.mu.Unlock()
	check := k.known[entity]
	if check == nil || check.expired(now) {
		return nil
	}
	if check.call.over() && check.call.err == nil && !check.renewing && now.Sub(check.at) > rowRenewAfter && k.again.AllowN(now, 1) && !k.crowded() {
		check.renewing = true
		k.conn.spawn(func() { k.renew(entity, check) })
	}
	return check
}

// expired reports whether the answer is too old to be believed.
func (c *rowCheck) expired(now time.Time) bool {
	switch {
	case !c.call.over():
		return false
	case c.call.err != nil:
		return now.Sub(c.at) > rowMissingLife
	}
	return now.Sub(c.at) > rowPresentLife
}

// admit waits until a name that is not known to exist may be asked about, but not for long.
func (k *rowChecks) admit(ctx context.Context) error {
	if k.crowded() {
		return errRowsBusy
	}
	patience, cancel := context.WithTimeout(ctx, rowCheckPatience)
	defer cancel()
	if k.fresh.Wait(patience) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errRowsBusy
}

// crowded reports whether enough questions wait already.
func (k *rowChecks) crowded() bool { return k.waiting.Load() >= maxRowChecksWaiting }

// charge counts what closed a channel.
func (k *rowChecks) charge() { k.fresh.ReserveN(time.Now(), rowMissCost) }

// start asks about a name, unless another message has just done so.
func (k *rowChecks) start(entity entity, now time.Time) *rowCheck {
	k.mu.Lock()
	defer k.mu.Unlock()
	if check := k.known[entity]; check != nil && !check.expired(now) {
		return check
	}
	k.makeRoom(now)
	check := &rowCheck{at: now}
	check.call = startCall(k.conn, func() (struct{}, error) { return struct{}{}, k.look(entity) })
	k.known[entity] = check
	return check
}

// renew asks again about a name that existed.
func (k *rowChecks) renew(entity entity, check *rowCheck) {
	at := time.Now()
	err := k.look(entity)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[entity] != check {
		return
	}
	if err != nil {
		delete(k.known, entity) // the next message asks, and gets the answer in words
		return
	}
	check.at, check.renewing = at, false
}

// makeRoom forgets what has expired when too many names are known, or any one of them. The
// caller holds mu.
func (k *rowChecks) makeRoom(now time.Time) {
	if len(k.known) < maxRowChecks {
		return
	}
	if now.Sub(k.swept) > time.Second {
		k.swept = now
		for entity, check := range k.known {
			if check.expired(now) {
				delete(k.known, entity)
			}
		}
	}
	for entity := range k.known {
		if len(k.known) < maxRowChecks {
			return
		}
		delete(k.known, entity)
	}
}

// forget makes the next message to the entity ask again.
func (k *rowChecks) forget(entity entity) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, entity)
}

// look asks the broker about one name.
func (k *rowChecks) look(entity entity) error {
	err := k.onChannel(func(ch *amqp091.Channel) error { return look(ch, entity) })
	if replyCode(err) == 0 {
		return err
	}
	return &rowRefusal{entity: entity, broker: err}
}

// onChannel runs f on the channel of the checks, which is opened again after a refusal.
func (k *rowChecks) onChannel(f func(*amqp091.Channel) error) error {
	k.waiting.Add(1)
	defer k.waiting.Add(-1)
	k.asking.Lock()
	defer k.asking.Unlock()
	if k.ch == nil || k.ch.IsClosed() {
		ch, err := k.conn.conn.Channel()
		if err != nil {
			return err
		}
		k.ch, k.closes = ch, ch.NotifyClose(make(chan *amqp091.Error, 1))
	}
	err := closeReason(f(k.ch), k.closes)
	if replyCode(err) != 0 {
		k.charge()
	}
	return err
}
