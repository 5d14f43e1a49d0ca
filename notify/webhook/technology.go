package webhook

import (
	"errors"

	"relay"
	"relay/notify"
)

// Technology describes HTTP, still without a destination, to what routes and dispatches.
// concurrency bounds the attempts under way to one destination (RELAY_HTTP_CONCURRENCY); acks says
// that consumers can acknowledge, since RELAY_ACK_URL is set.
func Technology(concurrency int, acks bool) notify.Technology {
	t := notify.Technology{
		Name: "http", Prefixes: []string{"http://", "https://"},
		Concurrency: concurrency, ParsePattern: parsePattern,
	}
	if !acks {
		t.CheckSubscriber = refuseAcks
	}
	return t
}

// refuseAcks is why nothing is sent to consumers that could not acknowledge it: each message
// would come to them again and again, and be dead in the end.
func refuseAcks(s *relay.Subscriber) error {
	if !s.AckByConsumer {
		return nil
	}
	return errors.New("ack: its HTTP consumer is to acknowledge, and cannot: set RELAY_ACK_URL and RELAY_ACK_ADDR, or ack = 'response'")
}
