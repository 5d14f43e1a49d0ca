package sql

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// FindWindow is how many messages one call of FindMessages looks at, at most. A filter that
// matches next to nothing in a large table costs no more than that.
const FindWindow = 100_000

// fewPending is up to how many pending messages are found through their own indexes, which
// do not have them in the order of ids.
const fewPending = 20_000

// MessageFilter says which messages are looked for. An empty field matches all.
type MessageFilter struct {
	Status relay.MessageStatus
	// Topic is a topic, or a pattern as AMQP has them: * stands for one word, # for any
	// number of them.
	Topic string
	Key   string
	// Source is the row's own; that of the relay stands in no row.
	Source string
	// Subscription is a subscriber of the message. Together with the status dead or open, it
	// is the one whose delivery is dead or has not ended.
	Subscription string
	Cause        string    // a part of the message's last error, in either case
	Since, Until time.Time // of the insertion; Until is excluded
}

// MessageSummary is what a list shows of a message.
type MessageSummary struct {
	ID          relay.ID
	CreatedAt   time.Time
	Status      relay.MessageStatus
	Topic       string
	Key         string     // empty: none
	Source      string     // empty: none of its own
	Destination string     // as stored: it may hold a password; empty: none of its own
	DeliverAt   *time.Time // nil: at once
	FinishedAt  *time.Time // nil: it has never ended
	Error       string     // empty: none
	Outstanding int        // deliveries that have not ended
	Size        int64      // bytes of payload or body
}

// MessagePage is a part of what was looked for, the youngest id first.
type MessagePage struct {
	Messages []MessageSummary
	// More says that there may be more messages, after the id Next.
	More bool
	Next relay.ID
}

// The sources of a search: each is one walk along an index, bounded by a window.
const (
	findColumns = `
		x.id, x.created_at, x.status, x.topic, x.key, x.source, x.destination, x.deliver_at, x.finished_at, x.last_error,
		x.outstanding, coalesce(octet_length(x.payload), octet_length(x.body), 0)::bigint as size`
	findAll = `
		select` + findColumns + ` from relay.outbox x
		where x.id < $1 order by x.id desc limit $2`
	findUnfinished = `
		select` + findColumns + ` from relay.outbox x
		where x.status = '%s' and x.id < $1 order by x.id desc limit $2`
	findFewPending = `
		select * from (
			(select` + findColumns + ` from relay.outbox x where x.status = 'pending' and x.key is null and x.deliver_at is null limit $2)
			union all
			(select` + findColumns + ` from relay.outbox x where x.status = 'pending' and x.key is not null and x.deliver_at is null limit $2)
			union all
			(select` + findColumns + ` from relay.outbox x where x.status = 'pending' and x.deliver_at is not null limit $2)
		) x where x.id < $1 order by x.id desc limit $2`
	// The deliveries have the key, and so have their own index the messages that were never
	// taken up. Those of the future that share the shard are looked through.
	findKey = `
		select` + findColumns + ` from (
			(select distinct d.message_id as id from relay.delivery d
			where d.key = $7 and d.message_id < $1 order by d.message_id desc limit $2)
			union
			(select o.id from relay.outbox o
			where o.status in ('rejected', 'cancelled') and o.key = $7 and o.id < $1 order by o.id desc limit $2)
			union
			(select o.id from relay.outbox o
			where o.status = 'pending' and o.key = $7 and o.deliver_at is null and o.shard = (hashtext($7) & 63)::smallint
				and o.id < $1 order by o.id desc limit $2)
			union
			(select o.id from relay.outbox o
			where o.status = 'pending' and o.key = $7 and o.deliver_at is not null and o.shard = (hashtext($7) & 63)::smallint
				and o.id < $1 order by o.id desc limit $2)
			order by id desc limit $2
		) k
		cross join lateral (select * from relay.outbox y where y.id = k.id limit 1) x`
	countFewPending = `
	select count(*) from (
		(select from relay.outbox where status = 'pending' and key is null and deliver_at is null limit $1)
		union all
		(select from relay.outbox where status = 'pending' and key is not null and deliver_at is null limit $1)
		union all
		(select from relay.outbox where status = 'pending' and deliver_at is not null limit $1)
	) x`
)

// findMessages picks what matches from a source. The last row of a whole window comes along
// whether it matches or not: it says where to go on.
const findMessages = `
select s.matched, s.n, s.id, s.created_at, s.status::text, s.topic, coalesce(s.key, ''), coalesce(s.source, ''),
	coalesce(s.destination, ''), s.deliver_at, s.finished_at, coalesce(s.last_error, ''), s.outstanding, s.size
from (
	select o.*, row_number() over (order by o.id desc) as n,
		($4 = '' or o.status::text = $4) and ($5 = '' or o.topic = $5) and ($6 = '' or o.topic ~ $6)
			and ($7 = '' or coalesce(o.key = $7, false)) and ($8 = '' or coalesce(o.source = $8, false))
			and ($9 = '' or coalesce(strpos(lower(o.last_error), lower($9)) > 0, false))
			and ($10::timestamptz is null or o.created_at >= $10) and ($11::timestamptz is null or o.created_at < $11)
			and ($12 = '' or exists (
				select from relay.delivery d where d.message_id = o.id and d.subscription = $12
					and case $4
						when 'dead' then d.status = 'dead'
						when 'open' then d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
						else true end
			)) as matched
	from (%s) o
) s
where s.matched or s.n = $2
order by s.id desc limit $3`

// FindMessages looks at no more than FindWindow messages whose ids come before the id
// after, and returns at most limit of those that match. A zero id begins with the youngest.
func (s *Store) FindMessages(ctx context.Context, f MessageFilter, after relay.ID, limit int) (MessagePage, error) {
	source, err := s.findSource(ctx, f)
	if err != nil {
		return MessagePage{}, err
	}
	exact, pattern := f.Topic, ""
	if strings.ContainsAny(f.Topic, "*#") {
		exact, pattern = "", topicExpression(f.Topic)
	}
	if after == (relay.ID{}) {
		for i := range after {
			after[i] = 0xff
		}
	}
	rows, err := s.pool.Query(ctx, fmt.Sprintf(findMessages, source), [16]byte(after), FindWindow, limit, string(f.Status), exact, pattern,
		f.Key, f.Source, f.Cause, timeOrNil(f.Since), timeOrNil(f.Until), f.Subscription)
	if err != nil {
		return MessagePage{}, fmt.Errorf("look for messages: %w", denial(err))
	}
	return collectPage(rows, limit)
}

// findSource returns the walk that suits a filter.
func (s *Store) findSource(ctx context.Context, f MessageFilter) (string, error) {
	if f.Key != "" {
		return findKey, nil
	}
	switch f.Status {
	case relay.MessageOpen, relay.MessageDead, relay.MessageRejected:
		return fmt.Sprintf(findUnfinished, f.Status), nil
	case relay.MessagePending:
		var n int
		if err := s.pool.QueryRow(ctx, countFewPending, fewPending+1).Scan(&n); err != nil {
			return "", fmt.Errorf("look for messages: %w", denial(err))
		}
		if n <= fewPending {
			return findFewPending, nil
		}
	}
	return findAll, nil
}

// collectPage reads a page and where it ends.
func collectPage(rows pgx.Rows, limit int) (page MessagePage, err error) {
	defer rows.Close()
	read := 0
	for rows.Next() {
		var m MessageSummary
		var matched bool
		var n int
		err := rows.Scan(&matched, &n, (*[16]byte)(&m.ID), &m.CreatedAt, &m.Status, &m.Topic, &m.Key, &m.Source,
			&m.Destination, &m.DeliverAt, &m.FinishedAt, &m.Error, &m.Outstanding, &m.Size)
		if err != nil {
			return page, fmt.Errorf("look for messages: %w", err)
		}
		if matched {
			page.Messages = append(page.Messages, m)
		}
		if read++; read == limit || n == FindWindow {
			page.More, page.Next = true, m.ID
		}
	}
	if err := rows.Err(); err != nil {
		return page, fmt.Errorf("look for messages: %w", denial(err))
	}
	return page, nil
}

// topicExpression turns a topic pattern of AMQP into a regular expression of PostgreSQL.
func topicExpression(pattern string) string {
	var b strings.Builder
	b.WriteString("^")
	dot, last := "", ""
	for word := range strings.SplitSeq(pattern, ".") {
		switch {
		case word == "#" && last == "#":
			continue
		case word == "#" && dot == "":
			b.WriteString(`([^.]*(\.|$))*`)
		case word == "#":
			b.WriteString(`(\.[^.]*)*`)
		case word == "*":
			b.WriteString(dot + `[^.]*`)
		default:
			b.WriteString(dot + regexp.QuoteMeta(word))
		}
		if last = word; word != "#" || dot != "" {
			dot = `\.`
		}
	}
	b.WriteString("$")
	return b.String()
}

// timeOrNil makes a zero time none.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
