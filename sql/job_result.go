package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// JobResult is what a job did to one message.
type JobResult struct {
	Message relay.ID
	Effect  Effect
	At      time.Time
}

const jobResults = `
select message_id, result, updated_at from relay.job_result
where job_id = $1 and message_id > $2 and not ($3 and ok) order by message_id limit $4`

// JobResults lists what a job did so far, in the order of the message ids, after one of
// them, at most limit messages; with failed set only those that did not become what the person wanted.
func (s *Store) JobResults(ctx context.Context, id, after relay.ID, failed bool, limit int) ([]JobResult, error) {
	rows, err := s.pool.Query(ctx, jobResults, [16]byte(id), [16]byte(after), failed, limit)
	if err != nil {
		return nil, fmt.Errorf("read the results of job %s: %w", id, denial(err))
	}
	results, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r JobResult, err error) {
		err = row.Scan((*[16]byte)(&r.Message), &r.Effect, &r.At)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the results of job %s: %w", id, denial(err))
	}
	return results, nil
}
