package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// CountLimit bounds every count of an examination: a number that has reached it means at
// least this many.
const CountLimit = 100_000

// SchemaFacts are what relay doctor judges of the schema relay.
type SchemaFacts struct {
	Exists bool
	// Version is the schema's, Needed this program's. Zero: it was never migrated, or the
	// role does not own it.
	Version, Needed int32
	// Foreign lists what of the schema the role does not own, and the schema itself, as alter commands would name
	// them; at most a hundred. The inbox may be a consumer's.
	Foreign []string
	// Inserters are the roles, besides the owner, that may insert messages; at most five.
	Inserters []string
}

// Schema asks for the facts of the schema.
func (e *Examiner) Schema(ctx context.Context) (SchemaFacts, error) {
	var f SchemaFacts
	var err error
	if f.Needed, err = outboxSequence.newest(); err != nil {
		return f, err
	}
	// Names are looked up in the catalogue: to_regclass fails without a right to the schema.
	const statement = `
	select
		exists (select from pg_class where relname = 'schema_version' and relnamespace = n.oid),
		array(
			select kind || ' ' || name from (
				select 'schema' as kind, 'relay' as name, n.nspowner as owner
				union all
				select 'table', 'relay.' || quote_ident(relname), relowner from pg_class
				where relnamespace = n.oid and relkind in ('r', 'p') and relname not in ('inbox', 'inbox_version')
				union all
				select 'routine', format('relay.%I(%s)', proname, pg_get_function_identity_arguments(oid)), proowner from pg_proc
				where pronamespace = n.oid and proname not in ('receive', 'forget_received')
				union all
				select 'type', 'relay.' || quote_ident(typname), typowner from pg_type where typnamespace = n.oid and typtype in ('e', 'd')
			) o
			where not pg_has_role(o.owner, 'usage') order by kind = 'schema' desc, 1 limit 100
		),
		array(
			select distinct coalesce(r.rolname::text, 'public')
			from pg_attribute a
			join pg_class c on c.oid = a.attrelid
			cross join lateral (select * from aclexplode(c.relacl) union all select * from aclexplode(a.attacl)) x
			left join pg_roles r on r.oid = x.grantee
			where c.relname = 'outbox' and c.relnamespace = n.oid and a.attname = 'topic'
				and x.privilege_type = 'INSERT' and x.grantee <> c.relowner
			order by 1 limit 5
		)
	from pg_namespace n where n.nspname = 'relay'`
	err = e.Conn.QueryRow(ctx, statement).Scan(&f.Exists, &f.Foreign, &f.Inserters)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("examine the schema: %w", err)
	}
	if !f.Exists || len(f.Foreign) > 0 {
		return f, nil
	}
	if err := e.Conn.QueryRow(ctx, `select version from relay.schema_version`).Scan(&f.Version); err != nil {
		return f, fmt.Errorf("read the schema's version: %w", err)
	}
	return f, nil
}

// TableFacts are what relay doctor judges of the table relay.outbox.
type TableFacts struct {
	Partitioned, Unlogged bool
	NoAutovacuum          bool
	// Live and Dead are the statistics' guess at the number of rows.
	Live, Dead int64
	// Triggers are those that a person has made; at most five.
	Triggers []string
}

// Table asks for the facts of the table.
func (e *Examiner) Table(ctx context.Context) (TableFacts, error) {
	const statement = `
	select c.relkind = 'p', c.relpersistence = 'u',
		coalesce('autovacuum_enabled=false' = any (c.reloptions) or 'autovacuum_enabled=off' = any (c.reloptions), false)
			or not current_setting('autovacuum')::boolean,
		coalesce(pg_stat_get_live_tuples(c.oid), 0), coalesce(pg_stat_get_dead_tuples(c.oid), 0),
		array(select tgname::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid
			where t.tgrelid = c.oid and not t.tgisinternal and p.pronamespace <> 'relay'::regnamespace order by 1 limit 5)
	from pg_class c where c.oid = 'relay.outbox'::regclass`
	var f TableFacts
	err := e.Conn.QueryRow(ctx, statement).Scan(&f.Partitioned, &f.Unlogged, &f.NoAutovacuum, &f.Live, &f.Dead, &f.Triggers)
	if err != nil {
		return f, fmt.Errorf("examine the table: %w", err)
	}
	return f, nil
}

// RelayFacts say which relays work on the outbox.
type RelayFacts struct {
	Names   []string  // relays that live, at most five: also one that has no shard yet
	Shards  int       // shards that have an owner
	Seen    time.Time // when the last sign of life was given
	Expired int       // shards whose lease has run out without being released: a relay died
}

// Relays asks which relays work on the outbox.
func (e *Examiner) Relays(ctx context.Context) (RelayFacts, error) {
	const statement = `
	select
		array(
			select i.name || ' (' || i.version || ')' from relay.instance i
			where exists (select from relay.lease l where l.owner = i.id and l.expires_at > clock_timestamp())
				or i.seen_at > clock_timestamp() - ` + silence + `
			order by 1 limit 5
		),
		(select count(*) from relay.lease where expires_at > clock_timestamp()),
		(select count(*) from relay.lease where owner is not null and expires_at <= clock_timestamp()),
		(select coalesce(max(seen_at), 'epoch') from relay.instance)`
	var f RelayFacts
	if err := e.Conn.QueryRow(ctx, statement).Scan(&f.Names, &f.Shards, &f.Expired, &f.Seen); err != nil {
		return f, fmt.Errorf("look for relays: %w", err)
	}
	return f, nil
}

// MessageFacts count messages that have not ended well. A count stops at CountLimit.
type MessageFacts struct {
	Pending, Delayed, Open, Dead, Rejected int
	// OldestPending is the age of the oldest pending message that is not delayed, among
	// those counted. Zero: there is none.
	OldestPending time.Duration
	// WhyDead and WhyRejected are errors of the youngest of each.
	WhyDead, WhyRejected string
}

// Messages counts messages by status. Each part is one walk along a partial index.
func (e *Examiner) Messages(ctx context.Context) (MessageFacts, error) {
	const statement = `
	with pending as materialized (
		(select created_at from relay.outbox where status = 'pending' and key is null and (deliver_at is null or due) limit $1)
		union all
		(select created_at from relay.outbox where status = 'pending' and key is not null and (deliver_at is null or due) limit $1)
	)
	select (select count(*) from pending),
		(select count(*) from (select from relay.outbox where status = 'pending' and deliver_at is not null and not due limit $1) x),
		(select count(*) from (select from relay.outbox where status = 'open' and topic <> '' limit $1) x),
		(select count(*) from (select from relay.outbox where status = 'dead' and topic <> '' limit $1) x),
		(select count(*) from (select from relay.outbox where status = 'rejected' and topic <> '' limit $1) x),
		coalesce((select extract(epoch from clock_timestamp() - min(created_at)) from pending where isfinite(created_at)), 0)::float8,
		coalesce((
			select coalesce(d.last_error, o.last_error) from relay.outbox o
			left join relay.delivery d on d.message_id = o.id and d.status = 'dead'
			where o.status = 'dead' and o.topic <> '' order by o.created_at desc, o.seq desc limit 1
		), ''),
		coalesce((select last_error from relay.outbox where status = 'rejected' and topic <> '' order by created_at desc, seq desc limit 1), '')`
	var f MessageFacts
	var oldest float64
	err := e.Conn.QueryRow(ctx, statement, CountLimit).Scan(&f.Pending, &f.Delayed, &f.Open, &f.Dead, &f.Rejected,
		&oldest, &f.WhyDead, &f.WhyRejected)
	if err != nil {
		return f, fmt.Errorf("count messages: %w", err)
	}
	f.OldestPending = time.Duration(oldest * float64(time.Second))
	return f, nil
}

// Waiting is how many deliveries wait at one destination for one reason.
type Waiting struct {
	Circuit string // the destination, as people may see it
	Why     string // the status, and the reason if there is one
	Count   int
	Error   string // the last one of some delivery
	// Subscription is the subscriber that waits.
	Subscription string
}

// waitingRead is how many deliveries of rows' own destinations are looked at to tell these apart.
const waitingRead = 10_000

// What an operator configured is counted by an index alone, and one delivery of each group is looked up for its error.
// Of what rows name, the destinations stand in the table alone.
const waitingDeliveries = `
with part as (
	select subscription, status, reason, cause, count(*)::int as n
	from (
		select subscription, status, reason, cause from relay.delivery
		where status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and attempts >= 0 and subscription <> 'direct' limit $1
	) d group by 1, 2, 3, 4
), configured as (
	select distinct on (subscription, status, reason) subscription, status, reason, cause, (sum(n) over (partition by subscription, status, reason))::int as n
	from part order by subscription, status, reason, cause nulls last
), named as (
	select circuit, status, reason, count(*)::int as n, coalesce((array_agg(last_error order by updated_at desc))[1], '') as error
	from (
		select circuit, status, reason, last_error, updated_at from relay.delivery
		where status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and attempts >= 0 and subscription = 'direct' limit $2
	) d group by 1, 2, 3
), both_kinds as (
	select false as direct, g.subscription as circuit, g.status, g.reason, g.n, coalesce((
		select x.last_error from (
			(select d.last_error from relay.delivery d where ` + failingLike + ` and d.reason = g.reason and d.cause = g.cause limit 1)
			union all
			(select d.last_error from relay.delivery d where ` + failingLike + ` and d.reason is null and g.reason is null and d.cause = g.cause limit 1)
			union all
			(select d.last_error from relay.delivery d where ` + failingLike + ` and d.reason = g.reason and d.cause is null and g.cause is null limit 1)
			union all
			(select d.last_error from relay.delivery d where ` + failingLike + ` and d.reason is null and g.reason is null and d.cause is null and g.cause is null limit 1)
		) x limit 1
	), '') as error
	from configured g
	union all
	select true, circuit, status, reason, n, error from named
)
select circuit, why, n, error, case when direct then 'direct' else circuit end as subscription from (
	select direct, circuit, status::text || coalesce(', ' || reason, '') as why, n, error,
		row_number() over (partition by direct order by n desc, circuit) as place
	from both_kinds
) x
where place <= 5 order by direct, n desc, circuit, why`

// WaitingDeliveries counts unfinished deliveries by destination and reason, the most first: at most five lines of what
// an operator configured, of at most CountLimit deliveries, then five of what rows name, of at most 10,000.
func (e *Examiner) WaitingDeliveries(ctx context.Context) ([]Waiting, error) {
	rows, err := e.Conn.Query(ctx, waitingDeliveries, CountLimit, waitingRead)
	if err != nil {
		return nil, fmt.Errorf("count waiting deliveries: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Waiting])
	if err != nil {
		return nil, fmt.Errorf("count waiting deliveries: %w", err)
	}
	for i := range list {
		list[i].Circuit = relay.ShowCircuit(list[i].Circuit)
	}
	return list, nil
}
