package amqp

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

const (
	// exchangeTypeLife is how long an exchange's type is believed: it can be deleted and declared anew.
	exchangeTypeLife = time.Minute
	maxExchangeTypes = 1000
)

// keepsReturned are the types of exchange that may keep a message and tell the broker that it has no queue
// now, upon which the broker returns it. Each says whether it has kept a message with these headers.
var keepsReturned = map[string]func(headers amqp091.Table) bool{
	// It keeps what is to wait, and routes the rest at once.
	"x-delayed-message": func(headers amqp091.Table) bool {
		delay, _ := headers[delayHeader].(int32)
		return delay > 0
	},
	// It keeps everything for the queues that are bound later. Only a Boolean header says no, and
	// the relay sends none.
	"x-recent-history": func(amqp091.Table) bool { return true },
}

// delayHeader is the delay of a message in an exchange of the type x-delayed-message, in milliseconds. It
// is sent as a number: old versions of the plugin ignore a string.
const delayHeader = "x-delay"

// numberDelay puts the number in place of the header's text.
func numberDelay(headers amqp091.Table) {
	text, _ := headers[delayHeader].(string)
	if delay, err := strconv.ParseInt(text, 10, 32); err == nil {
		headers[delayHeader] = int32(delay)
	}
}

// exchangeTypes knows the types of the exchanges that have returned a message.
type exchangeTypes struct {
	conn *connection
	// onChannel runs a function on a channel, which it may leave closed.
	onChannel func(func(*amqp091.Channel) error) error

	mu    sync.Mutex
	known map[string]*exchangeType
}

type exchangeType struct {
	call *call[string]
	at   time.Time
}

func newExchangeTypes(c *connection, onChannel func(func(*amqp091.Channel) error) error) *exchangeTypes {
	return &exchangeTypes{conn: c, onChannel: onChannel, known: make(map[string]*exchangeType)}
}

// of returns the type of an exchange. The error is 403 where the relay's user may not configure it.
func (t *exchangeTypes) of(ctx context.Context, exchange string) (string, error) {
	now := time.Now()
	t.mu.Lock()
	known := t.known[exchange]
	if known == nil || known.call.over() && now.Sub(known.at) > exchangeTypeLife {
		if len(t.known) >= maxExchangeTypes {
			clear(t.known)
		}
		known = &exchangeType{at: now}
		known.call = startCall(t.conn, func() (kind string, err error) {
			err = t.onChannel(func(ch *amqp091.Channel) error {
				kind, err = askExchangeType(ch, exchange)
				return err
			})
			return kind, err
		})
		t.known[exchange] = known
	}
	t.mu.Unlock()
	return known.call.wait(ctx, t.conn)
}

// askExchangeType learns the type from the refusal of a declaration. The broker compares type, flags and arguments
// of an exchange that exists, the type first, and its refusal names the type. The argument here is one that no
// exchange can have, so that the broker refuses the declaration in every case and never makes an exchange. An empty
// result means that the exchange is a direct one, as the declaration says, or does not exist.
func askExchangeType(ch *amqp091.Channel, exchange string) (string, error) {
	never := amqp091.Table{"alternate-exchange": int32(0)}
	err := ch.ExchangeDeclare(exchange, amqp091.ExchangeDirect, true, false, false, false, never)
	var refusal *amqp091.Error
	if replyCode(err) != amqp091.PreconditionFailed || !errors.As(err, &refusal) {
		return "", err
	}
	return typeInRefusal(refusal.Reason), nil
}

// typeRefused begins what RabbitMQ says about an exchange of another type. The end, after typeIs, is
// the type in quotes: "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost
// '/': received 'direct' but current is 'topic'".
const (
	typeRefused = "PRECONDITION_FAILED - inequivalent arg 'type' for "
	typeIs      = " but current is "
)

// typeInRefusal finds the type. The name of the exchange, which may hold any words, stands between the two marks.
func typeInRefusal(reason string) string {
	at := strings.LastIndex(reason, typeIs)
	if !strings.HasPrefix(reason, typeRefused) || at < 0 {
		return ""
	}
	return strings.Trim(reason[at+len(typeIs):], "' ")
}
