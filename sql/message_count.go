package sql

import (
	"context"
	"fmt"
	"time"

	"relay"
)

// Count is how many there are, as far as was counted.
type Count struct {
	N     int64
	Exact bool // false: there are at least N
}

const countMessages = `
select coalesce(s.status::text, ''), count(*) filter (where s.matched), max(s.n), (array_agg(s.place_seq) filter (where s.n = $4))[1],
	(array_agg(s.place_id) filter (where s.n = $4))[1], (array_agg(coalesce(s.created_at, 'infinity')) filter (where s.n = $4))[1]
from (%s) s group by 1`

// CountMessages counts the messages that match, by status, for as long as most; zero: to the end. Half a
// million are looked at in a second.
func (s *Store) CountMessages(ctx context.Context, f MessageFilter, most time.Duration) (total Count, by map[relay.MessageStatus]int64, err error) {
	by = make(map[relay.MessageStatus]int64)
	from, err := s.source(ctx, f)
	if err != nil {
		return total, by, err
	}
	at, err := from.begin(f, "")
	if err != nil {
		return total, by, err
	}
	for pace := newPace(most, firstWindow); ; {
		last, err := s.countWindow(ctx, from.counted(), f.arguments(at, pace.next()), &total, by)
		if err != nil {
			return total, by, err
		}
		if last == nil {
			total.Exact = true
			return total, by, nil
		}
		if at = *last; pace.over() {
			return total, by, nil
		}
	}
}

// countWindow counts what matches in a window, and returns its last place if it was whole.
func (s *Store) countWindow(ctx context.Context, statement string, arguments []any, total *Count, by map[relay.MessageStatus]int64) (last *position, err error) {
	rows, err := s.pool.Query(ctx, statement, arguments...)
	if err != nil {
		return nil, fmt.Errorf("count messages: %w", denial(err))
	}
	defer rows.Close()
	for rows.Next() {
		var status relay.MessageStatus
		var n, looked int64
		var seq *int64
		var id *[16]byte
		var created *time.Time
		if err := rows.Scan(&status, &n, &looked, &seq, &id, &created); err != nil {
			return nil, fmt.Errorf("count messages: %w", err)
		}
		if n > 0 {
			total.N += n
			by[status] += n
		}
		if seq != nil {
			last = &position{created: *created, seq: *seq, id: relay.ID(*id)}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count messages: %w", denial(err))
	}
	return last, nil
}
