package sql

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"relay"
)

// The 24 hours begin with the rejection: a message may have been inserted long before, to be
// sent later, or while no relay ran.
const unroutedTopics = `
select distinct topic from relay.outbox
where status = 'rejected' and topic <> '' and destination is null and last_error = $1
	and finished_at > statement_timestamp() - interval '24 hours'`

// UnroutedTopics lists the topics of messages that were rejected with the given reason, for
// want of a route, in the last 24 hours.
func (s *Store) UnroutedTopics(ctx context.Context, reason string) ([]string, error) {
	rows, err := s.pool.Query(ctx, unroutedTopics, reason)
	if err != nil {
		return nil, fmt.Errorf("list topics without a route: %w", err)
	}
	topics, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list topics without a route: %w", err)
	}
	return topics, nil
}

// rerouteBatch is the most messages that one statement makes pending again.
const rerouteBatch = 1000

const (
	findRerouted = `
	select id, created_at, seq from relay.outbox
	where status = 'rejected' and topic <> '' and destination is null and last_error = $1 and topic = any ($2) and (created_at, seq) > ($3, $4)
		and finished_at > statement_timestamp() - interval '24 hours' and shard = any ($6)
	order by created_at, seq limit $5`

	reroute = `
	with held as materialized (
		select x.id, x.status, x.last_error from relay.outbox x where x.id = any ($2::uuid[]) for update skip locked
	), found as materialized (
		select id from held where status = 'rejected' and last_error = $1
	), changed as (
		update relay.outbox o set status = 'pending', last_error = null, cause = null from found f where o.id = f.id
	)
	select id from found`
)

// Reroute makes the messages of the shards with these topics pending again that
// UnroutedTopics is about, and returns how many. One that another session has locked is left as it is. Each batch is
// changed by each, which is given what changes some of them.
func (s *Store) Reroute(ctx context.Context, shards []int16, reason string, topics []string, each func(ids []relay.ID, change func([]relay.ID) error) error) (n int, err error) {
	last := position{created: startOfTime, seq: math.MinInt64}
	change := func(ids []relay.ID) error {
		rows, err := s.changes.Query(ctx, reroute, reason, uuids(ids))
		changed, err := collectIDs("take up rejected messages", rows, err)
		n += len(changed)
		return err
	}
	for {
		rows, err := s.pool.Query(ctx, findRerouted, reason, topics, finite(last.created), last.seq, rerouteBatch, shards)
		if err != nil {
			return n, fmt.Errorf("find rejected messages: %w", err)
		}
		var ids []relay.ID
		_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&last.id), &last.created, &last.seq}, func() error {
			ids = append(ids, last.id)
			return nil
		})
		if err != nil {
			return n, fmt.Errorf("find rejected messages: %w", err)
		}
		if len(ids) == 0 {
			return n, nil
		}
		if err := each(ids, change); err != nil || len(ids) < rerouteBatch {
			return n, err
		}
	}
}
