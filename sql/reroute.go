package sql

import (
	"context"
	"fmt"
)

// Reroute makes messages pending again that were rejected with the given reason, for want
// of a route, in the last 24 hours, and returns how many. It is called when there is a
// route that was not there before.
func (s *Store) Reroute(ctx context.Context, reason string) (int64, error) {
	const statement = `
	update relay.outbox set status = 'pending', last_error = null
	where status = 'rejected' and destination is null and last_error = $1
		and created_at > clock_timestamp() - interval '24 hours'`
	tag, err := s.pool.Exec(ctx, statement, reason)
	if err != nil {
		return 0, fmt.Errorf("take up rejected messages: %w", err)
	}
	return tag.RowsAffected(), nil
}
