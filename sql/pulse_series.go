package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SeriesPoint is what was counted for one name within a step: a subscriber, or a source.
type SeriesPoint struct {
	Name           string
	At             time.Time // when the step begins
	Went, Failures int64     // accepted deliveries and failed attempts; of a source messages taken up and rejected
}

const (
	outcomeSeries = `
	select subscription, date_bin($3::bigint * interval '1 microsecond', minute, timestamptz '2000-01-01 00:00:00+00') as at,
		sum(accepted)::bigint, sum(push_failed + handle_failed)::bigint
	from relay.pulse_outcome where minute >= $1 and minute < $2 group by 1, 2 order by 1, 2`

	sentSeries = `
	select source, date_bin($3::bigint * interval '1 microsecond', minute, timestamptz '2000-01-01 00:00:00+00') as at,
		sum(taken)::bigint, sum(rejected)::bigint
	from relay.pulse_sent where minute >= $1 and minute < $2 group by 1, 2 order by 1, 2`
)

// OutcomeSeries lists by subscriber what was counted in each step of some time, where there was anything.
func (s *Store) OutcomeSeries(ctx context.Context, from, to time.Time, step time.Duration) ([]SeriesPoint, error) {
	return s.series(ctx, outcomeSeries, from, to, step)
}

// SentSeries lists by source what was counted in each step of some time, where there was anything.
func (s *Store) SentSeries(ctx context.Context, from, to time.Time, step time.Duration) ([]SeriesPoint, error) {
	return s.series(ctx, sentSeries, from, to, step)
}

func (s *Store) series(ctx context.Context, statement string, from, to time.Time, step time.Duration) ([]SeriesPoint, error) {
	rows, err := s.pool.Query(ctx, statement, from, to, step.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", denial(err))
	}
	points, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SeriesPoint])
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", denial(err))
	}
	return points, nil
}
