package sql

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"relay"
)

const copyMessage = `
insert into relay.outbox (topic, key, payload, body, content_type, headers, source, destination, deliver_at, internal)
select o.topic, o.key, o.payload, o.body, o.content_type,
	o.headers || jsonb_build_object('relay-original-id', coalesce(o.headers ->> 'relay-original-id', o.id::text)), o.source, coalesce(nullif($2, ''), o.destination),
	case when o.deliver_at > clock_timestamp() then o.deliver_at end, o.internal
from relay.outbox o where o.id = $1
returning id`

// CopyMessage inserts a message of the same content under a new id, which it returns, with a
// destination of its own unless that is empty. Its header relay-original-id names the message that was copied first. A
// copy of the relay's own message is the relay's own. It returns ErrGone if there is none to copy.
func (s *Store) CopyMessage(ctx context.Context, id relay.ID, destination string) (copied relay.ID, err error) {
	err = s.inTx(ctx, "copy message "+id.String(), func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, copyMessage, [16]byte(id), destination).Scan((*[16]byte)(&copied))
		if errors.Is(err, pgx.ErrNoRows) {
			err = ErrGone
		}
		if err != nil {
			return denial(err)
		}
		return s.audit(ctx, tx, AuditEntry{Action: "message.copy", Kind: AuditMessage, Object: id.String(), Result: copied.String()})
	})
	return copied, err
}
