package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Parked is a circuit for which deliveries are parked in the table. What an operator
// configured and what rows name are kept apart: rows may name any number of destinations.
type Parked struct {
	Circuit string
	Direct  bool // rows named the destination
}

// isParked is the condition of what waits for its circuit rather than for a time or a key.
const isParked = `d.next_attempt_at is null and d.status in ('waiting', 'push_failed', 'handle_failed')
	and d.reason is distinct from 'key_blocked'`

// The two conditions are those of the two indexes.
const (
	ofOperators = ` and d.subscription <> '` + relay.SubscriptionDirect + `'`
	ofRows      = ` and d.subscription = '` + relay.SubscriptionDirect + `'`
)

const (
	parkedDeliveriesFrom = `
select d.message_id, d.subscription, d.instance, ` + keyHeld + `, d.shard, null::timestamptz, d.seq from relay.delivery d
where d.circuit = $1 and d.seq > $3 and d.shard = any ($2) and ` + isParked
	parkedDeliveriesTo = `
order by d.seq limit $4`
	parkedDeliveries       = parkedDeliveriesFrom + ofOperators + parkedDeliveriesTo
	parkedDirectDeliveries = parkedDeliveriesFrom + ofRows + parkedDeliveriesTo
)

// ParkedDeliveries finds deliveries that wait for their circuit rather than for a time, in
// order of insertion, after a sequence, at most limit of them.
func (s *Store) ParkedDeliveries(ctx context.Context, circuit Parked, shards []int16, after int64, limit int) ([]Due, error) {
	statement := parkedDeliveries
	if circuit.Direct {
		statement = parkedDirectDeliveries
	}
	rows, err := s.pool.Query(ctx, statement, circuit.Circuit, shards, after, limit)
	return collectDue("find parked deliveries", rows, err)
}

// Each circuit is one probe of the index.
const (
	parkedCircuits = `
with recursive c(circuit) as (
	(select d.circuit from relay.delivery d where ` + isParked + ofOperators + ` order by d.circuit limit 1)
	union all
	select (select d.circuit from relay.delivery d
		where d.circuit > c.circuit and ` + isParked + ofOperators + ` order by d.circuit limit 1)
	from c where c.circuit is not null
)
select circuit from c where circuit is not null`

	parkedDirectCircuits = `
with recursive c(circuit) as (
	(select d.circuit from relay.delivery d where d.circuit > $1 and ` + isParked + ofRows + ` order by d.circuit limit 1)
	union all
	select (select d.circuit from relay.delivery d
		where d.circuit > c.circuit and ` + isParked + ofRows + ` order by d.circuit limit 1)
	from c where c.circuit is not null
)
select circuit from c where circuit is not null limit $2`
)

// ParkedCircuits lists the circuits of subscriptions, their instances and the default
// destination for which deliveries are parked.
func (s *Store) ParkedCircuits(ctx context.Context) ([]Parked, error) {
	rows, err := s.pool.Query(ctx, parkedCircuits)
	return collectParked("list parked circuits", false, rows, err)
}

// ParkedDirectCircuits lists circuits of rows' own destinations for which deliveries are
// parked: those after a name, at most limit of them.
func (s *Store) ParkedDirectCircuits(ctx context.Context, after string, limit int) ([]Parked, error) {
	rows, err := s.pool.Query(ctx, parkedDirectCircuits, after, limit)
	return collectParked("list parked circuits of rows", true, rows, err)
}

func collectParked(operation string, direct bool, rows pgx.Rows, err error) ([]Parked, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	circuits, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Parked, error) {
		p := Parked{Direct: direct}
		return p, row.Scan(&p.Circuit)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return circuits, nil
}
