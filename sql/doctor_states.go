package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// StateFacts are settings, and objects beside the tables of the relay, that keep it or applications from working.
type StateFacts struct {
	// ReadOnly and Replica name the roles, databases or the server whose sessions are read-only by default, and whose
	// triggers do not fire (session_replication_role); at most five.
	ReadOnly, Replica []string
	// RoleLimit and DatabaseLimit bound connections. -1: no limit, or the role is a superuser.
	RoleLimit, DatabaseLimit int
	// Secured are tables of the relay with row level security, but for relay.inbox, which has it.
	Secured []SecuredTable
	// References are foreign keys of other tables that lead to those of the relay; at most twenty.
	References []Reference
	// Triggers are those of the relay that do not fire always.
	Triggers []TriggerState
}

// SecuredTable is a table with row level security. Forced holds for its owner too.
type SecuredTable struct {
	Name   string
	Forced bool
}

// Reference is a foreign key. All names are quoted as SQL needs it, tables with their schemas.
type Reference struct{ Table, Constraint, To string }

// TriggerState is a trigger and how pg_trigger.tgenabled has it: O fires unless session_replication_role is replica,
// R only then, D never.
type TriggerState struct{ Table, Name, Enabled string }

// States asks for the facts.
func (e *Examiner) States(ctx context.Context) (f StateFacts, err error) {
	if f.ReadOnly, err = e.defaults(ctx, "default_transaction_read_only", "on", "true", "yes", "1"); err != nil {
		return f, err
	}
	if f.Replica, err = e.defaults(ctx, "session_replication_role", "replica"); err != nil {
		return f, err
	}
	const limits = `
	select case when r.rolsuper then -1 else r.rolconnlimit end, case when r.rolsuper then -1 else d.datconnlimit end
	from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()`
	if err := e.Conn.QueryRow(ctx, limits).Scan(&f.RoleLimit, &f.DatabaseLimit); err != nil {
		return f, fmt.Errorf("ask for limits of connections: %w", err)
	}
	const secured = `
	select 'relay.' || quote_ident(relname), relforcerowsecurity from pg_class
	where relnamespace = 'relay'::regnamespace and relrowsecurity and relname <> 'inbox' order by 1`
	if f.Secured, err = collect[SecuredTable](ctx, e, secured); err != nil {
		return f, err
	}
	const references = `
	select c.conrelid::regclass::text, quote_ident(c.conname), c.confrelid::regclass::text from pg_constraint c
	join pg_class t on t.oid = c.confrelid
	where c.contype = 'f' and t.relnamespace = 'relay'::regnamespace and c.conparentid = 0 order by 1, 2 limit 20`
	if f.References, err = collect[Reference](ctx, e, references); err != nil {
		return f, err
	}
	const triggers = `
	select t.tgrelid::regclass::text, quote_ident(t.tgname), t.tgenabled::text from pg_trigger t
	join pg_class c on c.oid = t.tgrelid
	join pg_proc p on p.oid = t.tgfoid
	where c.relnamespace = 'relay'::regnamespace and p.pronamespace = c.relnamespace and not t.tgisinternal
		and t.tgenabled <> 'A' order by 1, 2`
	f.Triggers, err = collect[TriggerState](ctx, e, triggers)
	return f, err
}

// defaults names the roles, databases or the server that have given a setting one of some values. A role's or a
// database's own value goes before the server's.
func (e *Examiner) defaults(ctx context.Context, setting string, values ...string) (holders []string, err error) {
	const statement = `
	select case
		when x.rolname is not null and d.datname is not null then format('role %I in database %I', x.rolname, d.datname)
		when x.rolname is not null then format('role %I', x.rolname)
		when d.datname is not null then format('database %I', d.datname)
		else 'role all' end
	from pg_db_role_setting s
	cross join lateral unnest(s.setconfig) as c(item)
	left join pg_roles x on x.oid = s.setrole
	left join pg_database d on d.oid = s.setdatabase
	where (s.setdatabase = 0 or d.datname = current_database())
		and split_part(c.item, '=', 1) = $1 and lower(split_part(c.item, '=', 2)) = any ($2)
	order by 1 limit 5`
	rows, err := e.Conn.Query(ctx, statement, setting, values)
	if err == nil {
		holders, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil || len(holders) > 0 {
		return holders, wrap("ask where "+setting+" is set", err)
	}
	var server bool
	err = e.Conn.QueryRow(ctx, "select current_setting($1) = any ($2)", setting, values).Scan(&server)
	if server {
		holders = []string{"system"}
	}
	return holders, wrap("ask for "+setting, err)
}

func wrap(operation string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

func collect[T any](ctx context.Context, e *Examiner, statement string) ([]T, error) {
	rows, err := e.Conn.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("examine the schema: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return list, wrap("examine the schema", err)
}
