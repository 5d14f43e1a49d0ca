package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay"
)

// Lease names this relay as the owner of shards, each under the epoch in which it got them.
type Lease struct {
	Owner  relay.ID
	Epochs map[int16]int64
}

// of returns the shards of the changes that are leased, and the epochs. They ascend, which is
// the order in which renewals lock them: any other would be a deadlock now and then.
func (l Lease) of(changes []Change) (shards []int16, epochs []int64) {
	var wanted [relay.Shards]bool
	for i := range changes {
		wanted[changes[i].Shard] = true
	}
	for i, is := range wanted {
		shard := int16(i)
		if epoch, leased := l.Epochs[shard]; is && leased {
			shards, epochs = append(shards, shard), append(epochs, epoch)
		}
	}
	return shards, epochs
}

// Change is what one outcome writes: the new state of one delivery and, if an attempt was
// made, its record.
type Change struct {
	Delivery relay.DeliveryID
	Shard    int16 // of the message
	Target   string
	Circuit  string
	// Taking says that the message was pending: its row is taken up by this change, together
	// with the changes of all its other deliveries. Otherwise the message was open.
	Taking bool
	// Again says that a message that was pending had ended before, so that deliveries of it
	// stand in the table.
	Again bool
	// MessageStatus and Outstanding are the message's new state, meant for
	// Taking alone: the relay that takes a message up knows every delivery. A rejected message has no delivery:
	// its change has an empty Delivery.Subscription.
	MessageStatus relay.MessageStatus
	Outstanding   int

	// Due is from when the delivery counts as waiting. It is for statistics, and not written.
	Due time.Time

	Status         relay.DeliveryStatus
	Reason         relay.Reason
	Attempts       int
	HandleAttempts int
	// NextAttempt is the delay until the next attempt, counted by the database's clock.
	// Negative: no time is set.
	NextAttempt  time.Duration
	ResponseCode int    // zero: none
	Error        string // empty: none
	// Cause is the class of Error. Empty: nothing failed.
	Cause   relay.Cause
	Attempt *relay.Attempt
	// Ackable says that the consumer acknowledges, and may have done so already.
	Ackable bool
	// AckAttempt is the attempt whose failure the consumer told, if that is what this change
	// writes. Zero: it is not.
	AckAttempt int
	// Spread replaces the delivery, which has no instance, by these: see WriteSpread.
	Spread []Change
}

// The rows of $-arrays, in the order of changeArrays.arguments.
const changeRows = `unnest(
		$4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::int[], $11::text[], $12::text[],
		$13::int[], $14::int[], $15::bigint[], $16::int[], $17::text[],
		$18::int[], $19::timestamptz[], $20::bigint[], $21::text[], $22::bytea[], $23::text[])
	as w(id, subscription, instance, target, circuit, message_status, outstanding, status, reason,
		attempts, handle_attempts, next_us, code, error,
		attempt, started_at, duration_us, outcome, response, cause)`

// The lease rows are locked FOR SHARE: a takeover has to wait for this statement or this
// statement finds the lease gone. A join that merely reads them is no fence. Messages are
// locked SKIP LOCKED, so that one held by another session does not stall the others,
// nor a takeover. Where a transaction has several statements, the first reads the leases and
// the last locks them (fence): whatever the others wait for, no lease row waits with them.
const ownShards = `own as materialized (
	select l.shard from unnest($2::smallint[], $3::bigint[]) as e(shard, epoch)
	cross join lateral (
		select shard from relay.lease x
		where x.shard = e.shard and x.owner = $1 and x.epoch = e.epoch for share
	) l
)`

// seenShards is ownShards without the lock.
const seenShards = `own as materialized (
	select l.shard from unnest($2::smallint[], $3::bigint[]) as e(shard, epoch)
	cross join lateral (
		select shard from relay.lease x where x.shard = e.shard and x.owner = $1 and x.epoch = e.epoch limit 1
	) l
)`

// A message that was taken up before and set back by hand may go elsewhere now. Its former
// deliveries then count for nothing: one that is dead must not make the message dead again.
// Its deliveries have no key if it stands outside the order of it; one that waits for its key
// has been judged otherwise, and keeps it. Of the errors of several deliveries the message
// has that of a dead one.
func takeUpWith(own string) string {
	return `
with ` + own + `,
locked as materialized (
	select w.*, o.key, o.seq, o.shard, o.due_at, o.again,
		case when o.back and w.reason is distinct from 'key_blocked' then ` + standsOutside + ` else false end as outside
	from ` + changeRows + `
	cross join lateral (
		select x.id, x.key, x.seq, x.shard, x.finished_at is not null as back, x.finished_at is not null or x.outstanding > 0 as again,
			case when x.finished_at is null then greatest(x.deliver_at, x.created_at) else clock_timestamp() end as due_at
		from relay.outbox x
		where x.id = w.id and x.status = 'pending' and x.shard = any (array(select shard from own))
		for update skip locked
	) o
),
message as (
	update relay.outbox o set
		status = l.message_status::relay.message_status,
		outstanding = l.outstanding,
		finished_at = case when l.message_status <> 'open' then clock_timestamp() end,
		last_error = l.error,
		cause = case when l.message_status = 'rejected' then l.cause end
	from (
		select id, message_status, outstanding,
			coalesce(max(nullif(error, '')) filter (where status = 'dead'), max(nullif(error, ''))) as error, max(nullif(cause, '')) as cause
		from locked group by id, message_status, outstanding
	) l where o.id = l.id
),
attempt as (
	insert into relay.attempt (message_id, subscription, instance, attempt, started_at, duration, outcome, response_code, error, response, cause)
	select id, subscription, instance, attempt, started_at, duration_us * interval '1 microsecond', outcome, nullif(code, 0), nullif(error, ''), response, nullif(cause, '')
	from locked where attempt > 0
),
delivery as (
	insert into relay.delivery as d (message_id, subscription, instance, target, circuit, status, reason,
		attempts, handle_attempts, next_attempt_at, response_code, last_error, cause,
		delivered_at, handled_at, due_at, shard, seq, key, search_key)
	select id, subscription, instance, target, circuit, status::relay.delivery_status, nullif(reason, ''),
		attempts, handle_attempts,
		case when next_us >= 0 then clock_timestamp() + next_us * interval '1 microsecond' end,
		nullif(code, 0), nullif(error, ''), nullif(cause, ''),
		case when status in ('delivered', 'handled', 'awaiting_ack') then clock_timestamp() end,
		case when status = 'handled' then clock_timestamp() end,
		due_at, shard, seq, case when not outside then key end, case when outside then key end
	from locked where subscription <> ''
	on conflict (message_id, subscription, instance) do update set
		target = excluded.target, circuit = excluded.circuit, status = excluded.status, reason = excluded.reason,
		attempts = excluded.attempts, handle_attempts = excluded.handle_attempts,
		next_attempt_at = excluded.next_attempt_at, response_code = excluded.response_code,
		last_error = excluded.last_error, cause = excluded.cause, delivered_at = excluded.delivered_at, handled_at = excluded.handled_at,
		updated_at = clock_timestamp(), due_at = clock_timestamp(), acked_attempt = 0, key = excluded.key, search_key = excluded.search_key
),
former as (
	update relay.delivery d set status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp()
	from locked l
	where l.again and d.message_id = l.id and d.status not in ('delivered', 'handled', 'cancelled')
		and (d.subscription, d.instance) not in (select k.subscription, k.instance from locked k where k.id = d.message_id)
)
select id from locked`
}

var (
	takeUp       = takeUpWith(ownShards)
	takeUpLocked = takeUpWith(seenShards) // of messages that a statement before has locked
)

// The messages are locked by a statement of their own: what two subscribers of one message
// wrote at the same moment is then seen by the second one's snapshot, which decides how the
// message ends. One whose delivery is held by another session is left for later, too.
const lockOpen = `
with ` + seenShards + `,
asked as materialized (
	select w.* from unnest($4::uuid[], $5::text[], $6::text[]) as w(id, subscription, instance)
),
locked as materialized (
	select o.id from (select distinct id from asked) w
	cross join lateral (
		select x.id from relay.outbox x
		where x.id = w.id and x.status = 'open' and x.shard = any (array(select shard from own))
		for update skip locked
	) o
),
held as materialized (
	select w.id from locked l join asked w using (id)
	cross join lateral (
		select y.message_id from relay.delivery y
		where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance limit 1
	) d
	left join lateral (
		select true as ours from relay.delivery y
		where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance
		for update skip locked
	) f on true
	where f.ours is null
)
select id from locked where id not in (select id from held)`

// countDown takes what the statement's part delivery has ended from what is outstanding of
// the messages, which are locked, and ends those with nothing left.
const countDown = `
ended as (
	select message_id as id,
		count(*) filter (where status in ('delivered', 'handled', 'dead', 'cancelled')) as n,
		bool_or(status = 'dead') as dead,
		bool_or(status in ('delivered', 'handled')) as good,
		max(last_error) as error
	from delivery group by message_id
),
message as (
	update relay.outbox o set
		outstanding = o.outstanding - e.n,
		status = case
			when o.outstanding - e.n > 0 then 'open'
			when e.dead or was.dead then 'dead'
			when e.good or was.good then 'done'
			else 'cancelled' end::relay.message_status,
		finished_at = case when o.outstanding - e.n <= 0 then clock_timestamp() end,
		last_error = coalesce(e.error, case when o.outstanding - e.n > 0 or e.dead or was.dead then o.last_error end)
	from ended e
	cross join lateral (
		select bool_or(y.status = 'dead') as dead, bool_or(y.status in ('delivered', 'handled')) as good
		from relay.delivery y where y.message_id = e.id
	) was
	where o.id = e.id and o.status = 'open'
)`

const writeOpen = `
with locked as materialized (
	select w.* from ` + changeRows + `
),
delivery as (
	update relay.delivery d set
		target = coalesce(nullif(l.target, ''), d.target), circuit = coalesce(nullif(l.circuit, ''), d.circuit),
		status = l.status::relay.delivery_status, reason = nullif(l.reason, ''),
		attempts = l.attempts, handle_attempts = l.handle_attempts,
		next_attempt_at = case when l.next_us >= 0 then clock_timestamp() + l.next_us * interval '1 microsecond' end,
		response_code = case when l.attempt > 0 then nullif(l.code, 0) else d.response_code end,
		last_error = case when l.attempt > 0 or l.error <> '' or l.status = 'handled' then nullif(l.error, '') else d.last_error end,
		cause = case when l.attempt > 0 or l.error <> '' or l.status = 'handled' then nullif(l.cause, '') else d.cause end,
		delivered_at = coalesce(d.delivered_at, case when l.status in ('delivered', 'handled', 'awaiting_ack') then clock_timestamp() end),
		handled_at = case when l.status = 'handled' then clock_timestamp() end,
		updated_at = clock_timestamp()
	from locked l
	where d.message_id = l.id and d.subscription = l.subscription and d.instance = l.instance
		and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
	returning d.message_id, d.status, d.last_error
),
attempt as (
	insert into relay.attempt (message_id, subscription, instance, attempt, started_at, duration, outcome, response_code, error, response, cause)
	select id, subscription, instance, attempt, started_at, duration_us * interval '1 microsecond', outcome, nullif(code, 0), nullif(error, ''), response, nullif(cause, '')
	from locked l where attempt > 0 and 0 = (
		select count(*) from relay.attempt a
		where a.message_id = l.id and a.subscription = l.subscription and a.instance = l.instance
			and a.attempt = l.attempt and a.started_at = l.started_at
	)
),` + countDown + `
-- The lease is checked by lockOpen and fence; a statement has to name each of its parameters.
select $1::uuid, $2::smallint[], $3::bigint[]`

// WriteTaken writes the changes of messages that were pending, all deliveries of each, in
// one statement, and returns the messages that were written. One that was not is locked by
// another session, gone, no longer pending, or no longer this relay's. The changes of one message
// stand next to each other.
func (s *Store) WriteTaken(ctx context.Context, lease Lease, changes []Change) ([]relay.ID, error) {
	if s.apart || fansOut(changes) || anyAckable(changes) || anyAgain(changes) {
		return s.writeTakenLocked(ctx, lease, changes)
	}
	rows, err := s.writing.Query(ctx, takeUp, arguments(lease, changes)...)
	written, err := collectIDs("take up messages", rows, err)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateLocked {
		// It waited for a lease that is being renewed, or for a delivery of a message that was taken up before.
		return s.writeTakenLocked(ctx, lease, changes)
	}
	return written, err
}

// fansOut reports whether a message has several changes. The statement looks for its row once
// for each of them: if that session let go of it in between, some would be written and others not.
func fansOut(changes []Change) bool {
	for i := 1; i < len(changes); i++ {
		if changes[i].Delivery.Message == changes[i-1].Delivery.Message {
			return true
		}
	}
	return false
}

// anyAgain reports whether a message was taken up before: its deliveries may be locked by a session.
func anyAgain(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Again })
}

// WriteOpen writes the changes of deliveries of open messages, counts down what is
// outstanding, and ends the messages with none left. It returns the messages whose rows
// could be had, as WriteTaken does. At most one change may name the same delivery.
func (s *Store) WriteOpen(ctx context.Context, lease Lease, changes []Change) ([]relay.ID, error) {
	return s.writeLocked(ctx, "write outcomes", lease, changes, func(tx pgx.Tx, locked []Change) error {
		if anyAckable(locked) {
			var err error
			if locked, err = applyAcks(ctx, tx, locked); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, writeOpen, arguments(lease, locked)...); err != nil {
			return err
		}
		return writeAcked(ctx, tx, locked)
	})
}

// writeLocked locks the open messages of the changes, as far as they can be had, and has
// their changes written.
func (s *Store) writeLocked(ctx context.Context, operation string, lease Lease, changes []Change, write func(pgx.Tx, []Change) error) (written []relay.ID, err error) {
	err = s.inWriting(ctx, operation, lease, changes, func(tx pgx.Tx, shards []int16, epochs []int64) ([]relay.ID, error) {
		ids := make([]relay.DeliveryID, len(changes))
		for i := range changes {
			ids[i] = changes[i].Delivery
		}
		messages, subscriptions, instances := splitDeliveryIDs(ids)
		rows, err := tx.Query(ctx, lockOpen, [16]byte(lease.Owner), shards, epochs, messages, subscriptions, instances)
		if written, err = collectIDs("lock messages", rows, err); err != nil || len(written) == 0 {
			return written, err
		}
		return written, write(tx, only(changes, written))
	})
	return written, err
}

// only returns the changes of the given messages.
func only(changes []Change, messages []relay.ID) []Change {
	wanted := make(map[relay.ID]bool, len(messages))
	for _, id := range messages {
		wanted[id] = true
	}
	out := make([]Change, 0, len(changes))
	for _, c := range changes {
		if wanted[c.Delivery.Message] {
			out = append(out, c)
		}
	}
	return out
}

// StillThere returns those of the messages that exist and are pending or, if open is set,
// open, in any order: the ones whose outcome has to be written again because another session held
// their row.
func (s *Store) StillThere(ctx context.Context, ids []relay.ID, open bool) ([]relay.ID, error) {
	const statement = `
	select x.id from unnest($1::uuid[]) as w(id)
	cross join lateral (
		select o.id from relay.outbox o where o.id = w.id and (o.status = 'pending' or $2 and o.status = 'open') limit 1
	) x`
	rows, err := s.pool.Query(ctx, statement, uuids(ids), open)
	return collectIDs("look for messages", rows, err)
}

func collectIDs(operation string, rows pgx.Rows, err error) ([]relay.ID, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id relay.ID, err error) {
		err = row.Scan((*[16]byte)(&id))
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return ids, nil
}
