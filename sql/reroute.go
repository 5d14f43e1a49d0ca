package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// UnroutedTopics lists the topics of messages that were rejected with the given reason, for
// want of a route, in the last 24 hours.
func (s *Store) UnroutedTopics(ctx context.Context, reason string) ([]string, error) {
	const statement = `
	select distinct topic from relay.outbox
	where status = 'rejected' and destination is null and last_error = $1
		and created_at > clock_timestamp() - interval '24 hours'`
	rows, err := s.pool.Query(ctx, statement, reason)
	if err != nil {
		return nil, fmt.Errorf("list topics without a route: %w", err)
	}
	topics, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list topics without a route: %w", err)
	}
	return topics, nil
}

// Reroute makes the messages with these topics pending again that UnroutedTopics is about,
// and returns how many.
func (s *Store) Reroute(ctx context.Context, reason string, topics []string) (int64, error) {
	const statement = `
	update relay.outbox set status = 'pending', last_error = null
	where status = 'rejected' and destination is null and last_error = $1 and topic = any ($2)
		and created_at > clock_timestamp() - interval '24 hours'`
	tag, err := s.pool.Exec(ctx, statement, reason, topics)
	if err != nil {
		return 0, fmt.Errorf("take up rejected messages: %w", err)
	}
	return tag.RowsAffected(), nil
}
