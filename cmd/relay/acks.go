package main

import (
	"context"
	"errors"

	"relay"
	"relay/notify/amqp"
)

// readAckKey asks the database for what all of its relays share: the key that signs tokens,
// and the name of the queue of replies.
func (s *service) readAckKey(ctx context.Context) error {
	key, database, err := s.store.AckKey(ctx)
	s.ackKey, s.ackQueue = key, amqp.ReplyQueue(database)
	return err
}

// Acknowledge takes what a consumer says, over HTTP or by a reply, once the relay has started.
func (s *service) Acknowledge(ctx context.Context, token string, body []byte) (relay.AckResult, error) {
	select {
	case <-s.wired:
		return s.engine.Acknowledge(ctx, token, body)
	default:
		return "", errors.New("the relay is starting")
	}
}
