package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Of the causes of several deliveries a list shows that of the worst one: dead goes before failed.
const summarise = `
select w.n, d.status, d.count, d.attempts, d.cause
from unnest($1::uuid[]) with ordinality as w(id, n)
cross join lateral (
	select y.status::text as status, count(*)::int as count, coalesce(sum(y.attempts), 0)::int as attempts, coalesce(max(y.cause), '') as cause
	from (select x.status, x.attempts, x.cause from relay.delivery x where x.message_id = w.id limit $2) y
	group by y.status
) d
order by w.n, d.status = 'dead' desc, d.cause <> '' desc, d.status`

// ListMessages is FindMessages with what became of the messages' deliveries; of a message with more than a
// thousand those of a thousand.
func (s *Store) ListMessages(ctx context.Context, f MessageFilter, after Cursor, limit int) (MessagePage, error) {
	page, err := s.FindMessages(ctx, f, after, limit)
	if err != nil || len(page.Messages) == 0 {
		return page, err
	}
	ids := make([]relay.ID, len(page.Messages))
	for i := range page.Messages {
		ids[i] = page.Messages[i].ID
	}
	rows, err := s.pool.Query(ctx, summarise, uuids(ids), detailLimit)
	if err != nil {
		return page, fmt.Errorf("read deliveries: %w", denial(err))
	}
	var n, attempts int
	var count StatusCount
	var cause relay.Cause
	_, err = pgx.ForEachRow(rows, []any{&n, &count.Status, &count.Count, &attempts, &cause}, func() error {
		m := &page.Messages[n-1]
		m.Deliveries = append(m.Deliveries, count)
		if m.Attempts += attempts; m.Cause == "" {
			m.Cause = cause
		}
		return nil
	})
	if err != nil {
		return page, fmt.Errorf("read deliveries: %w", denial(err))
	}
	return page, nil
}
