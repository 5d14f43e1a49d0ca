package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

// The 24 hours begin with the rejection: a message may have been inserted long before, to be
// sent later, or while no relay ran.
const unroutedTopics = `
select distinct topic from relay.outbox
where status = 'rejected' and destination is null and last_error = $1
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
	select id from relay.outbox
	where status = 'rejected' and destination is null and last_error = $1 and topic = any ($2) and id > $3
		and finished_at > statement_timestamp() - interval '24 hours' and shard = any ($5)
	order by id limit $4`

	reroute = `
	with found as materialized (
		select o.id from unnest($2::uuid[]) as w(id)
		cross join lateral (
			select x.id from relay.outbox x
			where x.id = w.id and x.status = 'rejected' and x.last_error = $1 for update skip locked
		) o
	), changed as (
		update relay.outbox o set status = 'pending', last_error = null from found f where o.id = f.id
	)
	select id from found`
)

// Reroute makes the messages of the shards with these topics pending again that
// UnroutedTopics is about, and returns how many. One that somebody has locked is left as it is. Each batch is
// changed by each, which is given what changes some of them.
func (s *Store) Reroute(ctx context.Context, shards []int16, reason string, topics []string, each func(ids []relay.ID, change func([]relay.ID) error) error) (n int, err error) {
	var last relay.ID
	change := func(ids []relay.ID) error {
		rows, err := s.changes.Query(ctx, reroute, reason, uuids(ids))
		changed, err := collectIDs("take up rejected messages", rows, err)
		n += len(changed)
		return err
	}
	for {
		rows, err := s.pool.Query(ctx, findRerouted, reason, topics, [16]byte(last), rerouteBatch, shards)
		ids, err := collectIDs("find rejected messages", rows, err)
		if err != nil || len(ids) == 0 {
			return n, err
		}
		if err := each(ids, change); err != nil || len(ids) < rerouteBatch {
			return n, err
		}
		last = ids[len(ids)-1]
	}
}
