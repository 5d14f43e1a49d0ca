package amqp

import (
	"errors"
	"fmt"
	"strings"

	"relay"
	"relay/notify"
)

// Name is the technology's name, as metrics have it.
const Name = "amqp"

// concurrency bounds the attempts under way to one destination of the broker: as many as may
// await their confirm, and some whose outcome is being taken.
const concurrency = defaultWindow + 50

// errNoBroker is why nothing goes to a target of this technology.
var errNoBroker = errors.New("it needs a broker, and RELAY_AMQP_URL is not set")

// Technology describes AMQP 0-9-1, still without a destination, to what routes and dispatches.
// broker says that one is configured, since RELAY_AMQP_URL is set.
func Technology(broker bool) notify.Technology {
	t := notify.Technology{
		Name: Name, Prefixes: []string{"amqp:"},
		Concurrency: concurrency, Origin: relay.CircuitBroker,
		Shares: isExchange, Check: checkLengths, CheckRow: checkKept, ParsePattern: parsePattern,
	}
	if !broker {
		t.Missing = errNoBroker
	}
	return t
}

// isExchange reports whether the routing key decides where a message goes.
func isExchange(target relay.Target) bool { return target.Kind == relay.TargetExchange }

// checkLengths refuses what a short string of AMQP cannot hold.
func checkLengths(d *relay.Delivery) error {
	if key := d.Subscriber.Target.RoutingKeyFor(d.Message); len(key) > relay.MaxShortString {
		return relay.Rejection(fmt.Sprintf("routing key of %d bytes, AMQP allows %d", len(key), relay.MaxShortString))
	}
	if len(d.Message.Topic) > relay.MaxShortString {
		return relay.Rejection(fmt.Sprintf("topic of %d bytes, AMQP allows a type of %d", len(d.Message.Topic), relay.MaxShortString))
	}
	return nil
}

// checkKept refuses the exchanges and queues to which a row must never send: those of RabbitMQ itself, its
// pseudo-queues for direct replies among them, and the queues in which relays receive
// acknowledgements.
func checkKept(target relay.Target) error {
	name := target.Exchange + target.Queue
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("%q is a name that RabbitMQ or the relay keeps for itself, to which rows never send", name)
		}
	}
	return nil
}
