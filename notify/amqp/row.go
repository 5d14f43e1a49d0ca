package amqp

import (
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
)

// reservedPrefixes begin the names of exchanges and queues that no row's own target reaches: those
// of the broker, among them the queues that consumers leave unnamed and direct reply-to,
// and the queues in which relays take acknowledgements.
var reservedPrefixes = []string{"amq.", ReplyQueue("")}

// checkRowTarget refuses reserved names. No placeholder is replaced in the name of an exchange or a
// queue, so that neither key nor topic can lead to one.
func checkRowTarget(t relay.Target) error {
	entity := entityOf(t)
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(entity.name, prefix) {
			return relay.Rejection(fmt.Sprintf("%s is reserved: a row's own destination cannot name what begins with %s", entity, prefix))
		}
	}
	return nil
}

// errRowsBusy is the answer to a name that is new while too many others are.
var errRowsBusy = errors.New("the relay is looking up too many other exchanges and queues that rows name, and many of them do not exist; this message goes again")

// rowRefusal says why a row's message cannot go to the exchange or queue that the row names,
// and what a person can do about it.
type rowRefusal struct {
	entity entity
	broker error
}

func (r *rowRefusal) Error() string {
	switch replyCode(r.broker) {
	case amqp091.NotFound:
		return fmt.Sprintf("%s does not exist, and the relay declares nothing for a row's own destination: declare it, or name another destination in the row", r.entity)
	case amqp091.ResourceLocked:
		return fmt.Sprintf("%s is exclusive to another connection, and a row's own destination cannot reach such a queue: let its consumer declare a queue that is not exclusive", r.entity)
	case amqp091.AccessRefused:
		return fmt.Sprintf("the relay's user may not see whether %s exists: grant the user a permission on it (rabbitmqctl set_permissions); the broker says: %s", r.entity, errorText(r.broker))
	}
	return fmt.Sprintf("the broker does not say whether %s exists: %s", r.entity, errorText(r.broker))
}

func (r *rowRefusal) Unwrap() error { return r.broker }
