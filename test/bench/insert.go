package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What an application that has no outbox would insert the same row into: the fewest columns that hold it, and all
// columns of the outbox without its checks, its trigger and the indexes that a relay needs.
const plainTables = `
create table public.narrow (
	id           bigserial primary key,
	topic        text not null,
	payload      text,
	content_type text not null default 'application/json',
	headers      jsonb not null default '{}',
	created_at   timestamptz not null default now()
);
create table public.plain (like relay.outbox including defaults including identity, primary key (id));
alter table public.plain alter id set default gen_random_uuid(), alter shard set default 0`

// The same INSERT, by the name of the table.
const (
	insertOneInto  = `insert into %s (topic, payload) values ('bench', $1)`
	insertManyInto = `insert into %s (topic, payload) select 'bench', p from unnest($1::text[]) p`
)

// runInsert compares INSERTs into the outbox with those into plain tables, in turns, on
// one connection, without a relay or a slot.
func runInsert(ctx context.Context, l *lab, o options) (_ *report, err error) {
	d, err := l.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	if _, err := d.admin.Exec(ctx, plainTables); err != nil {
		return nil, err
	}
	conn, err := d.admin.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	r := &report{}
	for _, c := range []struct {
		rows  int
		plain string
		most  float64
		named string
	}{
		{1, "public.plain", 1.1, "one row a transaction, beside a table with the same columns"},
		{1, "public.narrow", 1.5, "one row a transaction, beside a table with six columns"},
		{100, "public.narrow", 2.5, "100 rows in one statement, beside a table with six columns"},
	} {
		var outbox, plain []float64
		for range max(o.rounds, 9) {
			a, err := insertCost(ctx, conn.Conn(), c.plain, c.rows)
			if err != nil {
				return nil, err
			}
			b, err := insertCost(ctx, conn.Conn(), "relay.outbox", c.rows)
			if err != nil {
				return nil, err
			}
			plain, outbox = append(plain, a), append(outbox, b)
		}
		ratio := ratioOf(outbox, plain)
		r.judge(c.named, fmt.Sprintf("≤ %.1f times", c.most), ratio <= c.most, "%.2f: %.1f µs a row, plain %.1f µs", ratio, median(outbox), median(plain))
	}
	return r, nil
}

// insertCost returns the microseconds that a row takes in transactions of the given number of rows.
func insertCost(ctx context.Context, conn *pgx.Conn, table string, rows int) (us float64, err error) {
	transactions := 300
	statement, argument := fmt.Sprintf(insertOneInto, table), any(newPayload(time.Now()))
	if rows > 1 {
		transactions = 50
		payloads := make([]string, rows)
		for i := range payloads {
			payloads[i] = newPayload(time.Now())
		}
		statement, argument = fmt.Sprintf(insertManyInto, table), payloads
	}
	began := time.Now()
	for range transactions {
		if _, err := conn.Exec(ctx, statement, argument); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(began).Microseconds()) / float64(transactions*rows), nil
}
