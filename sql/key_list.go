package sql

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"relay"
)

// KeyWaitLimit bounds the count of what waits behind the head of one key.
const KeyWaitLimit = 10_000

// HeldKey is a key that waits at one subscriber and instance, and the head that holds it.
type HeldKey struct {
	Subscription string
	Instance     string // as stored: it may hold a password
	Key          string
	Message      relay.ID // the head
	Status       relay.DeliveryStatus
	Reason       string     // why the head waits; empty: it was tried
	Since        time.Time  // when the head died, or was due first
	NextAttempt  *time.Time // of the head; nil: none by a time
	Error        string     // the head's last one
	Cause        relay.Cause
	Attempts     int // of the head
	Waiting      int // deliveries behind the head, up to KeyWaitLimit
}

// A line is held by the first delivery that was not accepted, or that died where the
// subscription blocks. Both are found by skip scans, however many wait.
const (
	headOfLine = `
	select x.* from (
		(select * from relay.delivery y
		where y.key is not null and y.subscription = l.subscription and y.instance = l.instance and y.key = l.key
			and y.status in ('waiting', 'push_failed', 'handle_failed') and y.delivered_at is null
		order by y.seq limit 1)
		union all
		(select * from relay.delivery y
		where l.blocks and y.key is not null and y.subscription = l.subscription and y.instance = l.instance and y.key = l.key
			and y.status = 'dead' and y.delivered_at is null
		order by y.seq limit 1)
	) x order by x.seq limit 1`

	subscribers = `
	select s.name, s.on_dead = 'block' as blocks from relay.subscription s where $1 = '' or s.name = $1
	union all
	select x, false from unnest(array['direct', 'default']) x where $1 = '' or x = $1`

	// subscribersAfter selects those that come after the given subscription, instance and key, if any.
	subscribersAfter = `
	select m.name, m.blocks, case when m.name = $4 then $5 else '' end as instance, case when m.name = $4 then $6 else '' end as key
	from (` + subscribers + `) m where m.name >= $4`

	heldKeys = `
	select l.subscription, l.instance, l.key, h.message_id, h.status::text, coalesce(h.reason, ''),
		case when h.status = 'dead' then h.updated_at else h.due_at end, h.next_attempt_at, coalesce(h.last_error, ''), coalesce(h.cause, ''), h.attempts, b.n
	from (
		select n.name as subscription, n.blocks, k.instance, k.key
		from (` + subscribersAfter + `) n
		cross join lateral (
			(with recursive k as (
				(select d.instance, d.key from relay.delivery d
				where d.key is not null and d.subscription = n.name and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null
					and (d.instance, d.key) > (n.instance, n.key)
				order by d.instance, d.key limit 1)
				union all
				select x.* from k cross join lateral (
					select d.instance, d.key from relay.delivery d
					where d.key is not null and d.subscription = n.name and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null
						and (d.instance, d.key) > (k.instance, k.key)
					order by d.instance, d.key limit 1
				) x
			) select * from k limit $2)
			union
			(with recursive k as (
				(select d.instance, d.key from relay.delivery d
				where n.blocks and d.key is not null and d.subscription = n.name and d.status = 'dead' and d.delivered_at is null
					and (d.instance, d.key) > (n.instance, n.key)
				order by d.instance, d.key limit 1)
				union all
				select x.* from k cross join lateral (
					select d.instance, d.key from relay.delivery d
					where d.key is not null and d.subscription = n.name and d.status = 'dead' and d.delivered_at is null
						and (d.instance, d.key) > (k.instance, k.key)
					order by d.instance, d.key limit 1
				) x
			) select * from k limit $2)
			order by 1, 2 limit $2
		) k
		order by 1, 3, 4 limit $2
	) l
	cross join lateral (` + headOfLine + `) h
	cross join lateral (
		select count(*)::int as n from (
			select from relay.delivery y
			where y.key is not null and y.subscription = l.subscription and y.instance = l.instance and y.key = l.key
				and y.status in ('waiting', 'push_failed', 'handle_failed') and y.delivered_at is null and y.seq > h.seq
			limit $3
		) z
	) b
	order by 1, 2, 3`
)

// KeyPage is a part of the list of keys that wait.
type KeyPage struct {
	Keys []HeldKey
	Next Cursor // where it goes on; empty: there is nothing more
}

// HeldKeys lists the keys that wait at a subscription, or at any if the name is empty, at
// most limit of them after a cursor that an earlier page returned, by subscription, instance and key.
func (s *Store) HeldKeys(ctx context.Context, subscription string, after Cursor, limit int) (page KeyPage, err error) {
	at, err := s.keyAfter(ctx, after)
	if err != nil {
		return page, err
	}
	rows, err := s.pool.Query(ctx, heldKeys, subscription, limit+1, KeyWaitLimit, at.Subscription, at.Instance, at.Key)
	if err != nil {
		return page, fmt.Errorf("list keys: %w", denial(err))
	}
	page.Keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k HeldKey, err error) {
		err = row.Scan(&k.Subscription, &k.Instance, &k.Key, (*[16]byte)(&k.Message), &k.Status, &k.Reason,
			&k.Since, &k.NextAttempt, &k.Error, &k.Cause, &k.Attempts, &k.Waiting)
		return k, err
	})
	if err != nil {
		return page, fmt.Errorf("list keys: %w", denial(err))
	}
	if len(page.Keys) > limit {
		page.Keys = page.Keys[:limit]
		page.Next = page.Keys[limit-1].cursor()
	}
	return page, nil
}

// cursor names the head of the key, of whose instance it holds no more than a few bits of a digest: an instance may
// hold a password.
func (k HeldKey) cursor() Cursor {
	digest := md5.Sum([]byte(k.Instance))
	b := append([]byte{'k'}, k.Message[:]...)
	b = append(append(b, digest[:4]...), k.Subscription...)
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

const keyOfCursor = `
select d.instance, coalesce(d.key, '') from relay.delivery d
where d.message_id = $1 and d.subscription = $2 and left(md5(d.instance), 8) = $3 order by d.instance limit 1`

// line is a key at one subscriber and instance: what is sent in order.
type line struct {
	Subscription string
	Instance     string
	Key          string
}

// keyAfter reads the key that a cursor names. Its message may have been removed meanwhile.
func (s *Store) keyAfter(ctx context.Context, c Cursor) (k line, err error) {
	if c == "" {
		return k, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil || len(b) < 22 || b[0] != 'k' || !utf8.Valid(b[21:]) {
		return k, fmt.Errorf("%w: begin again without it", ErrCursor)
	}
	k.Subscription = string(b[21:])
	err = s.pool.QueryRow(ctx, keyOfCursor, [16]byte(b[1:17]), k.Subscription, hex.EncodeToString(b[17:21])).Scan(&k.Instance, &k.Key)
	if errors.Is(err, pgx.ErrNoRows) {
		return k, fmt.Errorf("%w: the message that it names is gone; begin again without it", ErrCursor)
	}
	if err != nil {
		return k, fmt.Errorf("list keys: %w", denial(err))
	}
	return k, nil
}
