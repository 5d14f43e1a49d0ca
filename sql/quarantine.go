package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Quarantined is a row, or a few that belong together, that a relay cannot read, change or remove. It is tried again
// by itself.
type Quarantined struct {
	Operation string
	Subject   string   // names it within the operation
	Message   relay.ID // zero: it is no single message
	Error     string
	Tries     int
	Age       time.Duration // since the first try
}

const reportQuarantine = `
insert into relay.quarantine as q (relay, operation, subject, message_id, error, tries, since)
select $1, w.operation, w.subject, nullif(w.message, '00000000-0000-0000-0000-000000000000'), w.error, w.tries,
	clock_timestamp() - w.age * interval '1 microsecond'
from unnest($2::text[], $3::text[], $4::uuid[], $5::text[], $6::int[], $7::bigint[]) as w(operation, subject, message, error, tries, age)
on conflict (relay, operation, subject) do update set
	error = excluded.error, tries = excluded.tries, updated_at = clock_timestamp()`

// ReportQuarantine notes what a relay has in quarantine, for people, and removes what has left it.
func (s *Store) ReportQuarantine(ctx context.Context, owner relay.ID, in, out []Quarantined) error {
	return inTxOf(ctx, s.changes, "report what is in quarantine", func(tx pgx.Tx) error {
		operations, subjects, _ := splitQuarantined(out)
		const leave = `
		delete from relay.quarantine q using unnest($2::text[], $3::text[]) as w(operation, subject)
		where q.relay = $1 and q.operation = w.operation and q.subject = w.subject`
		if _, err := tx.Exec(ctx, leave, [16]byte(owner), operations, subjects); err != nil {
			return err
		}
		operations, subjects, messages := splitQuarantined(in)
		errors, tries, ages := make([]string, len(in)), make([]int32, len(in)), make([]int64, len(in))
		for i, q := range in {
			errors[i], tries[i], ages[i] = text(q.Error), int32(q.Tries), q.Age.Microseconds()
		}
		_, err := tx.Exec(ctx, reportQuarantine, [16]byte(owner), operations, subjects, messages, errors, tries, ages)
		return err
	})
}

func splitQuarantined(list []Quarantined) (operations, subjects []string, messages [][16]byte) {
	for _, q := range list {
		operations, subjects, messages = append(operations, q.Operation), append(subjects, text(q.Subject)), append(messages, q.Message)
	}
	return operations, subjects, messages
}

// quarantineStands is for how long a report stands that is not renewed: the relay has died, or was stopped.
const quarantineStands = 15 * time.Minute

// TidyQuarantine removes the reports that nobody renews any more.
func (s *Store) TidyQuarantine(ctx context.Context) error {
	const statement = `delete from relay.quarantine where updated_at < clock_timestamp() - $1 * interval '1 microsecond'`
	if _, err := s.changes.Exec(ctx, statement, quarantineStands.Microseconds()); err != nil {
		return fmt.Errorf("remove old reports of the quarantine: %w", err)
	}
	return nil
}

// LeaveQuarantine removes all that a relay has reported.
func (s *Store) LeaveQuarantine(ctx context.Context, owner relay.ID) error {
	if _, err := s.changes.Exec(ctx, `delete from relay.quarantine where relay = $1`, [16]byte(owner)); err != nil {
		return fmt.Errorf("remove the reports of the quarantine: %w", err)
	}
	return nil
}

// Each row is told by a statement of its own: what keeps one from being changed need not keep the other.
const (
	tellMessage = `
	update relay.outbox o set last_error = $2
	from (select id from relay.outbox where id = $1 for update skip locked) x where o.id = x.id and o.last_error is distinct from $2`

	tellDelivery = `
	update relay.delivery d set last_error = $4
	from (
		select message_id, subscription, instance from relay.delivery
		where message_id = $1 and subscription = $2 and instance = $3
			and status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') for update skip locked
	) x
	where (d.message_id, d.subscription, d.instance) = (x.message_id, x.subscription, x.instance) and d.last_error is distinct from $4`
)

// TellMessage writes into last_error of a message, and of a delivery of it if it has a subscription, what keeps the
// relay from changing it, as far as that can be written. The first error is returned; the other row is written nevertheless.
func (s *Store) TellMessage(ctx context.Context, id DeliveryID, why string) error {
	_, err := s.changes.Exec(ctx, tellMessage, [16]byte(id.Message), text(why))
	if id.Subscription != "" {
		if _, second := s.changes.Exec(ctx, tellDelivery, [16]byte(id.Message), id.Subscription, id.Instance, text(why)); err == nil {
			err = second
		}
	}
	if err != nil {
		return fmt.Errorf("tell why a row cannot be changed: %w", err)
	}
	return nil
}

// InQuarantine is what relay doctor tells of one operation.
type InQuarantine struct {
	Operation string
	Count     int
	Oldest    time.Duration // since the first try
	Message   relay.ID      // of the oldest; zero: it is no single message
	Subject   string        // of the oldest
	Error     string        // of the oldest
}

// Quarantine lists what living relays have in quarantine, by operation.
func (e *Examiner) Quarantine(ctx context.Context) ([]InQuarantine, error) {
	const statement = `
	select q.operation, count(*), extract(epoch from clock_timestamp() - min(q.since))::float8,
		coalesce((array_agg(q.message_id order by q.since))[1], '00000000-0000-0000-0000-000000000000'),
		(array_agg(q.subject order by q.since))[1], (array_agg(q.error order by q.since))[1]
	from relay.quarantine q
	where q.updated_at > clock_timestamp() - $1 * interval '1 microsecond'
		and exists (select from relay.instance i where i.id = q.relay)
	group by q.operation order by q.operation`
	rows, err := e.Conn.Query(ctx, statement, quarantineStands.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("look into the quarantine: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (q InQuarantine, err error) {
		var seconds float64
		err = row.Scan(&q.Operation, &q.Count, &seconds, (*[16]byte)(&q.Message), &q.Subject, &q.Error)
		q.Oldest = time.Duration(seconds * float64(time.Second))
		return q, err
	})
	if err != nil {
		return nil, fmt.Errorf("look into the quarantine: %w", err)
	}
	return list, nil
}
