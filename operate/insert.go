package operate

import (
	"context"
	"crypto/sha256"
	"encoding/json"

	"relay"
	"relay/sql"
)

// once makes a key of the client's own, with the request for which it stands. An empty key is none.
func once(key string, request any) (sql.Once, error) {
	if key == "" {
		return sql.Once{}, nil
	}
	if err := storable("Idempotency-Key", key); err != nil {
		return sql.Once{}, err
	}
	text, err := json.Marshal(request)
	if err != nil {
		return sql.Once{}, invalid("", "the request cannot be written as JSON")
	}
	return sql.Once{Key: key, Digest: sha256.Sum256(text)}, nil
}

// Insert is Send by the relay's own role, with an entry in the audit. A second one with the same key and draft inserts
// nothing: repeated is true, and the id that of the first one's message. An empty key is none.
func (s *Service) Insert(ctx context.Context, actor Actor, d Draft, key string) (id string, repeated bool, err error) {
	draft, err := d.store()
	if err != nil {
		return "", false, err
	}
	o, err := once(key, d)
	if err != nil {
		return "", false, err
	}
	inserted, repeated, err := s.by(actor).SendOnce(ctx, draft, o)
	return inserted.String(), repeated, refusedInsert(err)
}

// Acknowledge notes that the consumer of a subscription has handled messages that it once accepted, as if it had said
// so itself.
func (s *Service) Acknowledge(ctx context.Context, actor Actor, ids []string, subscription string) (results []Result, err error) {
	c := Change{IDs: ids, Subscription: subscription}
	err = s.each(ctx, c, Collect(&results), func(ctx context.Context, batch []relay.ID) ([]sql.Effect, error) {
		return s.by(actor).AcknowledgeDeliveries(ctx, batch, subscription)
	})
	return results, err
}
