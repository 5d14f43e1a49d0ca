package sql

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

const (
	// FindWindow is how many messages one statement of a search looks at, at most.
	FindWindow = 20_000
	// firstWindow is what the first statement of a search looks at, at most: four times the page that is wanted. Each one
	// after it takes four times as many, as far as the time allows.
	firstWindow = 1000
	leastWindow = 100
	// SearchTime is how long a search goes on that does not find a whole page.
	SearchTime = 150 * time.Millisecond
)

// MessageSummary is what a list shows of a message.
type MessageSummary struct {
	ID          relay.ID
	Seq         int64
	CreatedAt   time.Time
	Status      relay.MessageStatus
	Topic       string
	Key         string      // empty: none
	Source      string      // empty: none of its own
	Destination string      // as stored: it may hold a password; empty: none of its own
	DeliverAt   *time.Time  // nil: at once
	FinishedAt  *time.Time  // nil: it has never ended
	Error       string      // empty: none
	Cause       relay.Cause // of a rejected message, or, from ListMessages, of its worst delivery
	Outstanding int         // deliveries that have not ended
	Size        int64       // bytes of payload or body
	// Deliveries counts the deliveries by status, and Attempts those of all. ListMessages fills both.
	Deliveries []StatusCount
	Attempts   int
}

// MessagePage is a part of what was looked for, the youngest first.
type MessagePage struct {
	Messages []MessageSummary
	// Next is where the list goes on. Empty: there is nothing more.
	Next Cursor
	// Complete says that the page is full, or that all there is was looked at. If not, the
	// time was over after at least Looked messages, back to those inserted at SearchedTo; Next goes on from there.
	Complete   bool
	SearchedTo time.Time // zero: nothing was looked at
	Looked     int64
}

// judgeMessages says of each message of a source whether it matches, and numbers them.
const judgeMessages = `
select o.*, row_number() over (order by %s) as n, coalesce(
	$1::timestamptz is not null and $2::bigint is not null and $3::uuid is not null
		and o.created_at >= $5 and ($21::timestamptz is null or o.created_at < $21)
		and (cardinality($22::uuid[]) = 0 or o.id = any ($22))
		and (cardinality($6::text[]) = 0 or o.status::text = any ($6) or 'dead' = any ($6) and $12 <> '' and o.status = 'open')
		and ($7 = '' or o.topic = $7) and ($8 = '' or o.topic ~ $8)
		and ($9 = '' or o.key = $9) and ($10 = '' or o.source = $10)
		and ($11 = '' or $12 <> '' or strpos(lower(o.last_error), lower($11)) > 0)
		and (
			$12 = '' and cardinality($13::text[]) = 0 and cardinality($14::text[]) = 0 and $19::timestamptz is null and $20::timestamptz is null
			or $12 = '' and cardinality($14::text[]) = 0 and (cardinality($13::text[]) = 0 or o.cause = any ($13))
				and ($19::timestamptz is null or o.finished_at >= $19) and ($20::timestamptz is null or o.finished_at < $20)
			or exists (
				select from relay.delivery d where d.message_id = o.id and ($12 = '' or d.subscription = $12)
					and ($12 = '' or cardinality($6::text[]) = 0
						or 'dead' = any ($6) and d.status = 'dead'
						or 'open' = any ($6) and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
						or o.status not in ('dead', 'open'))
					and (cardinality($14::text[]) = 0 or d.status::text = any ($14))
					and (cardinality($13::text[]) = 0 or d.cause = any ($13))
					and ($11 = '' or $12 = '' or strpos(lower(d.last_error), lower($11)) > 0)
					and ($15::timestamptz is null or $12 = '' or d.updated_at < $15)
					and ($19::timestamptz is null or d.updated_at >= $19) and ($20::timestamptz is null or d.updated_at < $20)
				offset 0
			)
		)
		and ($15::timestamptz is null or $12 <> '' or $16 <> '' or o.finished_at is null or o.finished_at < $15)
		and ($16 = '' or o.status not in ('pending', 'cancelled')
			and coalesce(o.destination = $16 or o.destination is null and o.topic ~ any ($17::text[]), false)
			and not exists (
				select from relay.delivery d where d.message_id = o.id and d.subscription = $16 and d.updated_at >= $15 offset 0
			))
		and ($18 = '' or strpos(lower(o.last_error), lower($18)) > 0 or exists (
			select from relay.outbox p where p.id = o.id and octet_length(p.payload) <= $23 and strpos(lower(p.payload), lower($18)) > 0 offset 0
		)), false) as matched
from (%s) o`

// findMessages picks what matches from a source. The last row of a whole window comes along
// whether it matches or not: it says where to go on.
const findMessages = `
select s.matched, s.n, s.place_seq, s.place_id, coalesce(s.created_at, 'infinity'), coalesce(s.status::text, ''), coalesce(s.topic, ''),
	coalesce(s.key, ''), coalesce(left(s.source, 255), ''), coalesce(left(s.destination, 8000), ''), s.deliver_at, s.finished_at,
	coalesce(left(s.last_error, 8000), ''), coalesce(s.cause, ''), coalesce(s.outstanding, 0), coalesce(s.size, 0)
from (%s) s
where s.matched or s.n = $4
order by s.n limit $24`

// judged is the statement that judges the messages of a source.
func (s source) judged() string {
	order := "o.created_at desc, o.own_seq desc"
	if s.walk == bySeq {
		order = "o.place_seq desc, o.place_id desc"
	}
	return fmt.Sprintf(judgeMessages, order, s.sql)
}

// found is the statement that finds messages in a source, counted the one that counts them.
func (s source) found() string   { return fmt.Sprintf(findMessages, s.judged()) }
func (s source) counted() string { return fmt.Sprintf(countMessages, s.judged()) }

// FindMessages returns at most limit of the messages that match, in the order of their
// insertion, the youngest first, from a cursor that an earlier page returned. A search that has not
// filled its page after SearchTime returns what it has, also if it had to wait for another one (Console). A cursor of
// another list is ErrCursor.
func (s *Store) FindMessages(ctx context.Context, f MessageFilter, after Cursor, limit int) (MessagePage, error) {
	return s.search(ctx, f, after, limit, SearchTime)
}

// search is FindMessages that goes on for a time.
func (s *Store) search(ctx context.Context, f MessageFilter, after Cursor, limit int, most time.Duration) (page MessagePage, err error) {
	from, err := s.source(ctx, f)
	if err != nil {
		return page, err
	}
	at, err := from.begin(f, after)
	if err != nil {
		return page, err
	}
	pace := newPace(most, 4*limit)
	for n := 0; ; n++ {
		if n == 1 {
			end, may := s.goOn(ctx, pace)
			if !may {
				return page, ctx.Err()
			}
			defer end()
		}
		window := pace.next()
		rows, err := s.pool.Query(ctx, from.found(), append(f.arguments(at, window), limit-len(page.Messages))...)
		if err != nil {
			return page, fmt.Errorf("look for messages: %w", denial(err))
		}
		looked, more, err := page.collect(rows, window, limit, &at)
		if err != nil {
			return page, err
		}
		page.Looked += int64(looked)
		page.Complete = len(page.Messages) >= limit || !more
		if page.Next = ""; more {
			page.Next = from.walk.at(at)
		}
		if page.Complete || pace.over() {
			return page, nil
		}
	}
}

// goOn waits until a search may go on after its first window, as far as its time allows, and returns what ends it.
func (s *Store) goOn(ctx context.Context, p *pace) (end func(), may bool) {
	if s.long == nil {
		return func() {}, true
	}
	if p.most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, p.began.Add(p.most))
		defer cancel()
	}
	select {
	case s.long <- struct{}{}:
		return func() { <-s.long }, true
	case <-ctx.Done():
		return nil, false
	}
}

// begin is the place from which a source is walked through.
func (s source) begin(f MessageFilter, after Cursor) (position, error) {
	at, err := s.walk.from(after)
	if s.walk == byTime && !f.Until.IsZero() && f.Until.Before(at.created) {
		at = position{created: f.Until, seq: math.MinInt64}
	}
	return at, err
}

// collect reads what one statement has found in a window, and where it has come to. more says that there may be
// more behind.
func (p *MessagePage) collect(rows pgx.Rows, window, limit int, at *position) (looked int, more bool, err error) {
	defer rows.Close()
	for rows.Next() {
		var m MessageSummary
		var matched bool
		err := rows.Scan(&matched, &looked, &m.Seq, (*[16]byte)(&m.ID), &m.CreatedAt, &m.Status, &m.Topic, &m.Key, &m.Source,
			&m.Destination, &m.DeliverAt, &m.FinishedAt, &m.Error, &m.Cause, &m.Outstanding, &m.Size)
		if err != nil {
			return looked, false, fmt.Errorf("look for messages: %w", err)
		}
		*at = position{created: m.CreatedAt, seq: m.Seq, id: m.ID}
		if m.Status != "" {
			p.SearchedTo = m.CreatedAt
		}
		if matched {
			p.Messages = append(p.Messages, m)
		}
		more = looked == window || len(p.Messages) == limit
	}
	if err := rows.Err(); err != nil {
		return looked, false, fmt.Errorf("look for messages: %w", denial(err))
	}
	return looked, more, nil
}

// pace says how many messages the next statement of a search may look at, so that the search ends in time.
type pace struct {
	most    time.Duration // zero: it has all the time
	began   time.Time
	started time.Time // of the last statement
	first   int
	window  int // the last one; zero: there was none
}

func newPace(most time.Duration, first int) *pace {
	return &pace{most: most, began: time.Now(), first: min(max(first, leastWindow), firstWindow)}
}

// next is the next window: four times the last one, as far as the time that is left is enough at the
// rate of the last one.
func (p *pace) next() int {
	now := time.Now()
	switch took := now.Sub(p.started); {
	case p.window == 0:
		p.window = p.first
	case p.most == 0:
		p.window = FindWindow
	default:
		left := float64(p.most - now.Sub(p.began))
		p.window = max(min(4*p.window, FindWindow, int(float64(p.window)*left/float64(max(took, 1)))), leastWindow)
	}
	p.started = now
	return p.window
}

// over reports whether the time is over.
func (p *pace) over() bool { return p.most > 0 && time.Since(p.began) >= p.most }
