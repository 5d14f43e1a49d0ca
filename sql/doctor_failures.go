package sql

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Failure is how many messages did not end well at one subscriber for one reason.
type Failure struct {
	Subscription string // empty: the messages were rejected before they had subscribers
	Error        string
	Count        int
	Youngest     relay.ID // of the messages
	Topic        string   // of that message
}

// failuresLooked is how many messages, the youngest, a listing of failures looks at; failuresShown is how many lines
// it returns.
const (
	failuresLooked = 10_000
	failuresShown  = 5
)

// Deaths counts the dead deliveries of dead messages by subscriber and reason, the most first; at most five lines, of
// the 10,000 youngest dead messages.
func (e *Examiner) Deaths(ctx context.Context) ([]Failure, error) {
	const statement = `
	select coalesce(d.subscription, ''), coalesce(d.last_error, o.last_error, ''), count(*),
		(array_agg(o.id order by o.id desc))[1], (array_agg(o.topic order by o.id desc))[1]
	from (select id, topic, last_error from relay.outbox where status = 'dead' order by id desc limit $1) o
	left join lateral (
		select y.subscription, y.last_error from relay.delivery y where y.message_id = o.id and y.status = 'dead' offset 0
	) d on true
	group by 1, 2 order by 3 desc, 1, 2 limit $2`
	return e.failures(ctx, "list dead deliveries", statement)
}

// Rejections counts the rejected messages by reason, the most first; at most five lines, of the 10,000 youngest.
func (e *Examiner) Rejections(ctx context.Context) ([]Failure, error) {
	const statement = `
	select '', coalesce(last_error, ''), count(*), (array_agg(id order by id desc))[1], (array_agg(topic order by id desc))[1]
	from (select id, topic, last_error from relay.outbox where status = 'rejected' order by id desc limit $1) o
	group by 2 order by 3 desc, 2 limit $2`
	return e.failures(ctx, "list rejected messages", statement)
}

func (e *Examiner) failures(ctx context.Context, operation, statement string) ([]Failure, error) {
	rows, err := e.Conn.Query(ctx, statement, failuresLooked, failuresShown)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, denial(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Failure, err error) {
		return f, row.Scan(&f.Subscription, &f.Error, &f.Count, (*[16]byte)(&f.Youngest), &f.Topic)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, denial(err))
	}
	return list, nil
}

// RowHolder is a session that has changed or locked rows of the relay's tables in an open transaction.
type RowHolder struct {
	PID int
	Who string // role and application
}

// RowHolders lists sessions, but for relays, that keep rows of messages or deliveries locked for half a second: not
// every role may see what they do, but everyone sees their locks. At most three.
func (e *Examiner) RowHolders(ctx context.Context) ([]RowHolder, error) {
	const statement = `
	select distinct a.pid, coalesce(a.usename::text, '') || ', ' || coalesce(a.application_name, ''), l.virtualtransaction
	from pg_locks l join pg_stat_activity a on a.pid = l.pid
	where a.datname = current_database() and a.pid <> pg_backend_pid() and a.application_name is distinct from 'relay'
		and l.granted and l.relation in ('relay.outbox'::regclass, 'relay.delivery'::regclass)
		and l.mode in ('RowShareLock', 'RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
	order by 1 limit 100`
	before, err := collect[heldRow](ctx, e, statement)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	if _, err := e.Conn.Exec(ctx, "select pg_sleep(0.5)"); err != nil {
		return nil, fmt.Errorf("examine locks: %w", err)
	}
	after, err := collect[heldRow](ctx, e, statement)
	var holders []RowHolder
	for _, h := range after {
		if slices.Contains(before, h) && len(holders) < 3 {
			holders = append(holders, RowHolder{h.PID, h.Who})
		}
	}
	return holders, err
}

// heldRow is a session with a lock, and its transaction.
type heldRow struct {
	PID              int
	Who, Transaction string
}
