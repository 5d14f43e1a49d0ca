package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// grantColumns are the columns of relay.outbox that an application may set.
const grantColumns = "id, topic, key, payload, body, content_type, headers, source, destination, deliver_at"

// Grant gives a role what an application needs and no more: to INSERT messages, and to
// read the id alone, for RETURNING and ON CONFLICT. Anything wider that the role was
// granted on the outbox before is taken back. It fails if the role does not exist.
func (s *Store) Grant(ctx context.Context, role string) error {
	name := pgx.Identifier{role}.Sanitize()
	return s.grant(ctx, fmt.Sprintf("grant role %q the use of the outbox", role),
		"revoke all on relay.outbox from "+name,
		"grant usage on schema relay to "+name,
		"grant insert ("+grantColumns+"), select (id) on relay.outbox to "+name,
		"grant execute on function relay.new_id() to "+name,
		"grant execute on function relay.publish to "+name,
	)
}

// GrantInbox gives a role what a consumer needs and no more: to call relay.receive(). It
// fails if the role does not exist.
func (s *Store) GrantInbox(ctx context.Context, role string) error {
	name := pgx.Identifier{role}.Sanitize()
	return s.grant(ctx, fmt.Sprintf("grant role %q the use of the inbox", role),
		"grant usage on schema relay to "+name,
		"grant execute on function relay.receive to "+name,
	)
}

// grant runs the statements in one transaction.
func (s *Store) grant(ctx context.Context, operation string, statements ...string) error {
	return s.inTx(ctx, operation, func(tx pgx.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}
