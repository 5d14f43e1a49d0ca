package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// MessageTrace is what the tables know about a message besides itself.
type MessageTrace struct {
	// Before and After are the neighbours of the message in its key, in the order of their insertion. Nil: there is none,
	// or it has no key.
	Before, After *MessageSummary
	Original      *relay.ID    // the message that it copies; nil: it is no copy
	Copies        []relay.ID   // of the youngest hundred entries of the audit about it
	Jobs          []JobTouch   // that changed it, the youngest first; at most twenty
	Audit         []AuditEntry // about it, the youngest first; at most a hundred
}

// JobTouch is what a job did to one message.
type JobTouch struct {
	Job    relay.ID
	Kind   JobKind
	Effect Effect
	At     time.Time
}

const (
	// The key is that of the message, also where its deliveries stand outside the order. The neighbour may stand in any of
	// the indexes by key.
	keyNeighbour = `
	with own as materialized (select seq, key, id, shard from relay.outbox where id = $1 and key is not null)
	select k.id from own cross join lateral (
		(select d.seq, d.message_id as id from relay.delivery d where d.key = own.key and (d.seq, d.message_id) %[1]s (own.seq, own.id) order by d.seq %[2]s, d.message_id %[2]s limit 1)
		union all
		(select d.seq, d.message_id from relay.delivery d where d.search_key = own.key and (d.seq, d.message_id) %[1]s (own.seq, own.id) order by d.seq %[2]s, d.message_id %[2]s limit 1)
		union all
		(select o.seq, o.id from relay.outbox o where o.status in ('rejected', 'cancelled') and o.key = own.key and (o.seq, o.id) %[1]s (own.seq, own.id) order by o.seq %[2]s, o.id %[2]s limit 1)
		union all
		(select o.seq, o.id from relay.outbox o where o.status = 'pending' and o.key = own.key and (o.deliver_at is null or o.due) and o.shard = own.shard
			and (o.seq, o.id) %[1]s (own.seq, own.id) order by o.seq %[2]s, o.id %[2]s limit 1)
		union all
		(select o.seq, o.id from relay.outbox o where o.status = 'pending' and o.key = own.key and o.deliver_at is not null and not o.due and o.shard = own.shard
			and (o.seq, o.id) %[1]s (own.seq, own.id) order by o.seq %[2]s, o.id %[2]s limit 1)
	) k order by k.seq %[2]s, k.id %[2]s limit 1`

	jobsOfMessage = `
	select r.job_id, j.kind, r.result, r.updated_at from relay.job_result r
	cross join lateral (select kind from relay.job x where x.id = r.job_id limit 1) j
	where r.message_id = $1 order by r.updated_at desc limit 20`

	originalOf = `select coalesce(headers ->> 'relay-original-id', '') from relay.outbox where id = $1`
)

var (
	keyBefore = fmt.Sprintf(keyNeighbour, "<", "desc")
	keyAfter  = fmt.Sprintf(keyNeighbour, ">", "asc")
)

// TraceMessage reads what surrounds a message. It returns ErrGone if there is no such message.
func (s *Store) TraceMessage(ctx context.Context, id relay.ID) (t MessageTrace, err error) {
	var original string
	err = s.pool.QueryRow(ctx, originalOf, [16]byte(id)).Scan(&original)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrGone
	}
	if err != nil {
		return t, fmt.Errorf("read message %s: %w", id, denial(err))
	}
	if first, err := relay.ParseID(original); err == nil {
		t.Original = &first
	}
	if t.Before, err = s.neighbour(ctx, keyBefore, id); err != nil {
		return t, err
	}
	if t.After, err = s.neighbour(ctx, keyAfter, id); err != nil {
		return t, err
	}
	rows, err := s.pool.Query(ctx, jobsOfMessage, [16]byte(id))
	if err == nil {
		t.Jobs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (j JobTouch, err error) {
			err = row.Scan((*[16]byte)(&j.Job), &j.Kind, &j.Effect, &j.At)
			return j, err
		})
	}
	if err != nil {
		return t, fmt.Errorf("read the jobs of message %s: %w", id, denial(err))
	}
	if t.Audit, err = s.auditOf(ctx, AuditMessage, id.String(), start.seq, 100); err != nil {
		return t, err
	}
	for _, e := range t.Audit {
		if copied, err := relay.ParseID(e.Result); err == nil && e.Action == "message.copy" {
			t.Copies = append(t.Copies, copied)
		}
	}
	return t, nil
}

// neighbour reads the message next to one in its key.
func (s *Store) neighbour(ctx context.Context, statement string, id relay.ID) (*MessageSummary, error) {
	var next relay.ID
	err := s.pool.QueryRow(ctx, statement, [16]byte(id)).Scan((*[16]byte)(&next))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the neighbours of message %s: %w", id, denial(err))
	}
	page, err := s.FindMessages(ctx, MessageFilter{IDs: []relay.ID{next}}, "", 1)
	if err != nil || len(page.Messages) == 0 {
		return nil, err
	}
	return &page.Messages[0], nil
}

// Payload is a message's body as it is sent, byte for byte.
type Payload struct {
	ContentType string
	Binary      bool // it comes from the column body
	Body        []byte
}

// ErrTooLarge says that a payload has more bytes than were allowed.
var ErrTooLarge = errors.New("the payload is larger than RELAY_MAX_PAYLOAD")

const readPayload = `
select o.content_type, o.body is not null, coalesce(octet_length(o.payload), octet_length(o.body), 0)::bigint,
	case when coalesce(octet_length(o.payload), octet_length(o.body), 0) <= $2 then coalesce(o.body, convert_to(o.payload, 'UTF8'), '') end
from relay.outbox o where o.id = $1`

// MessagePayload reads the whole body of a message, if it has at most most bytes; a larger one is ErrTooLarge. It
// returns ErrGone if there is no such message.
func (s *Store) MessagePayload(ctx context.Context, id relay.ID, most int64) (p Payload, err error) {
	var size int64
	err = s.pool.QueryRow(ctx, readPayload, [16]byte(id), most).Scan(&p.ContentType, &p.Binary, &size, &p.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = ErrGone
	case err == nil && size > most:
		err = ErrTooLarge
	}
	if err != nil {
		return p, fmt.Errorf("read the payload of message %s: %w", id, denial(err))
	}
	return p, nil
}
