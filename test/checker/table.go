package checker

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// querier is a connection or a pool that may see relay's tables.
type querier interface {
	Query(ctx context.Context, statement string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, statement string, arguments ...any) pgx.Row
}

// ReadRows returns every message that the table has.
func ReadRows(ctx context.Context, db querier) (map[string]Row, error) {
	rows, err := db.Query(ctx, "select id::text, status::text, coalesce(finished_at, '0001-01-01z') from relay.outbox")
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	all := make(map[string]Row)
	var id string
	var row Row
	_, err = pgx.ForEachRow(rows, []any{&id, &row.Status, &row.Finished}, func() error {
		all[id] = row
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return all, nil
}

// Unrest is what keeps a system from having come to rest. The zero value is rest.
type Unrest struct {
	Pending, Open int // messages
	Due           int // deliveries that have a next attempt
}

// String says it in words.
func (u Unrest) String() string {
	return fmt.Sprintf("%d messages pending, %d open, %d deliveries with a next attempt", u.Pending, u.Open, u.Due)
}

// ReadUnrest looks what is still to be done.
func ReadUnrest(ctx context.Context, db querier) (u Unrest, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = db.QueryRow(ctx, `
		select count(*) filter (where status = 'pending'), count(*) filter (where status = 'open'),
			(select count(*) from relay.delivery where next_attempt_at is not null)
		from relay.outbox`).Scan(&u.Pending, &u.Open, &u.Due)
	if err != nil {
		return u, fmt.Errorf("look what is still to be done: %w", err)
	}
	return u, nil
}
