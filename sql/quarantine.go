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

// TidyQuarantine removes the reports that are not renewed any more.
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

// Telling is what a row is to say in last_error: a message alone, if there is no subscription, or with a delivery.
type Telling struct {
	ID    relay.DeliveryID
	Why   string
	Ended bool // it is about a message that has ended well; otherwise about one that has not ended
}

// Messages and deliveries are told by a statement each: what keeps one from being changed need not keep the other.
const (
	tellMessages = `
	update relay.outbox o set last_error = x.why
	from (
		select l.id, w.why from unnest($1::uuid[], $2::text[], $3::boolean[]) as w(id, why, ended)
		cross join lateral (
			select y.id from relay.outbox y
			where y.id = w.id and y.status::text = any (case when w.ended then array['done', 'cancelled'] else array['pending', 'open'] end)
			for update skip locked
		) l
	) x
	where o.id = x.id and o.last_error is distinct from x.why`

	tellDeliveries = `
	update relay.delivery d set last_error = x.why
	from (
		select l.*, w.why from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as w(id, subscription, instance, why)
		cross join lateral (
			select y.message_id, y.subscription, y.instance from relay.delivery y
			where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance
				and y.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') for update skip locked
		) l
	) x
	where (d.message_id, d.subscription, d.instance) = (x.message_id, x.subscription, x.instance) and d.last_error is distinct from x.why`
)

// TellMessages writes into last_error of messages what keeps the relay from changing them. It passes over what another
// session has locked. Each message stands among the tellings once.
func (s *Store) TellMessages(ctx context.Context, all []Telling) error {
	ids, whys, ended := make([][16]byte, len(all)), make([]string, len(all)), make([]bool, len(all))
	for i, t := range all {
		ids[i], whys[i], ended[i] = t.ID.Message, text(t.Why), t.Ended
	}
	if _, err := s.changes.Exec(ctx, tellMessages, ids, whys, ended); err != nil {
		return fmt.Errorf("tell why messages cannot be changed: %w", err)
	}
	return nil
}

// TellDeliveries is TellMessages for unfinished deliveries; those without a subscription are none.
func (s *Store) TellDeliveries(ctx context.Context, all []Telling) error {
	var ids []relay.DeliveryID
	whys := make([]string, 0, len(all))
	for _, t := range all {
		if t.ID.Subscription != "" {
			ids, whys = append(ids, t.ID), append(whys, text(t.Why))
		}
	}
	messages, subscriptions, instances := splitDeliveryIDs(ids)
	if _, err := s.changes.Exec(ctx, tellDeliveries, messages, subscriptions, instances, whys); err != nil {
		return fmt.Errorf("tell why deliveries cannot be changed: %w", err)
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
	Tries     int           // of all
}

// Quarantine lists what living relays have in quarantine, by operation.
func (e *Examiner) Quarantine(ctx context.Context) ([]InQuarantine, error) {
	const statement = `
	select q.operation, count(*), extract(epoch from clock_timestamp() - min(q.since))::float8,
		coalesce((array_agg(q.message_id order by q.since))[1], '00000000-0000-0000-0000-000000000000'),
		(array_agg(q.subject order by q.since))[1], (array_agg(q.error order by q.since))[1], sum(q.tries)
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
		err = row.Scan(&q.Operation, &q.Count, &seconds, (*[16]byte)(&q.Message), &q.Subject, &q.Error, &q.Tries)
		q.Oldest = time.Duration(seconds * float64(time.Second))
		return q, err
	})
	if err != nil {
		return nil, fmt.Errorf("look into the quarantine: %w", err)
	}
	return list, nil
}
