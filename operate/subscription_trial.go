package operate

import (
	"context"
	"strings"

	"relay/sql"
)

// TopicTest is the topic of a test message that is given none.
const TopicTest = "relay.test"

// testPayload is the payload of a test message.
const testPayload = `{"test": true}`

// Test sends one message to a subscription alone, through the outbox and the relay that runs. Await says what became
// of it.
func (s *Service) Test(ctx context.Context, actor Actor, name, topic string) (Sent, error) {
	if topic == "" {
		topic = TopicTest
	}
	if _, err := s.settings(ctx, name); err != nil {
		return Sent{}, err
	}
	payload := testPayload
	draft := sql.Draft{Topic: topic, Payload: &payload, Destination: name, Internal: strings.HasPrefix(topic, "relay.")}
	id, _, err := s.by(actor).SendOnce(ctx, draft, sql.Once{})
	if err != nil {
		return Sent{}, err
	}
	return Sent{ID: id.String()}, nil
}
