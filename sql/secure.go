package sql

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// secure ends every run of migrations, also one that found nothing to do, since the last one
// may have been killed before it came to this. Nothing that a migration makes is open to
// other roles unless relay grant opens it, and nothing in the schema calls what another role
// made.
func secure(ctx context.Context, conn *pgx.Conn) error {
	if err := revokeDefaults(ctx, conn); err != nil {
		return fmt.Errorf("migrate: take back what default privileges gave: %w", err)
	}
	if err := refuseForeignCode(ctx, conn, foreignCode); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// revokeDefaults takes from PUBLIC the functions and types of the schema, which PostgreSQL
// gives it when they are made, and from every role what ALTER DEFAULT PRIVILEGES gave it. What
// relay grant gives stays, unless it has the same form as what default privileges gave and
// the role is granted nothing else.
func revokeDefaults(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(grantLock)); err != nil {
			return err
		}
		list, err := privileges(ctx, tx, nil)
		if err != nil {
			return err
		}
		granted, err := grantedRights(ctx, tx)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.Ours && p.Default && !p.toAll() && !granted[p.Grantee].allow(p) {
				if _, err := tx.Exec(ctx, p.Revoke()+" cascade"); err != nil {
					return fmt.Errorf("%s: %w", p.Revoke(), err)
				}
			}
		}
		if err := keepInserting(ctx, tx); err != nil {
			return err
		}
		for _, p := range list {
			if p.Ours && p.toAll() {
				if _, err := tx.Exec(ctx, p.Revoke()+" cascade"); err != nil {
					return fmt.Errorf("%s: %w", p.Revoke(), err)
				}
			}
		}
		return nil
	})
}

// keepInserting lets roles that were granted INSERT by hand go on: they may have the default of
// the column id, a call of relay.new_id(), by PUBLIC alone.
func keepInserting(ctx context.Context, tx pgx.Tx) error {
	const statement = `
	select distinct r.rolname::text
	from pg_class c
	cross join lateral (
		select c.relacl union all select a.attacl from pg_attribute a where a.attrelid = c.oid
	) as s(acl)
	cross join lateral aclexplode(s.acl) x
	join pg_roles r on r.oid = x.grantee
	where c.oid = to_regclass('relay.outbox') and x.privilege_type = 'INSERT'
		and r.oid <> c.relowner and has_function_privilege('public', to_regprocedure('relay.new_id()'), 'execute')`
	rows, err := tx.Query(ctx, statement)
	if err != nil {
		return err
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, role := range roles {
		if _, err := tx.Exec(ctx, "grant execute on function relay.new_id() to "+quoteName(role)); err != nil {
			return fmt.Errorf("let role %q go on inserting: %w", role, err)
		}
	}
	return nil
}

// grantedRights returns what relay grant has given, by role. A grant to send has columns of
// relay.outbox, which no default privilege names, and one to receive has a policy.
func grantedRights(ctx context.Context, tx pgx.Tx) (map[string]rights, error) {
	const statement = `
	select r.rolname::text,
		exists (
			select from pg_attribute a cross join lateral aclexplode(a.attacl) x
			where a.attrelid = to_regclass('relay.outbox') and a.attname = 'topic' and x.grantee = r.oid
		),
		true,
		exists (select from pg_policy p where p.polrelid = to_regclass('relay.inbox') and p.polroles = array[r.oid])
	from pg_roles r`
	rows, err := tx.Query(ctx, statement)
	if err != nil {
		return nil, err
	}
	granted := make(map[string]rights)
	var role string
	var r rights
	_, err = pgx.ForEachRow(rows, []any{&role, &r.sends, &r.destination, &r.receives}, func() error {
		granted[role] = r
		return nil
	})
	return granted, err
}

// Foreign is an object of the schema relay that would run what a role made which neither
// owns it nor is a superuser.
type Foreign struct {
	Object string // as PostgreSQL describes it
	Uses   string // what it would run; empty: the object itself is the role's
	Owner  string // of what it would run
}

// String says what is wrong.
func (f Foreign) String() string {
	if f.Uses == "" {
		return f.Object + " belongs to role " + quoteName(f.Owner)
	}
	return f.Object + " uses " + f.Uses + ", which belongs to role " + quoteName(f.Owner)
}

// foreignCode selects all there is; foreignTriggers what roles attached to tables and no
// migration takes off, which must not run while migrations write rows.
const (
	foreignCode     = "true"
	foreignTriggers = `(d.classid = 'pg_trigger'::regclass and d.refclassid = 'pg_proc'::regclass
		or d.classid in ('pg_rewrite'::regclass, 'pg_policy'::regclass))`
)

// selectForeign lists what the schema's objects depend on that belongs to another role, and
// objects of other roles in the schema that calls could reach by their name. What stands in
// pg_catalog has no entry in pg_depend. The inbox may belong to a role of its own.
const selectForeign = `
with relation as (
	select c.oid, c.relowner as owner from pg_class c where c.relnamespace = to_regnamespace('relay')
), ours as (
	select 'pg_class'::regclass as class, oid, owner from relation
	union all select 'pg_attrdef'::regclass, x.oid, r.owner from pg_attrdef x join relation r on r.oid = x.adrelid
	union all select 'pg_constraint'::regclass, x.oid, r.owner from pg_constraint x join relation r on r.oid = x.conrelid
	union all select 'pg_trigger'::regclass, x.oid, r.owner from pg_trigger x join relation r on r.oid = x.tgrelid where not x.tgisinternal
	union all select 'pg_rewrite'::regclass, x.oid, r.owner from pg_rewrite x join relation r on r.oid = x.ev_class
	union all select 'pg_policy'::regclass, x.oid, r.owner from pg_policy x join relation r on r.oid = x.polrelid
	union all select 'pg_proc'::regclass, p.oid, p.proowner from pg_proc p where p.pronamespace = to_regnamespace('relay')
	union all select 'pg_type'::regclass, t.oid, t.typowner from pg_type t where t.typnamespace = to_regnamespace('relay')
), used as (
	select distinct d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, o.owner,
		coalesce(p.proowner, op.oprowner, t.typowner, c.relowner, l.collowner, k.opcowner) as user_of
	from ours o
	join pg_depend d on d.classid = o.class and d.objid = o.oid
	left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
	left join pg_operator op on d.refclassid = 'pg_operator'::regclass and op.oid = d.refobjid
	left join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid
	left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid
	left join pg_collation l on d.refclassid = 'pg_collation'::regclass and l.oid = d.refobjid
	left join pg_opclass k on d.refclassid = 'pg_opclass'::regclass and k.oid = d.refobjid
	where pg_has_role(o.owner, 'usage') and ` + "%s" + `
), planted as (
	select 'pg_proc'::regclass as class, oid, proowner as owner from pg_proc
	where pronamespace = to_regnamespace('relay') and proname not in ('receive', 'forget_received')
	union all
	select 'pg_operator'::regclass, oid, oprowner from pg_operator where oprnamespace = to_regnamespace('relay')
)
select pg_describe_object(u.classid, u.objid, u.objsubid), pg_describe_object(u.refclassid, u.refobjid, 0), pg_get_userbyid(u.user_of)::text
from used u join pg_roles r on r.oid = u.user_of
where u.user_of <> u.owner and not r.rolsuper
union all
select pg_describe_object(x.class, x.oid, 0), '', pg_get_userbyid(x.owner)::text
from planted x join pg_roles r on r.oid = x.owner, pg_namespace n
where n.nspname = 'relay' and x.owner not in (n.nspowner, (select c.relowner from pg_class c where c.oid = to_regclass('relay.outbox')))
	and not r.rolsuper
order by 1, 2`

// foreign lists what of the schema runs code of other roles.
func foreign(ctx context.Context, on querying, which string) ([]Foreign, error) {
	rows, err := on.Query(ctx, fmt.Sprintf(selectForeign, which))
	if err != nil {
		return nil, fmt.Errorf("look for code of other roles: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Foreign])
	if err != nil {
		return nil, fmt.Errorf("look for code of other roles: %w", err)
	}
	return list, nil
}

// refuseForeignCode fails if the schema runs code of other roles.
func refuseForeignCode(ctx context.Context, conn *pgx.Conn, which string) error {
	list, err := foreign(ctx, conn, which)
	if err != nil || len(list) == 0 {
		return err
	}
	lines := make([]string, len(list))
	for i, f := range list {
		lines[i] = f.String()
	}
	return fmt.Errorf("code of other roles would run with the rights of those that insert messages, and of the relay: %s; "+
		"drop it, or give it to a role that you trust by alter … owner to", strings.Join(lines, "; "))
}
