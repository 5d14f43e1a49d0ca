package sql

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

const copyMessage = `
insert into relay.outbox (topic, key, payload, body, content_type, headers, source, destination, deliver_at, internal)
select o.topic, o.key, o.payload, o.body, o.content_type, o.headers, o.source, coalesce(nullif($2, ''), o.destination),
	case when o.deliver_at > clock_timestamp() then o.deliver_at end, o.internal
from relay.outbox o where o.id = $1
returning id`

// CopyMessage inserts a message of the same content under a new id, which it returns, with a
// destination of its own unless that is empty. A copy of the relay's own message is the relay's own. It
// returns ErrGone if there is none to copy.
func (s *Store) CopyMessage(ctx context.Context, id relay.ID, destination string) (copied relay.ID, err error) {
	err = s.pool.QueryRow(ctx, copyMessage, [16]byte(id), destination).Scan((*[16]byte)(&copied))
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrGone
	}
	if err != nil {
		return copied, fmt.Errorf("copy message %s: %w", id, denial(err))
	}
	return copied, nil
}
