package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

const messageStatuses = `
select x.id, x.status::text from unnest($1::uuid[]) as w(id)
cross join lateral (select o.id, o.status from relay.outbox o where o.id = w.id limit 1) x`

// Statuses reads how messages stand. One that is gone is missing.
func (s *Store) Statuses(ctx context.Context, ids []relay.ID) (map[relay.ID]relay.MessageStatus, error) {
	rows, err := s.pool.Query(ctx, messageStatuses, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("read how messages stand: %w", denial(err))
	}
	statuses := make(map[relay.ID]relay.MessageStatus, len(ids))
	var id relay.ID
	var status relay.MessageStatus
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &status}, func() error {
		statuses[id] = status
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read how messages stand: %w", denial(err))
	}
	return statuses, nil
}
