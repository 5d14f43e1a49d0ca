package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Key names an ordering key and where its pending messages are read from.
type Key struct {
	Shard int16
	Key   string
	After int64 // the sequence after which they are read; zero: from the lowest
	Most  int   // how many are read; used by ReadKeys alone
	// Taken are sequences after After that are not read although their messages are pending, because
	// they are under way.
	Taken []int64
}

// pastDue tells of a key whether a delayed message of it is due that ReleaseDue has not made an ordinary one yet.
const pastDue = `
	coalesce((
		select true from relay.outbox o
		where o.status = 'pending' and o.key is not null and o.deliver_at is not null and not o.due
			and o.key = w.key and o.deliver_at <= statement_timestamp()
		order by o.deliver_at limit 1
	), false)`

// Within a key the order of insertion decides which bodies fit, so that what does not fit is followed by nothing
// that does.
const readKeys = `
select x.ord, x.late, x.verdict,` + messageColumns + `
from (
	select s.*, case when s.size > $5 or s.oversized then 3 when s.size is null or s.total > $6 then 4 else 5 end as verdict
	from (
		select q.*, sum(case when q.size <= $5 and not q.oversized then q.size else 0 end) over (order by q.ord, q.seq) as total
		from (` + sizesBegin + `
			select w.ord, w.late, f.*
			from (
				select w.*, ` + pastDue + ` as late
				from unnest($1::smallint[], $2::text[], $3::bigint[], $4::int[]) with ordinality as w(shard, key, after, most, ord)
			) w
			cross join lateral (
				select ` + outboxFields + ` from relay.outbox o
				where o.status = 'pending' and o.key is not null and (o.deliver_at is null or o.due)
					and o.shard = w.shard and o.key = w.key and o.seq > w.after and o.seq <> all ($7::bigint[])
				order by o.seq limit w.most
			) f` + sizesEnd + `
		) q
	) s
) x
order by x.ord, x.seq`

// ReadKeys reads the lowest pending messages of each key, at most its Most of each, in
// order: one slice for each key. Delayed ones are among them once ReleaseDue has made them ordinary ones; a row says if
// there are others of its key whose time has come.
func (s *Store) ReadKeys(ctx context.Context, keys []Key, limits Limits) ([][]MessageRow, error) {
	shards, names := make([]int16, len(keys)), make([]string, len(keys))
	after, most, taken := make([]int64, len(keys)), make([]int32, len(keys)), []int64{}
	for i, k := range keys {
		shards[i], names[i], after[i], most[i] = k.Shard, k.Key, k.After, int32(k.Most)
		taken = append(taken, k.Taken...)
	}
	rows, err := s.pool.Query(ctx, readKeys, shards, names, after, most, limits.MaxPayload, limits.Budget, taken)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	out := make([][]MessageRow, len(keys))
	for rows.Next() {
		var ord int64
		var row MessageRow
		if err := scanMessage(rows, &row, &ord, &row.Late); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		out[ord-1] = append(out[ord-1], row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return out, s.noteUnordered(ctx, out...)
}

// A skip scan: from each key straight to the next, however many messages it has.
const sweepKeys = `
select s.shard, k.key
from unnest($1::smallint[]) as s(shard)
cross join lateral (
	with recursive k as (
		(select o.key from relay.outbox o
		where o.status = 'pending' and o.key is not null and (o.deliver_at is null or o.due) and o.shard = s.shard
			and o.key > case when s.shard = $2::smallint then $3::text else '' end
		order by o.key limit 1)
		union all
		select n.key from k cross join lateral (
			select o.key from relay.outbox o
			where o.status = 'pending' and o.key is not null and (o.deliver_at is null or o.due) and o.shard = s.shard and o.key > k.key
			order by o.key limit 1
		) n
	)
	select key from k limit $4
) k
limit $4`

// SweepKeys finds keys with pending messages after a position, at most limit of them, in
// order.
func (s *Store) SweepKeys(ctx context.Context, shards []int16, after Position, limit int) ([]Key, error) {
	rows, err := s.pool.Query(ctx, sweepKeys, shardsFrom(shards, after.Shard), after.Shard, after.Key, limit)
	if err != nil {
		return nil, fmt.Errorf("sweep keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Key, err error) {
		err = row.Scan(&k.Shard, &k.Key)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("sweep keys: %w", err)
	}
	return keys, nil
}

// shardsFrom returns the shards from first on; the argument is in ascending order.
func shardsFrom(shards []int16, first int16) []int16 {
	out := make([]int16, 0, len(shards))
	for _, shard := range shards {
		if shard >= first {
			out = append(out, shard)
		}
	}
	return out
}

// Line is a key at one subscriber and instance: what is sent in order.
type Line struct {
	Subscription string
	Instance     string
	Key          string
}

func splitLines(lines []Line) (subscriptions, instances, keys []string) {
	subscriptions, instances, keys = make([]string, len(lines)), make([]string, len(lines)), make([]string, len(lines))
	for i, l := range lines {
		subscriptions[i], instances[i], keys[i] = l.Subscription, l.Instance, l.Key
	}
	return subscriptions, instances, keys
}

// LineState is what the table says about a line.
type LineState struct {
	// First is the lowest sequence of a delivery of the line that has neither been accepted
	// nor ended. Zero: there is none.
	First int64
	// Dead says that a delivery of the line is dead, which matters where the subscription
	// says that it blocks.
	Dead bool
}

const lineStates = `
select coalesce((
		select d.seq from relay.delivery d
		where d.key is not null and d.subscription = w.subscription and d.instance = w.instance and d.key = w.key
			and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null
		order by d.seq limit 1
	), 0), exists (
		select from relay.delivery d
		where d.key is not null and d.subscription = w.subscription and d.instance = w.instance and d.key = w.key
			and d.status = 'dead' and d.delivered_at is null
	)
from unnest($1::text[], $2::text[], $3::text[]) with ordinality as w(subscription, instance, key, n)
order by w.n`

// LineStates says for each line whether something of it stands in the table.
func (s *Store) LineStates(ctx context.Context, lines []Line) ([]LineState, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	subscriptions, instances, keys := splitLines(lines)
	rows, err := s.pool.Query(ctx, lineStates, subscriptions, instances, keys)
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l LineState, err error) {
		err = row.Scan(&l.First, &l.Dead)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	return states, nil
}

// Head is one of the first deliveries of a line that stand in the table.
type Head struct {
	ID      DeliveryID
	Key     string
	Seq     int64
	Blocked bool // it waits for its key; otherwise it has a time or a circuit of its own
	Dead    bool // an earlier delivery of its line is dead
	// Earlier says that a message of its key with a lower sequence is pending: a crash kept
	// it from being taken up before this one, it has become due since, or it is under way to
	// other subscribers. It also says that one has just become due whose place is not known yet.
	Earlier bool
}

const lineHeads = `
select d.message_id, d.subscription, d.instance, d.key, d.seq, coalesce(d.reason = 'key_blocked', false), exists (
	select from relay.delivery x
	where x.key is not null and x.subscription = d.subscription and x.instance = d.instance and x.key = d.key and x.status = 'dead' and x.delivered_at is null and x.seq < d.seq
), exists (
	select from relay.outbox o
	where o.status = 'pending' and o.key is not null and (o.deliver_at is null or o.due)
		and o.shard = d.shard and o.key = d.key and o.seq < d.seq
) or ` + pastDue + `
from unnest($1::text[], $2::text[], $3::text[]) with ordinality as w(subscription, instance, key, n)
cross join lateral (
	select * from relay.delivery y
	where y.key is not null and y.subscription = w.subscription and y.instance = w.instance and y.key = w.key
		and y.status in ('waiting', 'push_failed', 'handle_failed') and y.delivered_at is null
	order by y.seq limit $4
) d
order by w.n, d.seq`

// LineHeads returns the first deliveries of each line, at most most of each, in order.
func (s *Store) LineHeads(ctx context.Context, lines []Line, most int) ([]Head, error) {
	subscriptions, instances, keys := splitLines(lines)
	rows, err := s.pool.Query(ctx, lineHeads, subscriptions, instances, keys, most)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	heads, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h Head, err error) {
		err = row.Scan((*[16]byte)(&h.ID.Message), &h.ID.Subscription, &h.ID.Instance, &h.Key, &h.Seq, &h.Blocked, &h.Dead, &h.Earlier)
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	return heads, nil
}

const freeLines = `
with free as materialized (
	select d.* from unnest($1::text[], $2::text[], $3::text[]) as w(subscription, instance, key)
	cross join lateral (
		select y.message_id, y.subscription, y.instance from relay.delivery y
		where y.key is not null and y.subscription = w.subscription and y.instance = w.instance and y.key = w.key
			and y.status in ('waiting', 'push_failed', 'handle_failed') and y.delivered_at is null
			and y.reason = 'key_blocked'
		order by y.seq limit $4 for update skip locked
	) d
)
update relay.delivery d set reason = null, next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
from free f
where d.message_id = f.message_id and d.subscription = f.subscription and d.instance = f.instance`

// FreeLines makes those deliveries of the lines due that wait for their key, at most most of
// each, and returns how many they were.
func (s *Store) FreeLines(ctx context.Context, lines []Line, most int) (n int64, err error) {
	subscriptions, instances, keys := splitLines(lines)
	tag, err := s.changes.Exec(ctx, freeLines, subscriptions, instances, keys, most)
	if err != nil {
		return 0, fmt.Errorf("free what waits for its key: %w", err)
	}
	return tag.RowsAffected(), nil
}

const unfinishedLines = `
with recursive line as (
	(select d.subscription, d.instance, d.key from relay.delivery d
	where d.key is not null and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null
		and (d.subscription, d.instance, d.key) > ($1, $2, $3)
	order by d.subscription, d.instance, d.key limit 1)
	union all
	select n.* from line l cross join lateral (
		select d.subscription, d.instance, d.key from relay.delivery d
		where d.key is not null and d.status in ('waiting', 'push_failed', 'handle_failed') and d.delivered_at is null
			and (d.subscription, d.instance, d.key) > (l.subscription, l.instance, l.key)
		order by d.subscription, d.instance, d.key limit 1
	) n
)
select subscription, instance, key from line limit $4`

// UnfinishedLines lists the lines with unfinished deliveries after one, by a skip scan, at
// most limit of them. It is what a relay looks through when it takes shards over.
func (s *Store) UnfinishedLines(ctx context.Context, after Line, limit int) ([]Line, error) {
	rows, err := s.pool.Query(ctx, unfinishedLines, after.Subscription, after.Instance, after.Key, limit)
	if err != nil {
		return nil, fmt.Errorf("list lines: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Line, err error) {
		err = row.Scan(&l.Subscription, &l.Instance, &l.Key)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("list lines: %w", err)
	}
	return lines, nil
}
