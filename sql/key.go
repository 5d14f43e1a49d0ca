package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
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
// that does. The first row of a key stands for it, so that it says if it is late even where nothing can be read.
const readKeys = `
select x.ord, x.xmin::text::bigint, x.verdict,` + messageColumns + `
from (
	select s.*, case when s.size > $5 or s.oversized then 3 when s.size is null or s.total > $6 then 4 else 5 end as verdict
	from (
		select q.*, sum(case when q.size <= $5 and not q.oversized then q.size else 0 end) over (order by q.ord, q.seq) as total
		from (` + sizesBegin + `
			select w.ord, f.*
			from unnest($1::smallint[], $2::text[], $3::bigint[], $4::int[]) with ordinality as w(shard, key, after, most, ord)
			cross join lateral (
				select o.xmin, ` + outboxFields + ` from relay.outbox o
				where o.status = 'pending' and o.key is not null and (o.deliver_at is null or o.due)
					and o.shard = w.shard and o.key = w.key and o.seq > w.after and o.seq <> all ($7::bigint[])
				order by o.seq limit w.most
			) f` + sizesEnd + `
		) q
	) s
) x
order by x.ord, x.seq`

const lateKeys = `
select w.ord from unnest($1::text[]) with ordinality as w(key, ord) where ` + pastDue

// holdsKey is the condition of deliveries that have their place in the order of a key and have not ended. What awaits
// an acknowledgement has been accepted: it is named since the indexes name it.
const holdsKey = `d.key is not null and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and d.delivered_at is null`

// Each subscriber and instance is one probe of the index.
const waitingOfKeys = `
select w.ord, f.message_id, f.subscription, f.instance, f.seq, f.circuit, f.state
from unnest($1::smallint[], $2::text[]) with ordinality as w(shard, key, ord)
cross join lateral (
	with recursive line as (
		(select d.subscription, d.instance from relay.delivery d
		where ` + holdsKey + ` and d.shard = w.shard and d.key = w.key
		order by d.subscription, d.instance limit 1)
		union all
		select n.* from line l cross join lateral (
			select d.subscription, d.instance from relay.delivery d
			where ` + holdsKey + ` and d.shard = w.shard and d.key = w.key and (d.subscription, d.instance) > (l.subscription, l.instance)
			order by d.subscription, d.instance limit 1
		) n
	)
	select y.* from line l cross join lateral (
		select d.message_id, d.subscription, d.instance, d.seq, d.circuit, case
			when d.next_attempt_at <= statement_timestamp() then 4
			when d.next_attempt_at is not null then 2
			when d.reason = 'key_blocked' then 1
			else 3 end as state
		from relay.delivery d
		where ` + holdsKey + ` and d.shard = w.shard and d.key = w.key and d.subscription = l.subscription and d.instance = l.instance
		order by d.seq limit $3
	) y
) f
order by w.ord, f.seq`

const deadOfKeys = `
select w.ord, f.message_id, f.subscription, f.instance, f.seq, f.circuit, 5
from unnest($1::smallint[], $2::text[]) with ordinality as w(shard, key, ord)
cross join lateral (
	select distinct on (d.subscription, d.instance) d.message_id, d.subscription, d.instance, d.seq, d.circuit
	from relay.delivery d
	where d.key is not null and d.status in ('dead', 'awaiting_ack') and d.delivered_at is null
		and d.shard = w.shard and d.key = w.key and d.subscription = any ($3)
	order by d.subscription, d.instance, d.seq
) f
order by w.ord, f.seq`

// KeyWaiting is a delivery of an open message that has its place in the order of its key.
type KeyWaiting struct {
	ID      relay.DeliveryID
	Seq     int64
	Circuit string
	State   relay.WaitingState
}

// KeyState is what the table holds of one key.
type KeyState struct {
	Rows []MessageRow // pending messages, in their order
	// Late says that a delayed message of the key is due and not an ordinary one yet.
	Late bool
	// Waiting are the first unfinished deliveries of each subscriber and instance, in the order of their sequences.
	Waiting []KeyWaiting
}

// ReadKeys reads, in one snapshot, the lowest pending messages of each key, at most its Most of each, and its
// unfinished deliveries, at most each of each subscriber and instance. Delayed messages are among them once ReleaseDue
// has made them ordinary ones. Of the subscriptions in blocking the dead deliveries are read, too.
func (s *Store) ReadKeys(ctx context.Context, keys []Key, limits Limits, blocking []string, each int) (snapshot relay.Snapshot, states []KeyState, err error) {
	states = make([]KeyState, len(keys))
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return tx.SendBatch(ctx, readKeysBatch(keys, limits, blocking, each, &snapshot, states)).Close()
	})
	if err != nil {
		return snapshot, nil, fmt.Errorf("read keys: %w", err)
	}
	again := make([][]MessageRow, len(states))
	for i := range states {
		again[i] = states[i].Rows
	}
	return snapshot, states, s.noteMore(ctx, limits, again...)
}

func readKeysBatch(keys []Key, limits Limits, blocking []string, each int, snapshot *relay.Snapshot, states []KeyState) *pgx.Batch {
	shards, names := make([]int16, len(keys)), make([]string, len(keys))
	after, most, taken := make([]int64, len(keys)), make([]int32, len(keys)), []int64{}
	for i, k := range keys {
		shards[i], names[i], after[i], most[i] = k.Shard, k.Key, k.After, int32(k.Most)
		taken = append(taken, k.Taken...)
	}
	batch := &pgx.Batch{}
	batch.Queue("select pg_current_snapshot()::text").QueryRow(func(row pgx.Row) (err error) {
		var text string
		if err = row.Scan(&text); err == nil {
			*snapshot, err = relay.ParseSnapshot(text)
		}
		return err
	})
	batch.Queue(readKeys, shards, names, after, most, limits.MaxPayload, limits.Budget, taken).Query(func(rows pgx.Rows) error {
		var ord, xid int64
		var row MessageRow
		for scan := newMessageScan(&row, &ord, &xid); rows.Next(); {
			if err := scan.next(rows); err != nil {
				return err
			}
			row.XID = uint32(xid)
			states[ord-1].Rows = append(states[ord-1].Rows, row)
		}
		return rows.Err()
	})
	batch.Queue(lateKeys, names).Query(func(rows pgx.Rows) error {
		var ord int64
		_, err := pgx.ForEachRow(rows, []any{&ord}, func() error { states[ord-1].Late = true; return nil })
		return err
	})
	waiting := func(rows pgx.Rows) error {
		var ord int64
		var w KeyWaiting
		_, err := pgx.ForEachRow(rows, []any{&ord, (*[16]byte)(&w.ID.Message), &w.ID.Subscription, &w.ID.Instance, &w.Seq, &w.Circuit, (*int)(&w.State)}, func() error {
			states[ord-1].Waiting = append(states[ord-1].Waiting, w)
			return nil
		})
		return err
	}
	batch.Queue(waitingOfKeys, shards, names, each).Query(waiting)
	if len(blocking) > 0 {
		batch.Queue(deadOfKeys, shards, names, blocking).Query(waiting)
	}
	return batch
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
	return s.sweepKeys(ctx, sweepKeys, shards, after, limit)
}

func (s *Store) sweepKeys(ctx context.Context, statement string, shards []int16, after Position, limit int) ([]Key, error) {
	rows, err := s.pool.Query(ctx, statement, shardsFrom(shards, after.Shard), after.Shard, after.Key, limit)
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

// A skip scan along the keys that have something waiting.
const sweepWaitingKeys = `
select s.shard, k.key
from unnest($1::smallint[]) as s(shard)
cross join lateral (
	with recursive k as (
		(select d.key from relay.delivery d
		where ` + holdsKey + ` and d.shard = s.shard and d.key > case when s.shard = $2::smallint then $3::text else '' end
		order by d.key limit 1)
		union all
		select n.key from k cross join lateral (
			select d.key from relay.delivery d where ` + holdsKey + ` and d.shard = s.shard and d.key > k.key order by d.key limit 1
		) n
	)
	select key from k limit $4
) k
limit $4`

// SweepWaitingKeys is SweepKeys for keys with waiting deliveries.
func (s *Store) SweepWaitingKeys(ctx context.Context, shards []int16, after Position, limit int) ([]Key, error) {
	return s.sweepKeys(ctx, sweepWaitingKeys, shards, after, limit)
}
