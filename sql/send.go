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

// Draft is a message to be inserted. Empty fields take the columns' defaults.
type Draft struct {
	ID      relay.ID // zero: the table makes one
	Topic   string
	Key     string
	Payload *string // text; nil: none
	Body    []byte  // binary, instead of Payload; nil: none
	// ContentType is empty for application/json.
	ContentType string
	Headers     map[string]string
	Source      string
	Destination string
	DeliverAt   time.Time     // zero: at once
	Delay       time.Duration // from now by the database's clock, instead of DeliverAt; zero: none
	// Internal lets the topic begin with "relay.". It takes the rights of the table's owner.
	Internal bool
}

// Send inserts one message, as an application does, and returns its id. The role needs no
// more than relay grant gives; only a message with a destination needs a right to that
// column. The error says in words what the table's checks refuse.
func (s *Store) Send(ctx context.Context, d Draft) (id relay.ID, err error) {
	statement, arguments := d.statement()
	if err = s.pool.QueryRow(ctx, statement, arguments...).Scan((*[16]byte)(&id)); err != nil {
		return id, fmt.Errorf("insert the message: %w", refusal(err))
	}
	return id, nil
}

// SendOnce is Send by the relay's own role, with an entry in the audit. If once has a key with which a message was
// inserted before, that one's id is returned instead, and repeated is true.
func (s *Store) SendOnce(ctx context.Context, d Draft, once Once) (id relay.ID, repeated bool, err error) {
	err = s.inTx(ctx, "insert the message", func(tx pgx.Tx) error {
		if id, repeated, err = once.seen(ctx, tx, onceMessage); err != nil || repeated {
			return err
		}
		statement, arguments := d.statement()
		if err := tx.QueryRow(ctx, statement, arguments...).Scan((*[16]byte)(&id)); err != nil {
			return refusal(err)
		}
		if err := once.note(ctx, tx, onceMessage, id); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Action: "message.send", Kind: AuditMessage, Object: id.String()})
	})
	return id, repeated, err
}

const insertDraft = `
insert into relay.outbox (id, topic, key, payload, body, content_type, headers, source, deliver_at%s)
values (coalesce($1::uuid, relay.new_id()), $2, nullif($3, ''), $4, $5, coalesce(nullif($6, ''), 'application/json'),
	coalesce($7::jsonb, '{}'), nullif($8, ''), coalesce($9::timestamptz, clock_timestamp() + $10::bigint * interval '1 microsecond')%s)
returning id`

// statement is the INSERT of the draft. It names no column to which the role may have no right.
func (d Draft) statement() (statement string, arguments []any) {
	var own *[16]byte
	if d.ID != (relay.ID{}) {
		own = (*[16]byte)(&d.ID)
	}
	var delay *int64
	if us := d.Delay.Microseconds(); us > 0 {
		delay = &us
	}
	column, value := "", ""
	arguments = []any{own, d.Topic, d.Key, d.Payload, d.Body, d.ContentType, d.Headers, d.Source, timeOrNil(d.DeliverAt), delay}
	if d.Destination != "" {
		column, value, arguments = ", destination", ", $11", append(arguments, d.Destination)
	}
	if d.Internal {
		column, value = column+", internal", value+", true"
	}
	return fmt.Sprintf(insertDraft, column, value), arguments
}

// refusal puts what the table refuses into words.
func refusal(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	words := map[string]string{
		"outbox_pkey":                "there is a message with this id already",
		"outbox_topic_length":        "the topic must have 1 to 255 bytes",
		"outbox_key_length":          "the key must have 1 to 1024 bytes",
		"outbox_content_type_length": "the content type must have 1 to 255 bytes",
		"outbox_source_length":       "the source must have at most 255 bytes",
		"outbox_destination_length":  "the destination must have at most 2048 bytes",
		"outbox_headers":             "the headers must have at most 65536 bytes, as JSON",
		"outbox_topic_reserved":      "topics that begin with \"relay.\" are for the relay's own messages: choose another topic",
	}[pg.ConstraintName]
	switch {
	case words != "":
	case pg.Code == "22P02":
		words = "the payload is not valid JSON, which the content type promises"
	case NotMigrated(err):
		words = "there is no table relay.outbox: run relay migrate"
	case pg.Code == "42501":
		words = "this role may not insert messages: run relay grant as the relay's role"
	default:
		return err
	}
	return fmt.Errorf("%s (SQLSTATE %s)", words, pg.Code)
}

// Progress is how a message stands.
type Progress struct {
	Status     relay.MessageStatus
	Error      string // why it was rejected; empty else
	Deliveries []DeliveryProgress
}

// DeliveryProgress is how one delivery of a message stands.
type DeliveryProgress struct {
	Subscription string
	Target       string // as stored: it may hold a password
	Status       relay.DeliveryStatus
	Reason       string
	Attempts     int
	Code         int // of the last answer; zero: none
	Error        string
}

// ErrGone says that there is no message of that id.
var ErrGone = errors.New("there is no such message")

// Progress reads how a message stands. It returns ErrGone if there is none.
func (s *Store) Progress(ctx context.Context, id relay.ID) (Progress, error) {
	var p Progress
	const message = `select status::text, coalesce(last_error, '') from relay.outbox where id = $1`
	err := s.pool.QueryRow(ctx, message, [16]byte(id)).Scan(&p.Status, &p.Error)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrGone
	}
	if err != nil {
		return p, fmt.Errorf("read message %s: %w", id, err)
	}
	const deliveries = `
	select subscription, target, status::text, coalesce(reason, ''), attempts, coalesce(response_code, 0), coalesce(last_error, '')
	from relay.delivery where message_id = $1 order by subscription, instance`
	rows, err := s.pool.Query(ctx, deliveries, [16]byte(id))
	if err != nil {
		return p, fmt.Errorf("read the deliveries of message %s: %w", id, err)
	}
	p.Deliveries, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DeliveryProgress])
	if err != nil {
		return p, fmt.Errorf("read the deliveries of message %s: %w", id, err)
	}
	return p, nil
}
