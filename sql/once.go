package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Once is a key that a client gave a request, so that repeating it changes nothing twice. The zero value is none.
type Once struct {
	Key    string   // empty: none
	Digest [32]byte // SHA-256 of the request
}

// ErrOtherRequest says that a key was used before, for another request.
var ErrOtherRequest = errors.New("the idempotency key was used for another request: choose a new key")

// What a key is for.
const (
	onceMessage = "message"
	onceJob     = "job"
)

// The first of two that come at once inserts the row, and the second one waits for it.
const (
	claimOnce = `
	insert into relay.idempotency (operation, key, digest, result) values ($1, $2, $3, '00000000-0000-0000-0000-000000000000')
	on conflict (operation, key) do nothing`
	readOnce   = `select digest, result from relay.idempotency where operation = $1 and key = $2`
	noteOnce   = `update relay.idempotency set result = $3 where operation = $1 and key = $2`
	retainOnce = `
	delete from relay.idempotency where (operation, key) in (
		select operation, key from relay.idempotency
		where created_at < statement_timestamp() - $1 * interval '1 microsecond' order by created_at limit $2
	)`
)

// seen claims the key, or returns what the same request has made before.
func (o Once) seen(ctx context.Context, tx pgx.Tx, operation string) (before relay.ID, repeated bool, err error) {
	if o.Key == "" {
		return before, false, nil
	}
	claimed, err := tx.Exec(ctx, claimOnce, operation, o.Key, o.Digest[:])
	if err != nil || claimed.RowsAffected() > 0 {
		return before, false, denial(err)
	}
	var digest []byte
	if err := tx.QueryRow(ctx, readOnce, operation, o.Key).Scan(&digest, (*[16]byte)(&before)); err != nil {
		return before, false, denial(err)
	}
	if !bytes.Equal(digest, o.Digest[:]) {
		return before, false, ErrOtherRequest
	}
	return before, true, nil
}

// note remembers what the request has made.
func (o Once) note(ctx context.Context, tx pgx.Tx, operation string, result relay.ID) error {
	if o.Key == "" {
		return nil
	}
	_, err := tx.Exec(ctx, noteOnce, operation, o.Key, [16]byte(result))
	return denial(err)
}

// RetainOnce forgets keys older than age, at most limit of them, and returns how many.
func (s *Store) RetainOnce(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.changes.Exec(ctx, retainOnce, age.Microseconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("remove old idempotency keys: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
