package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// detailLimit bounds how many deliveries and how many attempts a detail holds.
const detailLimit = 1000

// MessageDetail is all that the tables hold of a message.
type MessageDetail struct {
	MessageSummary
	Shard       int16
	ContentType string
	Headers     []byte // jsonb as stored; nil: too large to be shown
	// Payload is the beginning of the body, as many bytes as were asked for. Binary says
	// that it comes from the column body.
	Payload []byte
	Binary  bool
	// Deliveries are in the order of subscriber and instance, Attempts in that of time; at
	// most a thousand of each, of the attempts the last.
	Deliveries []DeliveryDetail
	Attempts   []AttemptDetail
}

// DeliveryDetail is one row of relay.delivery.
type DeliveryDetail struct {
	Subscription, Instance, Target string // instance and target as stored: they may hold a password
	Status                         relay.DeliveryStatus
	Reason                         string
	Attempts, HandleAttempts       int
	NextAttemptAt                  *time.Time // nil: no time is set
	Code                           int        // of the last answer; zero: none
	Error                          string
	DeliveredAt, HandledAt         *time.Time
	UpdatedAt                      time.Time
	Cause                          relay.Cause // empty: nothing failed
	// DueAt is when it was to be sent first: from then on RELAY_GIVE_UP_AFTER counts.
	DueAt time.Time
	// AckedAttempt is the last attempt whose failure the consumer told. Zero: none.
	AckedAttempt int
}

// AttemptDetail is one row of relay.attempt.
type AttemptDetail struct {
	Subscription, Instance string // the instance as stored: it may hold a password
	Number                 int
	StartedAt              time.Time
	Micros                 int64 // its duration
	Outcome                relay.DeliveryStatus
	Code                   int // zero: none
	Error                  string
	Response               []byte      // at most relay.MaxResponse bytes
	Cause                  relay.Cause // empty: it did not fail
}

const (
	// What is longer than the relay would send is cut, and headers are left out.
	showMessage = `
	select o.id, o.created_at, o.status::text, o.topic, coalesce(o.key, ''), coalesce(left(o.source, 255), ''),
		coalesce(left(o.destination, 8000), ''), o.deliver_at, o.finished_at, coalesce(left(o.last_error, 8000), ''), coalesce(o.cause, ''), o.outstanding,
		coalesce(octet_length(o.payload), octet_length(o.body), 0)::bigint,
		o.seq, o.shard, o.content_type,
		case when pg_column_size(o.headers #> '{}'::text[]) <= 131072 then o.headers end, o.body is not null,
		case when $2::int > 0 then coalesce(substring(o.body from 1 for $2), convert_to(left(o.payload, $2), 'UTF8')) end
	from relay.outbox o where o.id = $1`

	showDeliveries = `
	select subscription, instance, left(target, 8000), status::text, coalesce(reason, ''), attempts, handle_attempts, next_attempt_at,
		coalesce(response_code, 0), coalesce(left(last_error, 8000), ''), delivered_at, handled_at, updated_at,
		coalesce(cause, ''), due_at, acked_attempt
	from relay.delivery where message_id = $1 order by subscription, instance limit $2`

	showAttempts = `
	select * from (
		select subscription, instance, attempt, started_at, (extract(epoch from duration) * 1000000)::bigint, outcome,
			coalesce(response_code, 0), coalesce(left(error, 8000), ''), response, coalesce(cause, '')
		from relay.attempt where message_id = $1 order by started_at desc, attempt desc limit $2
	) x order by started_at, attempt`
)

// ShowMessage reads a message with its deliveries and attempts, and the first bytes of its
// payload, none if payload is zero. It returns ErrGone if there is no such message.
func (s *Store) ShowMessage(ctx context.Context, id relay.ID, payload int) (MessageDetail, error) {
	var m MessageDetail
	err := s.pool.QueryRow(ctx, showMessage, [16]byte(id), payload).Scan((*[16]byte)(&m.ID), &m.CreatedAt, &m.Status, &m.Topic,
		&m.Key, &m.Source, &m.Destination, &m.DeliverAt, &m.FinishedAt, &m.Error, &m.Cause, &m.Outstanding, &m.Size,
		&m.Seq, &m.Shard, &m.ContentType, &m.Headers, &m.Binary, &m.Payload)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrGone
	}
	if err != nil {
		return m, fmt.Errorf("read message %s: %w", id, denial(err))
	}
	if len(m.Payload) > payload { // characters were counted, not bytes
		m.Payload = m.Payload[:payload]
	}
	if m.Deliveries, err = collectDetail[DeliveryDetail](ctx, s, showDeliveries, id); err != nil {
		return m, fmt.Errorf("read the deliveries of message %s: %w", id, denial(err))
	}
	if m.Attempts, err = collectDetail[AttemptDetail](ctx, s, showAttempts, id); err != nil {
		return m, fmt.Errorf("read the attempts of message %s: %w", id, denial(err))
	}
	return m, nil
}

func collectDetail[T any](ctx context.Context, s *Store, statement string, id relay.ID) ([]T, error) {
	rows, err := s.pool.Query(ctx, statement, [16]byte(id), detailLimit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}
