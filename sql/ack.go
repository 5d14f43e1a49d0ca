package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// AckKey returns the key that signs the tokens of this database, and the database's name,
// after which the queue of replies is called.
func (s *Store) AckKey(ctx context.Context) (key relay.AckKey, database string, err error) {
	const statement = `select key, current_database() from relay.ack_key`
	if err := s.pool.QueryRow(ctx, statement).Scan((*[]byte)(&key), &database); err != nil {
		return nil, "", fmt.Errorf("read the key of acknowledgements: %w", err)
	}
	return key, database, nil
}

// The subscriber of a delivery d as relay.AckSubscriberOf makes it.
const ackSubscriber = `substring(sha256(convert_to(d.subscription, 'UTF8') || '\x00'::bytea || convert_to(d.instance, 'UTF8')) from 1 for 16)`

// The message is locked by a statement of its own: the next one sees what a relay wrote that
// had it before, and a relay that writes an outcome after this transaction sees the acknowledgement.
const (
	// A session that holds the message does not hold up the other acknowledgements: it is not waited for.
	lockAcked = `
	select o.status, o.shard from (select from relay.outbox where id = $1 limit 1) there
	left join lateral (
		select x.status::text, x.shard from relay.outbox x where x.id = $1 for update skip locked
	) o on true`

	readAcked = `
	select coalesce(d.status::text, ''), coalesce(d.acked_attempt, 0), a.message_id is not null,
		coalesce(a.handled, false), coalesce(a.retry, false), coalesce(a.attempt, 0)
	from (select) one
	left join lateral (
		select d.status, d.acked_attempt from relay.delivery d where d.message_id = $1 and ` + ackSubscriber + ` = $2 limit 1
	) d on true
	left join lateral (
		select * from relay.ack y where y.message_id = $1 and y.subscriber = $2 limit 1
	) a on true`

	storeAck = `
	insert into relay.ack as a (message_id, subscriber, shard, attempt, handled, retry, error)
	values ($1, $2, $3, $4, $5, $6, $7)
	on conflict (message_id, subscriber) do update set
		attempt = excluded.attempt, handled = excluded.handled, retry = excluded.retry, error = excluded.error,
		received_at = clock_timestamp()`
)

// acked is what stands in the table about the delivery of an acknowledgement.
type acked struct {
	message  relay.MessageStatus
	delivery relay.DeliveryStatus // empty: there is none
	attempt  int                  // the last one whose failure the consumer told
	stored   bool                 // another word waits to be applied
	handled  bool                 // that word
	retry    bool
	before   int // and the attempt that it is about
}

// ErrHeld says that another session has locked the message.
var ErrHeld = errors.New("another session has locked the message")

// RecordAck stores what a consumer said, for the owner of the message's shard to apply, and
// says what becomes of it. The word is durable when it returns without an error. It returns
// ErrHeld at once if another session holds the message, and the word has to come again.
func (s *Store) RecordAck(ctx context.Context, subject relay.AckSubject, ack relay.Ack) (result relay.AckResult, err error) {
	err = inTxOf(ctx, s.acks, "store an acknowledgement", func(tx pgx.Tx) error {
		var at acked
		var status *relay.MessageStatus
		var shard *int16
		err := tx.QueryRow(ctx, lockAcked, [16]byte(subject.Message)).Scan(&status, &shard)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			result = relay.AckUnknown
			return nil
		case err != nil:
			return err
		case status == nil:
			return ErrHeld
		}
		at.message = *status
		err = tx.QueryRow(ctx, readAcked, [16]byte(subject.Message), subject.Subscriber[:]).
			Scan(&at.delivery, &at.attempt, &at.stored, &at.handled, &at.retry, &at.before)
		if err != nil {
			return err
		}
		if result = at.judge(subject, ack); result != relay.AckHandled && result != relay.AckFailed {
			return nil
		}
		_, err = tx.Exec(ctx, storeAck, [16]byte(subject.Message), subject.Subscriber[:], *shard, subject.Attempt, ack.Handled, ack.Retry, ack.Error)
		return err
	})
	return result, err
}

// judge decides whether a word counts.
func (at acked) judge(subject relay.AckSubject, ack relay.Ack) relay.AckResult {
	pending, open := at.message == relay.MessagePending, at.message == relay.MessageOpen
	switch {
	case !pending && at.delivery == relay.DeliveryHandled && ack.Handled:
		return relay.AckRepeated
	case !pending && !open, open && (at.delivery == "" || at.delivery.Ended()):
		return relay.AckLate
	case at.stored && (at.handled || !at.retry):
		if ack.Handled == at.handled {
			return relay.AckRepeated
		}
		return relay.AckLate
	case ack.Handled:
		return relay.AckHandled
	case ack.Retry && (open && subject.Attempt <= at.attempt || at.stored && subject.Attempt <= at.before):
		return relay.AckRepeated
	}
	return relay.AckFailed
}

// AckRow is an acknowledgement to be applied, with the delivery that it is about.
type AckRow struct {
	Subscriber relay.AckSubscriber
	Attempt    int
	Ack        relay.Ack
	Received   time.Time
	// Moot says that the delivery has ended or is gone: nothing is left to be applied to, and
	// what follows is empty.
	Moot           bool
	Message        relay.ID
	Delivery       relay.DeliveryID
	Key            string
	Shard          int16
	Target         string
	Status         relay.DeliveryStatus
	Attempts       int
	HandleAttempts int
	DueAt          time.Time
	// Counted says that the answer to the attempt told its failure too, which counts already.
	Counted bool
}

// The numbers of attempts begin anew when a person has a delivery sent again: the last one of
// a number is meant.
const ackColumns = `
	a.message_id, a.subscriber, a.attempt, a.handled, a.retry, a.error, a.received_at, d.message_id is null,
	coalesce(d.subscription, ''), coalesce(d.instance, ''), coalesce(d.key, ''), a.shard, coalesce(d.target, ''),
	coalesce(d.status::text, ''), coalesce(d.attempts, 0), coalesce(d.handle_attempts, 0), coalesce(d.due_at, a.received_at),
	coalesce((
		select t.outcome = 'handle_failed' from relay.attempt t
		where not a.handled and t.message_id = d.message_id and t.subscription = d.subscription and t.instance = d.instance
			and t.attempt = a.attempt
		order by t.started_at desc limit 1
	), false)
`

const ackDelivery = `
left join lateral (select o.status from relay.outbox o where o.id = a.message_id limit 1) o on true
left join lateral (
	select * from relay.delivery d
	where d.message_id = a.message_id and ` + ackSubscriber + ` = a.subscriber and o.status = 'open'
		and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') limit 1
) d on true`

// A failure that may be tried again is applied only once the outcome of its attempt is
// written: until then nothing is known of the attempt but that it was made.
const findAcks = `
select ` + ackColumns + `
from unnest($1::smallint[]) as s(shard)
cross join lateral (select * from relay.ack y where y.shard = s.shard order by y.received_at) a` + ackDelivery + `
where o.status is distinct from 'pending' and (d.message_id is null or a.handled or a.attempt <= d.attempts)
limit $2`

const readAcks = `
select ` + ackColumns + `
from unnest($1::uuid[], $2::bytea[]) as w(id, subscriber)
cross join lateral (select * from relay.ack y where y.message_id = w.id and y.subscriber = w.subscriber limit 1) a` + ackDelivery + `
where o.status is distinct from 'pending' and (d.message_id is null or a.handled or a.attempt <= d.attempts)`

// FindAcks finds acknowledgements of the shards that can be applied or are moot, at most
// limit of them.
func (s *Store) FindAcks(ctx context.Context, shards []int16, limit int) ([]AckRow, error) {
	rows, err := s.pool.Query(ctx, findAcks, shards, limit)
	return collectAcks(rows, err)
}

// ReadAcks reads acknowledgements again, in any order; those that cannot be applied any more
// are left out.
func (s *Store) ReadAcks(ctx context.Context, acks []AckRow) ([]AckRow, error) {
	ids, subscribers, _ := splitAcks(acks)
	rows, err := s.pool.Query(ctx, readAcks, ids, subscribers)
	return collectAcks(rows, err)
}

const dropAcks = `
delete from relay.ack a using unnest($1::uuid[], $2::bytea[], $3::timestamptz[]) as w(id, subscriber, received_at)
where a.message_id = w.id and a.subscriber = w.subscriber and a.received_at = w.received_at`

// DropAcks removes acknowledgements that are moot.
func (s *Store) DropAcks(ctx context.Context, acks []AckRow) error {
	ids, subscribers, received := splitAcks(acks)
	if _, err := s.changes.Exec(ctx, dropAcks, ids, subscribers, received); err != nil {
		return fmt.Errorf("remove acknowledgements: %w", err)
	}
	return nil
}

func splitAcks(acks []AckRow) (ids [][16]byte, subscribers [][]byte, received []time.Time) {
	for i := range acks {
		ids = append(ids, acks[i].Message)
		subscribers = append(subscribers, acks[i].Subscriber[:])
		received = append(received, acks[i].Received)
	}
	return ids, subscribers, received
}

func collectAcks(rows pgx.Rows, err error) ([]AckRow, error) {
	if err != nil {
		return nil, fmt.Errorf("read acknowledgements: %w", err)
	}
	acks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a AckRow, err error) {
		var subscriber []byte
		err = row.Scan((*[16]byte)(&a.Message), &subscriber, &a.Attempt, &a.Ack.Handled, &a.Ack.Retry, &a.Ack.Error, &a.Received, &a.Moot,
			&a.Delivery.Subscription, &a.Delivery.Instance, &a.Key, &a.Shard, &a.Target,
			&a.Status, &a.Attempts, &a.HandleAttempts, &a.DueAt, &a.Counted)
		copy(a.Subscriber[:], subscriber)
		a.Delivery.Message = a.Message
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read acknowledgements: %w", err)
	}
	return acks, nil
}

// maxAcknowledging bounds what Acknowledging lists.
const maxAcknowledging = 5

// Acknowledging lists subscriptions whose consumers acknowledge, at most five, with a target that concerned accepts.
func (e *Examiner) Acknowledging(ctx context.Context, concerned func(relay.Target) bool) (names []string, err error) {
	const statement = `select name, target from relay.subscription where ack = 'consumer' order by name`
	rows, err := e.Conn.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", denial(err))
	}
	var name, text string
	_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error {
		target, err := relay.ParseTarget(text)
		if err == nil && concerned(target) && len(names) < maxAcknowledging {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", denial(err))
	}
	return names, nil
}
