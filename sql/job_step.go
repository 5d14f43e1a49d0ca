package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay"
)

// JobShard is the shard whose owner runs the jobs.
const JobShard = 0

// lockedTries is how often a job tries a message whose row another session holds.
const lockedTries = 20

// JobStep is what one batch of a job came to.
type JobStep struct {
	Moved   bool         // the job has got on
	Changed int          // messages that have a result
	First   relay.ID     // one of them; zero: there is none
	Locked  int          // of them, those that another session holds: they are tried again
	Pending []relay.Ring // messages that are pending again
	Ended   bool         // the job runs no more
	Refused error        // why PostgreSQL refused to change the only message of the batch; nil: it did not
}

// The lease is only read here. It is locked at the end (fence), so that no lease row waits for what the messages wait
// for.
const lockJob = `
select j.id from (
	select shard from relay.lease where shard = $1 and owner = $2 and epoch = $3 limit 1
) l
cross join lateral (
	select id from relay.job where id = $4 and status = 'running' and coalesce(cursor, '') = $5 and searched = $6
	for update
) j`

const noteResults = `
insert into relay.job_result as r (job_id, message_id, ok, result)
select $1, w.id, w.ok, w.result from unnest($2::uuid[], $3::boolean[], $4::text[]) as w(id, ok, result)
on conflict (job_id, message_id) do update set
	ok = excluded.ok, result = excluded.result, tries = r.tries + 1, updated_at = clock_timestamp()`

// What is locked counts as failed once the job gives it up.
const noteProgress = `
with tried as materialized (
	select count(*) as n, count(*) filter (where tries < $6) as again from relay.job_result where job_id = $1 and result = 'locked'
)
update relay.job j set
	cursor = nullif($2, ''), searched = $3, updated_at = clock_timestamp(), done = j.done + $4,
	failed = j.failed + $5 + case when $3 and t.again = 0 then t.n else 0 end,
	total = case when $3 and t.again = 0 then j.done + $4 + j.failed + $5 + t.n else greatest(j.total, j.done + $4 + j.failed + $5) end,
	counted = j.counted or $3 and t.again = 0,
	status = case when $3 and t.again = 0 then 'done' else j.status end,
	finished_at = case when $3 and t.again = 0 then clock_timestamp() end
from tried t where j.id = $1
returning j.status = 'done'`

const lockedResults = `
select message_id from relay.job_result
where job_id = $1 and result = 'locked' and tries < $3 order by message_id limit $2`

// StepJob does the next batch of a job, at most most messages: it changes them, notes their
// results and the progress in one transaction, so that a crash leaves all or nothing. It does
// nothing if the lease does not own JobShard any more, or if the job was stopped or has got
// on since it was read. A job that cannot go on is failed. If PostgreSQL refuses to change a single message, that is
// its result; if it refuses several, that is an error, and the caller should ask for fewer.
func (s *Store) StepJob(ctx context.Context, lease Lease, job Job, most int) (JobStep, error) {
	ids, after, searched, err := s.nextOfJob(ctx, job, most)
	if err != nil {
		return JobStep{}, err
	}
	step, err := s.stepJob(ctx, lease, job, func(tx pgx.Tx, step *JobStep) error {
		if len(ids) == 1 {
			if _, err := tx.Exec(ctx, fmt.Sprintf("set local statement_timeout = %d", lastChangeLimit.Milliseconds())); err != nil {
				return err
			}
		}
		return job.step(ctx, tx, step, ids, after, searched, job.action())
	})
	if err == nil || len(ids) != 1 || AboutTheServer(err) || errors.Is(err, ErrFenced) {
		return step, err
	}
	why := err
	return s.stepJob(ctx, lease, job, func(tx pgx.Tx, step *JobStep) error {
		step.Refused = why
		return job.step(ctx, tx, step, ids, after, searched, refusedWith(why))
	})
}

// stepJob makes a step of a job in a transaction, if the lease owns JobShard to its end.
func (s *Store) stepJob(ctx context.Context, lease Lease, job Job, make func(pgx.Tx, *JobStep) error) (step JobStep, err error) {
	err = inTxOf(ctx, s.changes, "run job "+job.ID.String(), func(tx pgx.Tx) error {
		step = JobStep{}
		var id [16]byte
		err := tx.QueryRow(ctx, lockJob, JobShard, [16]byte(lease.Owner), lease.Epochs[JobShard], [16]byte(job.ID), string(job.after), job.searched).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		step.Moved = true
		if err := make(tx, &step); err != nil {
			return err
		}
		return holdFence(ctx, tx, lease, []Change{{Shard: JobShard}})
	})
	if err != nil {
		return JobStep{}, err
	}
	return step, nil
}

// refusedWith is an action that changes nothing and notes why PostgreSQL refuses it.
func refusedWith(why error) action {
	effect := EffectRefused + Effect(": "+Refusal(why))
	var pg *pgconn.PgError
	if errors.As(why, &pg) && pg.Code == stateLocked {
		effect = EffectLocked
	}
	return func(_ context.Context, _ pgx.Tx, held *heldMessages) error {
		for id := range held.status {
			held.note(effect, id)
		}
		return nil
	}
}

// nextOfJob finds the next messages of a job, and where it goes on then.
func (s *Store) nextOfJob(ctx context.Context, job Job, most int) (ids []relay.ID, after Cursor, searched bool, err error) {
	if job.searched {
		rows, err := s.pool.Query(ctx, lockedResults, [16]byte(job.ID), most, lockedTries)
		ids, err = collectIDs("read locked messages", rows, err)
		return ids, job.after, true, err
	}
	page, err := s.FindMessages(ctx, job.Filter, job.after, most)
	for _, m := range page.Messages {
		ids = append(ids, m.ID)
	}
	if page.Next == "" {
		return ids, job.after, err == nil, err
	}
	return ids, page.Next, false, err
}

// step changes messages of a job that is locked.
func (j Job) step(ctx context.Context, tx pgx.Tx, step *JobStep, ids []relay.ID, after Cursor, searched bool, act action) error {
	if gone, err := j.failIfGone(ctx, tx); err != nil || gone {
		step.Ended = gone
		return err
	}
	effects, pending, err := act.on(ctx, tx, ids)
	if err != nil {
		return err
	}
	if step.Changed, step.Pending = len(ids), pending; len(ids) > 0 {
		step.First = ids[0]
	}
	ok, results := make([]bool, len(ids)), make([]string, len(ids))
	done, failed := 0, 0
	for i, e := range effects {
		ok[i], results[i] = e.Succeeded(), string(e)
		switch {
		case ok[i]:
			done++
		case e == EffectLocked:
			step.Locked++
		default:
			failed++
		}
	}
	if _, err := tx.Exec(ctx, noteResults, [16]byte(j.ID), uuids(ids), ok, results); err != nil {
		return err
	}
	return tx.QueryRow(ctx, noteProgress, [16]byte(j.ID), string(after), searched, done, failed, lockedTries).Scan(&step.Ended)
}

// action is what the job does with messages that are locked. Only those are changed that
// still have the status asked for.
func (j Job) action() action {
	f := j.Filter
	switch {
	case j.Kind == JobReplay:
		return replayTo(f.ReplayTo)
	case j.Kind == JobCancel && f.Subscription != "" && f.Status.Only() != relay.MessagePending:
		return cancelFor(f.Subscription)
	case j.Kind == JobCancel:
		return cancelAll(f.Status)
	case f.Subscription != "":
		return retryFor(f.Subscription, f.Status.Only() == relay.MessageDone)
	}
	return retryAll(f.Status)
}

// failIfGone ends a replay whose subscription was deleted.
func (j Job) failIfGone(ctx context.Context, tx pgx.Tx) (gone bool, err error) {
	if j.Kind != JobReplay {
		return false, nil
	}
	const statement = `
	update relay.job set status = 'failed', error = $3, updated_at = clock_timestamp(), finished_at = clock_timestamp()
	where id = $1 and not exists (select from relay.subscription where name = $2)`
	tag, err := tx.Exec(ctx, statement, [16]byte(j.ID), j.Filter.ReplayTo, fmt.Sprintf("there is no subscription %q any more", j.Filter.ReplayTo))
	return err == nil && tag.RowsAffected() > 0, err
}

// RetainJobs removes jobs that do not run and that were not touched for longer than age,
// with their results, at most limit results at once. It returns how many of those it removed.
func (s *Store) RetainJobs(ctx context.Context, age time.Duration, limit int) (int, error) {
	const results = `
	with old as materialized (
		select r.job_id, r.message_id from (
			select id from relay.job where status <> 'running'
				and updated_at < statement_timestamp() - $1 * interval '1 microsecond'
			order by updated_at limit 10
		) j
		cross join lateral (select job_id, message_id from relay.job_result where job_id = j.id limit $2) r
		limit $2
	)
	delete from relay.job_result r using old o where (r.job_id, r.message_id) = (o.job_id, o.message_id)`
	const jobs = `
	delete from relay.job j where status <> 'running'
		and updated_at < statement_timestamp() - $1 * interval '1 microsecond'
		and not exists (select from relay.job_result r where r.job_id = j.id)`
	tag, err := s.pool.Exec(ctx, results, age.Microseconds(), limit)
	if err == nil {
		_, err = s.pool.Exec(ctx, jobs, age.Microseconds())
	}
	if err != nil {
		return 0, fmt.Errorf("remove old jobs: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
