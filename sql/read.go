package sql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Verdict says what became of one row that was asked for.
type Verdict int

// The verdicts. The zero value is a row that SQL cannot see, yet or any more.
const (
	Unseen   Verdict = iota
	Ended            // it is not pending (or not unfinished) any more: forget it
	NotDue           // it is for later: the due timer has it
	TooLarge         // its size is over a limit; it was not read
	NoRoom           // it did not fit into the budget and was not read
	Readable         // it is here
	Gone             // there is none, and will be none; a read alone cannot tell
)

// Limits bounds one read. Sizes are judged in SQL, before a row is transferred.
type Limits struct {
	MaxPayload int64 // bytes of one row: body, headers, source and destination
	Budget     int64 // bytes of all rows of this read; small ones are read first
	// Words has it looked up what consumers have said of pending messages.
	Words bool
}

// MessageRow is one row of relay.outbox as asked for by id.
type MessageRow struct {
	Verdict Verdict
	Message relay.Message // complete if Readable, without body, headers, source and destination otherwise
	Size    int64         // bytes of body, headers, source and destination
	// Oversized says of a row that is TooLarge that headers, source and destination alone are.
	Oversized bool
	Again     bool // it had ended before, and a person wants it sent again
	// Unordered says that it stands outside the order of its key, because a person had it
	// sent again.
	Unordered bool
	Version   int64 // of the subscriptions, as this reading saw them
	// Handled are subscribers whose consumers have said that they have handled the message although it is pending: a relay
	// died before it could write that they had it. They are looked up only if Limits say so.
	Handled []relay.AckSubscriber
	// XID is the transaction, or savepoint, that wrote the row as it stands there. Zero: it was not read by its key.
	XID uint32
}

// messageColumns are read in this order by messageScan. What has no bound of its own in the
// table comes along of readable rows alone.
const messageColumns = `
	x.id, x.seq, x.shard, x.topic, coalesce(x.key, ''), x.content_type,
	case when x.verdict = 5 then coalesce(x.source, '') else '' end,
	case when x.verdict = 5 then coalesce(x.destination, '') else '' end,
	case when isfinite(x.deliver_at) then x.deliver_at end,
	x.created_at, coalesce(x.size, 0), coalesce(x.oversized, false), x.finished_at is not null,
	(select version from relay.subscription_version),
	case when x.verdict = 5 then x.headers end,
	case when x.verdict = 5 then x.payload end,
	case when x.verdict = 5 then x.body end`

// outboxFields are the columns of one outbox row that reads need. The length of a text and of a
// bytea is known without reading it from its TOAST table. That of headers is not, where they
// are compressed: effort is what they may come to, by the most that each method compresses
// (pglz 90 to 1, LZ4 255 to 1). What is too large even compressed costs none.
const outboxFields = `
	o.id, o.seq, o.shard, o.topic, o.key, o.content_type, o.source, o.destination, o.deliver_at, o.created_at,
	o.status, o.finished_at, o.headers, o.payload, o.body,
	coalesce(octet_length(o.payload), octet_length(o.body), 0)::bigint as body_size,
	coalesce(octet_length(o.source), 0)::bigint + coalesce(octet_length(o.destination), 0) as target_size,
	coalesce(pg_column_size(o.headers), 0)::bigint as stored,
	case when o.status not in ('pending', 'open') or pg_column_size(o.headers) > 131072 then 0
		else pg_column_size(o.headers)::bigint * case pg_column_compression(o.headers) when 'pglz' then 90 when 'lz4' then 256 else 0 end
	end as effort`

// The sizes of rows, which stand between sizesBegin and sizesEnd. An empty object is no header.
// One statement uncompresses headers that may come to 256 MiB at the most; the size of the
// others stays unknown. The offset keeps the planner from having headers uncompressed for each use of their size.
const (
	sizesBegin = `
	select z.*, z.body_size + z.target_size + z.header_size as size, z.target_size + z.header_size > 131072 as oversized
	from (
		select m.*, case
			when m.stored <= 8 then 0
			when m.effort = 0 then m.stored
			when m.efforts <= 268435456 then pg_column_size(m.headers #> '{}'::text[])
			end as header_size
		from (
			select r.*, sum(r.effort) over (order by r.ord, r.seq) as efforts from (`
	sizesEnd = `
			) r
		) m offset 0
	) z`
)

// Each id is one probe of the primary key, whatever the statistics say. The running total
// of sizes decides which bodies come along.
const readMessages = `
select x.ord, x.verdict,` + messageColumns + `
from (
	select s.*, case
		when s.status <> 'pending' then 1
		when s.deliver_at > clock_timestamp() then 2
		when s.size > $2 or s.oversized then 3
		when s.size is null or s.total > $3 then 4
		else 5 end as verdict
	from (
		select q.*, sum(case when q.status = 'pending' and q.size <= $2 and not q.oversized then q.size else 0 end) over (order by q.size, q.ord) as total
		from (` + sizesBegin + `
			select w.ord, f.*
			from unnest($1::uuid[]) with ordinality as w(id, ord)
			cross join lateral (
				select ` + outboxFields + ` from relay.outbox o where o.id = w.id limit 1
			) f` + sizesEnd + `
		) q
	) s
) x`

// ReadMessages reads pending messages by id. The result has one row for each id, in their
// order; an id without a row is Unseen.
func (s *Store) ReadMessages(ctx context.Context, ids []relay.ID, limits Limits) ([]MessageRow, error) {
	out := make([]MessageRow, len(ids))
	rows, err := s.pool.Query(ctx, readMessages, uuids(ids), limits.MaxPayload, limits.Budget)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	defer rows.Close()
	var ord int64
	var row MessageRow
	for scan := newMessageScan(&row, &ord); rows.Next(); {
		if err := scan.next(rows); err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		out[ord-1] = row
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return out, s.noteMore(ctx, limits, out)
}

// noteMore finds out about messages what few of them have.
func (s *Store) noteMore(ctx context.Context, limits Limits, messages ...[]MessageRow) error {
	if err := s.noteUnordered(ctx, messages...); err != nil || !limits.Words {
		return err
	}
	return s.noteHandled(ctx, messages...)
}

// noteHandled finds out which consumers have handled messages that are pending.
func (s *Store) noteHandled(ctx context.Context, messages ...[]MessageRow) error {
	pending := make(map[relay.ID]*MessageRow)
	for _, rows := range messages {
		for i := range rows {
			if rows[i].Verdict == Readable {
				pending[rows[i].Message.ID] = &rows[i]
			}
		}
	}
	if len(pending) == 0 {
		return nil
	}
	const statement = `
	select a.message_id, a.subscriber from unnest($1::uuid[]) as w(id)
	cross join lateral (select y.message_id, y.subscriber from relay.ack y where y.message_id = w.id and y.handled) a`
	rows, err := s.pool.Query(ctx, statement, uuids(slices.Collect(maps.Keys(pending))))
	if err != nil {
		return fmt.Errorf("look for acknowledgements of pending messages: %w", err)
	}
	var id relay.ID
	var subscriber []byte
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &subscriber}, func() error {
		row := pending[id]
		row.Handled = append(row.Handled, relay.AckSubscriber(subscriber))
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for acknowledgements of pending messages: %w", err)
	}
	return nil
}

// messageScan scans the messages of a result one after the other into the same row, with messageColumns behind first.
type messageScan struct {
	row           *MessageRow
	deliverAt     *time.Time
	payload, body []byte
	into          []any
}

func newMessageScan(row *MessageRow, first ...any) *messageScan {
	s, m := &messageScan{row: row}, &row.Message
	s.into = append(first, &row.Verdict, (*[16]byte)(&m.ID), &m.Seq, &m.Shard, &m.Topic, &m.Key, &m.ContentType,
		&m.Source, &m.Destination, &s.deliverAt, &m.CreatedAt, &row.Size, &row.Oversized, &row.Again, &row.Version, &m.Headers, &s.payload, &s.body)
	return s
}

// next scans the message at which rows stands.
func (s *messageScan) next(rows pgx.Rows) error {
	if err := rows.Scan(s.into...); err != nil {
		return err
	}
	m := &s.row.Message
	m.DeliverAt, m.Body = time.Time{}, s.payload
	if s.deliverAt != nil {
		m.DeliverAt = *s.deliverAt
	}
	if s.body != nil {
		m.Body = s.body
	}
	return nil
}

// noteUnordered finds out which messages that had ended before stand outside the order of their
// keys. There are none as a rule, and nothing is asked then.
func (s *Store) noteUnordered(ctx context.Context, messages ...[]MessageRow) error {
	again := make(map[relay.ID]*MessageRow)
	for _, rows := range messages {
		for i := range rows {
			if row := &rows[i]; row.Again && row.Message.Key != "" {
				again[row.Message.ID] = row
			}
		}
	}
	if len(again) == 0 {
		return nil
	}
	const statement = `select o.id from unnest($1::uuid[]) as o(id) where ` + standsOutside
	rows, err := s.pool.Query(ctx, statement, uuids(slices.Collect(maps.Keys(again))))
	outside, err := collectIDs("look for what stands outside the order", rows, err)
	for _, id := range outside {
		again[id].Unordered = true
	}
	return err
}

// DeliveryRow is one unfinished delivery with its message.
type DeliveryRow struct {
	MessageRow
	Delivery       relay.DeliveryID
	Target         string // empty unless Readable
	Circuit        string // empty unless Readable
	Status         relay.DeliveryStatus
	Attempts       int
	HandleAttempts int
	DueAt          time.Time
	Reason         relay.Reason // why it waits
	Accepted       bool         // the destination has taken it once: it holds its key no more
}

// What was sent before and has a consumer's word that is not applied yet is not due: after a
// change of owner the word may be applied later than the delivery is found.
const readDeliveries = `
select x.ord, case when x.verdict = 5 then x.target else '' end, case when x.verdict = 5 then x.circuit else '' end,
	x.delivery_status::text, x.attempts, x.handle_attempts, x.due_at, coalesce(x.reason, ''), x.delivery_key is null, x.delivered_at is not null, x.verdict,` + messageColumns + `
from (
	select s.*, case
		when s.status <> 'open' or s.delivery_status not in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') then 1
		when s.next_attempt_at > clock_timestamp() or s.told then 2
		when s.size > $4 or s.oversized then 3
		when s.size is null or s.total > $5 then 4
		else 5 end as verdict
	from (
		select q.*, sum(case when q.size <= $4 and not q.oversized then q.size else 0 end) over (order by q.size, q.ord) as total
		from (` + sizesBegin + `
			select w.ord, f.*, (d.status <> 'waiting' or d.attempts > 0) and exists (
				select from relay.ack a where a.message_id = d.message_id and a.subscriber = ` + ackSubscriber + `
					and (a.handled or a.attempt <= d.attempts)
			) as told, d.target, d.circuit, d.status as delivery_status, d.attempts, d.handle_attempts, d.due_at, d.reason, d.next_attempt_at, d.key as delivery_key, d.delivered_at
			from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as w(id, subscription, instance, ord)
			cross join lateral (
				select * from relay.delivery y
				where y.message_id = w.id and y.subscription = w.subscription and y.instance = w.instance limit 1
			) d
			cross join lateral (
				select ` + outboxFields + ` from relay.outbox o where o.id = w.id limit 1
			) f` + sizesEnd + `
		) q
	) s
) x`

// ReadDeliveries reads unfinished deliveries of open messages by their primary keys. The
// result has one row for each, in their order; one without a row is Unseen.
func (s *Store) ReadDeliveries(ctx context.Context, ids []relay.DeliveryID, limits Limits) ([]DeliveryRow, error) {
	out := make([]DeliveryRow, len(ids))
	messages, subscriptions, instances := splitDeliveryIDs(ids)
	rows, err := s.pool.Query(ctx, readDeliveries, messages, subscriptions, instances, limits.MaxPayload, limits.Budget)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	var ord int64
	var row DeliveryRow
	scan := newMessageScan(&row.MessageRow, &ord, &row.Target, &row.Circuit, &row.Status, &row.Attempts, &row.HandleAttempts, &row.DueAt, &row.Reason, &row.Unordered, &row.Accepted)
	for rows.Next() {
		if err := scan.next(rows); err != nil {
			return nil, fmt.Errorf("read deliveries: %w", err)
		}
		row.Delivery = ids[ord-1]
		out[ord-1] = row
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return out, nil
}

func splitDeliveryIDs(ids []relay.DeliveryID) (messages [][16]byte, subscriptions, instances []string) {
	messages = make([][16]byte, len(ids))
	subscriptions = make([]string, len(ids))
	instances = make([]string, len(ids))
	for i, id := range ids {
		messages[i], subscriptions[i], instances[i] = id.Message, id.Subscription, id.Instance
	}
	return messages, subscriptions, instances
}

// uuids gives the ids the type that the driver encodes in binary.
func uuids(ids []relay.ID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
