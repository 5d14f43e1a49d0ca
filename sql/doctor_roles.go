package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Privileges lists what other roles than the one that asks may do in the schema, by grants
// to them or to PUBLIC.
func (e *Examiner) Privileges(ctx context.Context) ([]Privilege, error) {
	var self string
	if err := e.Conn.QueryRow(ctx, "select current_user::text").Scan(&self); err != nil {
		return nil, fmt.Errorf("ask for the role: %w", err)
	}
	list, err := privileges(ctx, e.Conn, nil)
	others := list[:0]
	for _, p := range list {
		if p.Grantee != self {
			others = append(others, p)
		}
	}
	return others, err
}

// ForeignCode lists what of the schema runs code of roles that are neither the owner nor
// superusers.
func (e *Examiner) ForeignCode(ctx context.Context) ([]Foreign, error) {
	return foreign(ctx, e.Conn, foreignCode)
}

// Member is a role that has the rights of another one, or may take them on.
type Member struct {
	Role    string
	Through string // a role that it is a member of itself
	Of      string // the role whose rights it has: Through, or one that Through is a member of
	// Owner: Of owns something of the schema, or is a superuser.
	Owner bool
}

// Members lists the members of roles that matter: of owners of the schema's objects, of
// superusers, of those that read or write all data, and of those with privileges in the
// schema. Superusers and the role that asks are left out. A membership that gives neither
// the rights nor the leave to take them on is none.
func (e *Examiner) Members(ctx context.Context) ([]Member, error) {
	const statement = `
	with recursive object as (
		select n.nspowner as owner, n.nspacl as acl from pg_namespace n where n.nspname = 'relay'
		union all select c.relowner, c.relacl from pg_class c where c.relnamespace = to_regnamespace('relay')
		union all select c.relowner, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
			where c.relnamespace = to_regnamespace('relay') and a.attacl is not null
		union all select p.proowner, p.proacl from pg_proc p where p.pronamespace = to_regnamespace('relay')
		union all select t.typowner, t.typacl from pg_type t where t.typnamespace = to_regnamespace('relay')
	), root as (
		select r.oid, r.rolsuper or r.oid in (select owner from object) as owner from pg_roles r
		where r.rolsuper or r.rolname in ('pg_read_all_data', 'pg_write_all_data')
			or r.oid in (select owner from object union select x.grantee from object o cross join lateral aclexplode(o.acl) x)
	), edge as (
		select m.member, m.roleid from pg_auth_members m
		where coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true) or coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
	), reach (member, through, root) as (
		select edge.member, edge.roleid, root.oid from edge join root on root.oid = edge.roleid
		union
		select edge.member, edge.roleid, reach.root from reach join edge on edge.roleid = reach.member
	)
	select m.rolname::text, t.rolname::text, r.rolname::text, root.owner
	from reach
	join pg_roles m on m.oid = reach.member
	join pg_roles t on t.oid = reach.through
	join pg_roles r on r.oid = reach.root
	join root on root.oid = reach.root
	where not m.rolsuper and m.rolname <> current_user
	order by 1, 3, 2`
	rows, err := e.Conn.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("list members of roles: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Member])
	if err != nil {
		return nil, fmt.Errorf("list members of roles: %w", err)
	}
	return list, nil
}

// Superusers names the superusers that can log in, besides the role that asks.
func (e *Examiner) Superusers(ctx context.Context) ([]string, error) {
	var names []string
	const statement = `
	select array(select rolname::text from pg_roles where rolsuper and rolcanlogin and rolname <> current_user order by 1)`
	if err := e.Conn.QueryRow(ctx, statement).Scan(&names); err != nil {
		return nil, fmt.Errorf("list superusers: %w", err)
	}
	return names, nil
}

// Creator is a role that may create objects in a schema.
type Creator struct {
	Schema string
	Role   string // empty: every role, by PUBLIC
}

// Creators lists the roles that may create objects in the schema relay, or in a schema on
// the search path that the asking role has by default: the relay's sessions set another one,
// a person who connects as the role may not. Superusers are left out, and members of the
// owner of the schema relay.
func (e *Examiner) Creators(ctx context.Context) ([]Creator, error) {
	const statement = `
	with self as (
		select r.oid, r.rolname, d.oid as database from pg_roles r, pg_database d
		where r.rolname = current_user and d.datname = current_database()
	), path as (
		select coalesce((
			select substr(c.setting, 13) from pg_db_role_setting s cross join lateral unnest(s.setconfig) c(setting)
			where c.setting like 'search\_path=%' and s.setrole in (0, self.oid) and s.setdatabase in (0, self.database)
			order by s.setrole <> 0 desc, s.setdatabase <> 0 desc limit 1
		), '"$user", public') as setting from self
	), schema as (
		select n.oid, n.nspname, n.nspowner, n.nspacl from pg_namespace n, self, path
		where n.nspname <> 'pg_catalog' and (n.nspname = 'relay' or n.nspname = any (array(
			select case btrim(btrim(p.word), '"') when '$user' then self.rolname else btrim(btrim(p.word), '"') end
			from unnest(string_to_array(path.setting, ',')) p(word))))
	)
	select n.nspname::text, '' from schema n
	where exists (select from aclexplode(n.nspacl) x where x.grantee = 0 and x.privilege_type = 'CREATE')
	union all
	select n.nspname::text, r.rolname::text from schema n, pg_roles r, self
	where not r.rolsuper and r.oid <> self.oid and r.rolname !~ '^pg_'
		and has_schema_privilege(r.oid, n.oid, 'create')
		and not exists (select from aclexplode(n.nspacl) x where x.grantee = 0 and x.privilege_type = 'CREATE')
		and not (n.nspname = 'relay' and pg_has_role(r.oid, n.nspowner, 'usage'))
	order by 1, 2`
	rows, err := e.Conn.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("list the roles that may create objects: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Creator])
	if err != nil {
		return nil, fmt.Errorf("list the roles that may create objects: %w", err)
	}
	return list, nil
}

// Receiver is a role that may receive, by a policy of relay.inbox.
type Receiver struct {
	Role string // public: every role
	// Consumers is the condition under which it may, as PostgreSQL prints it; true: always.
	Consumers string
}

// Receivers lists the roles that may receive. Limited reports whether PostgreSQL obeys the
// policies; with no inbox here it does.
func (e *Examiner) Receivers(ctx context.Context) (list []Receiver, limited bool, err error) {
	const statement = `
	select case when role.oid = 0 then 'public' else pg_get_userbyid(role.oid)::text end, pg_get_expr(p.polwithcheck, p.polrelid)
	from pg_policy p cross join lateral unnest(p.polroles) role(oid)
	where p.polrelid = to_regclass('relay.inbox') and p.polwithcheck is not null
	order by 1, 2`
	rows, err := e.Conn.Query(ctx, statement)
	if err != nil {
		return nil, false, fmt.Errorf("list the roles that receive: %w", err)
	}
	if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Receiver]); err != nil {
		return nil, false, fmt.Errorf("list the roles that receive: %w", err)
	}
	const obeyed = "select coalesce((select relrowsecurity from pg_class where oid = to_regclass('relay.inbox')), true)"
	if err := e.Conn.QueryRow(ctx, obeyed).Scan(&limited); err != nil {
		return nil, false, fmt.Errorf("look at relay.inbox: %w", err)
	}
	return list, limited, nil
}
