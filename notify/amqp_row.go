package notify

import (
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay"
)

// reservedPrefixes begin the names of exchanges and queues that no row's own target reaches: those
// of the broker, among them the queues that consumers leave unnamed and direct reply-to,
// and the queues in which relays take acknowledgements.
var reservedPrefixes = []string{"amq.", ReplyQueue("")}

// namedByRow reports whether the delivery's target stands in the row itself. The author of
// a row is not the operator: the relay declares nothing for such a target.
func namedByRow(d *relay.Delivery) bool { return d.Subscriber.Name == relay.SubscriptionDirect }

// sharesExchange reports whether messages of one lane differ in their routing keys for reasons of their own: those of
// all rows that name an exchange, and those of the default destination.
func sharesExchange(d *relay.Delivery) bool {
	return d.Subscriber.Target.Kind == relay.TargetExchange && (namedByRow(d) || d.Subscriber.Name == relay.SubscriptionDefault)
}

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

// errAMQPRowsBusy is the answer to a name that is new while too many others are.
var errAMQPRowsBusy = errors.New("the relay is looking up too many other exchanges and queues that rows name, of which many do not exist; this message goes again")

// amqpRowRefusal says why a row's message cannot go to the exchange or queue that the row names,
// and what a person can do about it.
type amqpRowRefusal struct {
	entity amqpEntity
	broker error
}

func (r *amqpRowRefusal) Error() string {
	switch amqpCode(r.broker) {
	case amqp.NotFound:
		return fmt.Sprintf("%s does not exist, and the relay declares nothing for a row's own destination: declare it, or name another destination in the row", r.entity)
	case amqp.ResourceLocked:
		return fmt.Sprintf("%s is exclusive to another connection, and a row's own destination cannot reach such a queue: let its consumer declare a queue that is not exclusive", r.entity)
	case amqp.AccessRefused:
		return fmt.Sprintf("the relay's user may not see whether %s exists: grant the user a permission on it (rabbitmqctl set_permissions); the broker says: %s", r.entity, amqpErrorText(r.broker))
	}
	return fmt.Sprintf("the broker does not say whether %s exists: %s", r.entity, amqpErrorText(r.broker))
}

func (r *amqpRowRefusal) Unwrap() error { return r.broker }
