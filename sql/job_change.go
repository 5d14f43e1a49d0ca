package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

const (
	stopJob   = `update relay.job set status = 'stopped', updated_at = clock_timestamp() where id = $1 and status = 'running'`
	resumeJob = `
	update relay.job set status = 'running', error = null, finished_at = null, updated_at = clock_timestamp()
	where id = $1 and status in ('stopped', 'failed')`
	setJobRate = `
	update relay.job set rate = nullif($2::double precision, 0), updated_at = clock_timestamp()
	where id = $1 and status in ('running', 'stopped')`
)

// StopJob stops a running job: when it returns, nothing is changed any more. It returns
// ErrNoJob if there is none that runs.
func (s *Store) StopJob(ctx context.Context, id relay.ID) error {
	return s.switchJob(ctx, "stop", stopJob, id)
}

// ResumeJob has a job go on where it stopped or failed. It returns ErrNoJob if there is none
// that did.
func (s *Store) ResumeJob(ctx context.Context, id relay.ID) error {
	return s.switchJob(ctx, "resume", resumeJob, id)
}

// SetJobRate changes how many messages a second a job changes at most; zero: no limit. It holds from the next
// batch on. It returns ErrNoJob if there is none that runs or was stopped.
func (s *Store) SetJobRate(ctx context.Context, id relay.ID, rate float64) error {
	return s.switchJob(ctx, "rate", setJobRate, id, rate)
}

func (s *Store) switchJob(ctx context.Context, operation, statement string, id relay.ID, more ...any) error {
	return s.inTx(ctx, operation+" job "+id.String(), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, statement, append([]any{[16]byte(id)}, more...)...)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNoJob
		}
		if err != nil {
			return denial(err)
		}
		result := ""
		if len(more) > 0 {
			result = fmt.Sprint(more...)
		}
		return s.audit(ctx, tx, AuditEntry{Action: "job." + operation, Kind: AuditJob, Object: id.String(), Result: result})
	})
}
