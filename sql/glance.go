package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Glance is what is known of a message without reading it.
type Glance struct {
	ID        relay.ID
	Shard     int16
	Key       string // empty: none
	Status    relay.MessageStatus
	DeliverAt time.Time // zero: at once
}

const glance = `
select x.id, x.shard, coalesce(x.key, ''), x.status::text, case when isfinite(x.deliver_at) then x.deliver_at end
from unnest($1::uuid[]) as w(id)
cross join lateral (
	select o.id, o.shard, o.key, o.status, o.deliver_at from relay.outbox o where o.id = w.id limit 1
) x`

// Glance looks at messages by id, and returns those that exist, in any order. An id that names
// no message costs one probe of the primary key.
func (s *Store) Glance(ctx context.Context, ids []relay.ID) ([]Glance, error) {
	rows, err := s.pool.Query(ctx, glance, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("look at messages: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g Glance, err error) {
		var at *time.Time
		err = row.Scan((*[16]byte)(&g.ID), &g.Shard, &g.Key, &g.Status, &at)
		if at != nil {
			g.DeliverAt = *at
		}
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("look at messages: %w", err)
	}
	return found, nil
}

const ringOthers = `
with seen as materialized (
	select x.id, row_number() over () - 1 as n
	from unnest($1::uuid[]) as w(id)
	cross join lateral (select o.id from relay.outbox o where o.id = w.id limit 1) x
),
rung as materialized (
	select pg_notify('relay_outbox', string_agg(id::text, ',')) from seen group by n / 200
)
select id from seen where (select count(*) from rung) > 0`

// RingOthers tells the other relays on this database that messages exist, and returns those
// that it told of: rows that SQL does not show yet would mean nothing to them. An empty list
// asks them to sweep.
func (s *Store) RingOthers(ctx context.Context, ids []relay.ID) (told []relay.ID, err error) {
	if len(ids) == 0 {
		if _, err := s.pool.Exec(ctx, "select pg_notify('relay_outbox', '')"); err != nil {
			return nil, fmt.Errorf("ask the other relays to sweep: %w", err)
		}
		return nil, nil
	}
	rows, err := s.pool.Query(ctx, ringOthers, uuids(ids))
	return collectIDs("ring the other relays", rows, err)
}
