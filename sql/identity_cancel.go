package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// What was rejected for want of a route within a day is taken up by itself, so it counts as outstanding. Each part
// is one walk along a partial index.
const findEveryOutstanding = `
(select id from relay.outbox where status = 'pending' and key is null and (deliver_at is null or due) limit $1)
union all
(select id from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due) limit $1)
union all
(select id from relay.outbox where status = 'pending' and deliver_at is not null and not due limit $1)
union all
(select id from relay.outbox where status = 'open' limit $1)
union all
(select id from relay.outbox where status = 'rejected' and destination is null and starts_with(last_error, 'no route')
	and finished_at > statement_timestamp() - interval '24 hours' limit $1)`

const cancelEveryOutstanding = `
with found as materialized (
	select o.id from unnest($1::uuid[]) as w(id)
	cross join lateral (
		select x.id from relay.outbox x where x.id = w.id and x.status in ('pending', 'open', 'rejected') for update skip locked
	) o
), deliveries as (
	update relay.delivery d set
		status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp(), last_error = $2
	from found f
	where d.message_id = f.id and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack', 'dead')
)
update relay.outbox o set status = 'cancelled', outstanding = 0, finished_at = clock_timestamp(), last_error = $2
from found f where o.id = f.id`

// CancelEverything cancels about limit messages that have not ended, of all subscribers, with the reason as their
// last error. It returns how many were cancelled, and how many were found: those between are held by another session.
// It is for a copy, in which no relay works.
func (s *Store) CancelEverything(ctx context.Context, reason string, limit int) (cancelled, found int, err error) {
	rows, err := s.pool.Query(ctx, findEveryOutstanding, limit)
	ids, err := collectIDs("find outstanding messages", rows, err)
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	err = s.inTx(ctx, "cancel outstanding messages", func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, cancelEveryOutstanding, uuids(ids), reason)
		if err != nil {
			return denial(err)
		}
		if cancelled = int(done.RowsAffected()); cancelled == 0 {
			return nil
		}
		return s.audit(ctx, tx, AuditEntry{Action: "database.cancel", Kind: AuditDatabase, Result: fmt.Sprintf("%d cancelled", cancelled)})
	})
	if err != nil {
		return 0, 0, err
	}
	return cancelled, len(ids), nil
}

// StopJobs stops every job that runs, and returns how many.
func (s *Store) StopJobs(ctx context.Context) (stopped int, err error) {
	const statement = `update relay.job set status = 'stopped', updated_at = clock_timestamp() where status = 'running' returning id`
	err = s.inTx(ctx, "stop jobs", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, statement)
		ids, err := collectIDs("update", rows, err)
		if err != nil {
			return denial(err)
		}
		stopped = len(ids)
		objects := make([]string, len(ids))
		for i, id := range ids {
			objects[i] = id.String()
		}
		return s.auditAll(ctx, tx, AuditEntry{Action: "job.stop", Kind: AuditJob}, objects, make([]string, len(ids)))
	})
	return stopped, err
}
