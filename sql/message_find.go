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
	Status relay.MessageStatus `json:"status,omitempty"`
	// Topic is a topic, or a pattern as AMQP has them: * stands for one word, # for any
	// number of them.
	Topic string `json:"topic,omitempty"`
	Key   string `json:"key,omitempty"`
	// Source is the row's own; that of the relay stands in no row.
	Source string `json:"source,omitempty"`
	// Subscription is a subscriber of the message. Together with the status dead or open, it
	// is the one whose delivery is dead or has not ended; a message that is dead there may
	// be open still, for the sake of others.
	Subscription string `json:"subscription,omitempty"`
	// Cause is a part of the last error, in either case: of the delivery to Subscription, or
	// of the message if that is empty.
	Cause string    `json:"cause,omitempty"`
	Since time.Time `json:"since,omitzero"` // of the insertion
	Until time.Time `json:"until,omitzero"` // of the insertion; excluded
	// ReplayTo is a subscription to which messages are replayed: those with one of the Topics
	// or with its name as their destination, whatever became of them, if they were taken up
	// and not cancelled.
	ReplayTo string   `json:"replay_to,omitempty"`
	Topics   []string `json:"topics,omitempty"` // patterns; for ReplayTo alone
	// AsOf leaves out what a job did not count: what has ended, or has been sent to
	// ReplayTo or Subscription, since then.
	AsOf time.Time `json:"as_of,omitzero"`
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
	// A message has one row for each instance that is dead.
	findDeadThere = `
		select distinct on (d.message_id)` + findColumns + ` from relay.delivery d
		cross join lateral (select * from relay.outbox y where y.id = d.message_id limit 1) x
		where d.subscription = $11 and d.status = 'dead' and d.message_id < $1 order by d.message_id desc limit $2`
	findFewPending = `
		select * from (
			(select` + findColumns + ` from relay.outbox x where x.status = 'pending' and x.key is null and (x.deliver_at is null or x.due) limit $2)
			union all
			(select` + findColumns + ` from relay.outbox x where x.status = 'pending' and x.key is not null and (x.deliver_at is null or x.due) limit $2)
			union all
			(select` + findColumns + ` from relay.outbox x where x.status = 'pending' and x.deliver_at is not null and not x.due limit $2)
		) x where x.id < $1 order by x.id desc limit $2`
	countFewPending = `
	select count(*) from (
		(select from relay.outbox where status = 'pending' and key is null and (deliver_at is null or due) limit $1)
		union all
		(select from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due) limit $1)
		union all
		(select from relay.outbox where status = 'pending' and deliver_at is not null and not due limit $1)
	) x`
)

// The deliveries have the key, and so have their own index the messages that were never
// taken up. Those of the future that share the shard are looked through.
var findKey = fmt.Sprintf(`
	select`+findColumns+` from (
		(select distinct d.message_id as id from relay.delivery d
		where d.key = $6 and d.message_id < $1 order by d.message_id desc limit $2)
		union
		(select distinct d.message_id from relay.delivery d
		where d.search_key = $6 and d.message_id < $1 order by d.message_id desc limit $2)
		union
		(select o.id from relay.outbox o
		where o.status in ('rejected', 'cancelled') and o.key = $6 and o.id < $1 order by o.id desc limit $2)
		union
		(select o.id from relay.outbox o
		where o.status = 'pending' and o.key = $6 and (o.deliver_at is null or o.due) and o.shard = (hashtext($6) & %[1]d)::smallint
			and o.id < $1 order by o.id desc limit $2)
		union
		(select o.id from relay.outbox o
		where o.status = 'pending' and o.key = $6 and o.deliver_at is not null and not o.due and o.shard = (hashtext($6) & %[1]d)::smallint
			and o.id < $1 order by o.id desc limit $2)
		order by id desc limit $2
	) k
	cross join lateral (select * from relay.outbox y where y.id = k.id limit 1) x`, relay.Shards-1)

// judgeMessages says of each message of a source whether it matches, and numbers them.
const judgeMessages = `
select o.*, row_number() over (order by o.id desc) as n,
	($3 = '' or o.status::text = $3 or $3 = 'dead' and $11 <> '' and o.status = 'open')
		and ($4 = '' or o.topic = $4) and ($5 = '' or o.topic ~ $5)
		and ($6 = '' or coalesce(o.key = $6, false)) and ($7 = '' or coalesce(o.source = $7, false))
		and ($8 = '' or $11 <> '' or coalesce(strpos(lower(o.last_error), lower($8)) > 0, false))
		and ($9::timestamptz is null or o.created_at >= $9) and ($10::timestamptz is null or o.created_at < $10)
		and ($11 = '' or exists (
			select from relay.delivery d where d.message_id = o.id and d.subscription = $11
				and case $3
					when 'dead' then d.status = 'dead'
					when 'open' then d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
					else true end
				and ($8 = '' or coalesce(strpos(lower(d.last_error), lower($8)) > 0, false))
				and ($12::timestamptz is null or d.updated_at < $12)
		))
		and ($12::timestamptz is null or $11 <> '' or $13 <> '' or o.finished_at is null or o.finished_at < $12)
		and ($13 = '' or o.status not in ('pending', 'cancelled')
			and coalesce(o.destination = $13 or o.destination is null and o.topic ~ any ($14::text[]), false)
			and not exists (
				select from relay.delivery d where d.message_id = o.id and d.subscription = $13 and d.updated_at >= $12
			)) as matched
from (%s) o`

// findMessages picks what matches from a source. The last row of a whole window comes along
// whether it matches or not: it says where to go on.
const findMessages = `
select s.matched, s.n, s.id, s.created_at, s.status::text, s.topic, coalesce(s.key, ''), coalesce(left(s.source, 255), ''),
	coalesce(left(s.destination, 8000), ''), s.deliver_at, s.finished_at, coalesce(left(s.last_error, 8000), ''), s.outstanding, s.size
from (` + judgeMessages + `) s
where s.matched or s.n = $2
order by s.id desc limit $15`

const countMessages = `
select count(*) filter (where s.matched), (array_agg(s.id) filter (where s.n = $2))[1]
from (` + judgeMessages + `) s`

// FindMessages looks at no more than FindWindow messages whose ids come before the id
// after, and returns at most limit of those that match. A zero id begins with the youngest.
func (s *Store) FindMessages(ctx context.Context, f MessageFilter, after relay.ID, limit int) (MessagePage, error) {
	source, err := s.findSource(ctx, f)
	if err != nil {
		return MessagePage{}, err
	}
	rows, err := s.pool.Query(ctx, fmt.Sprintf(findMessages, source), append(f.arguments(after), limit)...)
	if err != nil {
		return MessagePage{}, fmt.Errorf("look for messages: %w", denial(err))
	}
	return collectPage(rows, limit)
}

// CountMessages counts the messages that match, window by window: it takes as long as
// looking at all messages of the filter's source does, some seconds for a million. Only where
// neither a key is given nor a status that has an index are those all there are.
func (s *Store) CountMessages(ctx context.Context, f MessageFilter) (total int64, err error) {
	for next := (&relay.ID{}); next != nil; {
		source, err := s.findSource(ctx, f)
		if err != nil {
			return total, err
		}
		var n int64
		var last *[16]byte // nil: the window was not whole
		err = s.pool.QueryRow(ctx, fmt.Sprintf(countMessages, source), f.arguments(*next)...).Scan(&n, &last)
		next = (*relay.ID)(last)
		if err != nil {
			return total, fmt.Errorf("count messages: %w", denial(err))
		}
		total += n
	}
	return total, nil
}

// arguments are those of judgeMessages.
func (f MessageFilter) arguments(after relay.ID) []any {
	exact, pattern := f.Topic, ""
	if strings.ContainsAny(f.Topic, "*#") {
		exact, pattern = "", topicExpression(f.Topic)
	}
	topics := make([]string, len(f.Topics))
	for i, t := range f.Topics {
		topics[i] = subscribed(t)
	}
	if after == (relay.ID{}) {
		for i := range after {
			after[i] = 0xff
		}
	}
	return []any{[16]byte(after), FindWindow, string(f.Status), exact, pattern, f.Key, f.Source, f.Cause,
		timeOrNil(f.Since), timeOrNil(f.Until), f.Subscription, timeOrNil(f.AsOf), f.ReplayTo, topics}
}

// findSource returns the walk that suits a filter.
func (s *Store) findSource(ctx context.Context, f MessageFilter) (string, error) {
	switch {
	case f.Key != "":
		return findKey, nil
	case f.Status == relay.MessageDead && f.Subscription != "":
		return findDeadThere, nil
	case f.Status == relay.MessageOpen, f.Status == relay.MessageDead, f.Status == relay.MessageRejected:
		return fmt.Sprintf(findUnfinished, f.Status), nil
	case f.Status == relay.MessagePending:
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

// subscribed is the expression of a subscription's pattern: relay.TopicDead is matched only by
// one whose first word is literally its own.
func subscribed(pattern string) string {
	first, _, _ := strings.Cut(pattern, ".")
	if strings.HasPrefix(relay.TopicDead, first+".") {
		return topicExpression(pattern)
	}
	return "^(?!" + regexp.QuoteMeta(relay.TopicDead) + "$)" + strings.TrimPrefix(topicExpression(pattern), "^")
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
