package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// centreShares is how many connections fill the tables at once.
const centreShares = 2

// centreSize says how large the tables of the section centre are.
type centreSize struct {
	messages int // each has two deliveries, but for those that were never taken up
	dead     int // deliveries, all of them at ten subscribers and for eight causes
}

// fillCentreMessages inserts messages of seven days. The number of a message decides its status: of 50 in a row one
// is dead until there are enough dead ones, one is open, one in a hundred is cancelled, and one in five hundred is
// rejected; the youngest are pending. A tenth of the messages has an id as an application makes it, which sorts
// anywhere.
const fillCentreMessages = `
insert into relay.outbox (id, seq, topic, key, payload, source, created_at, status, outstanding, finished_at, last_error, cause)
overriding system value
select case when n %% 10 = 7 then md5(n::text)::uuid
		else (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3) || 'a' || substr(h, 4, 15))::uuid end,
	n, 'topic.' || n %% 100, case when n %% 2 = 0 then 'key-' || n %% 1000003 end, '{"number": ' || n || ', "digest": "' || h || '"}',
	'source-' || n %% 20, at, status::relay.message_status, case status when 'open' then 1 else 0 end,
	case when status not in ('open', 'pending') then at + interval '1 second' end,
	case when status in ('dead', 'open', 'rejected') then 'POST https://consumer.test/: failed with number ' || n end,
	case when status = 'rejected' then 'rejected: route' end
from (
	select n, md5(n::text) as h, now() - interval '7 days' + n * (interval '7 days' / %[1]d) as at,
		case when n > %[1]d - 5000 then 'pending' when n %% 50 = 11 and n / 50 < %[2]d then 'dead' when n %% 50 = 12 then 'open'
			when n %% 100 = 13 then 'cancelled' when n %% 500 = 14 then 'rejected' else 'done' end as status
	from generate_series(%[3]d, %[4]d) n
) x`

// fillCentreDeliveries inserts deliveries to two of ten subscribers for each message. A dead or
// open message is so at the first of the two.
const fillCentreDeliveries = `
insert into relay.delivery (message_id, subscription, instance, target, status, reason, attempts, next_attempt_at, last_error, cause,
	delivered_at, handled_at, updated_at, due_at, circuit, shard, seq, key)
select o.id, 'sub-' || (o.seq + o.seq / 50 + s * 3) %% 10, '', 'https://consumer.test/', d.status::relay.delivery_status,
	case when d.status = 'waiting' then 'key_blocked' end, case when d.status in ('dead', 'push_failed', 'handle_failed') then 5 else 1 end,
	case when d.status in ('push_failed', 'handle_failed') then now() + interval '1 hour' end,
	case when d.status in ('dead', 'push_failed', 'handle_failed') then o.last_error end,
	case when d.status in ('dead', 'push_failed', 'handle_failed')
		then (array['timeout', 'refused', 'dns', 'tls', 'reset', 'http 500', 'http 503', 'http 401'])[1 + o.seq / 500 %% 8] end,
	case when d.status = 'handled' then o.created_at end, case when d.status = 'handled' then o.created_at end,
	o.created_at + interval '1 second', o.created_at, 'sub-' || (o.seq + o.seq / 50 + s * 3) %% 10, o.shard, o.seq, o.key
from relay.outbox o, generate_series(0, 1) s
cross join lateral (select case when o.status in ('dead', 'cancelled') and s = 0 then o.status::text
	when o.status = 'open' and s = 0 then (array['waiting', 'push_failed', 'handle_failed', 'push_failed'])[1 + o.seq / 50 %% 4]
	else 'handled' end as status) d
where o.status not in ('pending', 'rejected') and o.seq between %[1]d and %[2]d`

// fillCentre makes the tables of the section. Indexes come back at the end, as the migrations made them.
func fillCentre(ctx context.Context, db *pgxpool.Pool, size centreSize) error {
	indexes, constraints, err := withoutIndexes(ctx, db)
	if err != nil {
		return err
	}
	for _, statement := range []string{fillCentreMessages, fillCentreDeliveries} {
		if err := inShares(ctx, db, size, statement); err != nil {
			return err
		}
	}
	for _, statements := range [][]string{constraints, indexes} {
		if err := atOnce(ctx, db, statements); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		fmt.Sprintf("select setval('relay.outbox_seq_seq', %d)", size.messages),
		`insert into relay.subscription (name, topics, target) select 'sub-' || n, array['topic.' || n], 'https://consumer.test/' from generate_series(0, 9) n`,
		"vacuum (analyze) relay.outbox", "vacuum (analyze) relay.delivery",
	} {
		if _, err := db.Exec(ctx, statement); err != nil {
			return fmt.Errorf("finish the tables: %w", err)
		}
	}
	return nil
}

// withoutIndexes drops indexes and primary keys, and returns what brings them back.
func withoutIndexes(ctx context.Context, db *pgxpool.Pool) (indexes, constraints []string, err error) {
	const statement = `
	select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indrelid::regclass::text, coalesce(quote_ident(c.conname), ''),
		coalesce(pg_get_constraintdef(c.oid), '')
	from pg_index i left join pg_constraint c on c.conindid = i.indexrelid
	where i.indrelid in ('relay.outbox'::regclass, 'relay.delivery'::regclass)`
	rows, err := db.Query(ctx, statement)
	if err != nil {
		return nil, nil, err
	}
	var drops []string
	var index, definition, table, constraint, text string
	_, err = pgx.ForEachRow(rows, []any{&index, &definition, &table, &constraint, &text}, func() error {
		if constraint != "" {
			drops = append(drops, fmt.Sprintf("alter table %s drop constraint %s", table, constraint))
			constraints = append(constraints, fmt.Sprintf("alter table %s add constraint %s %s", table, constraint, text))
			return nil
		}
		drops, indexes = append(drops, "drop index "+index), append(indexes, definition)
		return nil
	})
	for _, drop := range drops {
		if err == nil {
			_, err = db.Exec(ctx, drop)
		}
	}
	return indexes, constraints, err
}

// inShares runs a statement for ranges of the messages over several connections.
func inShares(ctx context.Context, db *pgxpool.Pool, size centreSize, statement string) error {
	group, ctx := errgroup.WithContext(ctx)
	each := size.messages / centreShares
	for i := range centreShares {
		from, to := i*each+1, (i+1)*each
		text := fmt.Sprintf(statement, from, to)
		if statement == fillCentreMessages {
			text = fmt.Sprintf(statement, size.messages, size.dead, from, to)
		}
		group.Go(func() error {
			if _, err := db.Exec(ctx, text); err != nil {
				return fmt.Errorf("fill the tables: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// atOnce runs statements that build indexes over several connections.
func atOnce(ctx context.Context, db *pgxpool.Pool, statements []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(centreShares)
	for _, statement := range statements {
		group.Go(func() error {
			conn, err := db.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			if _, err := conn.Exec(ctx, "set maintenance_work_mem = '512MB'"); err != nil {
				return err
			}
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// lasting is how long something takes: the first time, and the least of a few.
func lasting(times int, f func() error) (first, best time.Duration, err error) {
	for i := range times {
		began := time.Now()
		if err := f(); err != nil {
			return 0, 0, err
		}
		took := time.Since(began)
		if i == 0 {
			first, best = took, took
		}
		best = min(best, took)
	}
	return first, best, nil
}
