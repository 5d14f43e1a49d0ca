package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Privilege is what a role that does not own an object of the schema relay may do with it.
type Privilege struct {
	Kind    string // schema, table, sequence, function, procedure or type, as GRANT names it
	Object  string // with its schema, quoted
	Column  string // quoted; empty: the whole object
	Name    string // SELECT, INSERT, …
	Grantee string // empty: PUBLIC
	Grantor string
	Owner   string // of the object
	// Grantable: the role may grant it to others.
	Grantable bool
	// Ours: the role that asks has the rights of the object's owner.
	Ours bool
	// Default: privileges of this kind are granted by ALTER DEFAULT PRIVILEGES.
	Default bool
}

// selectPrivileges lists the privileges of roles that do not own the object. A table's own
// row type and arrays have none that can be granted. $1 names one grantee; null: all.
const selectPrivileges = `
with object as (
	select 'schema' as kind, quote_ident(n.nspname) as name, '' as part, n.nspowner as owner,
		coalesce(n.nspacl, acldefault('n', n.nspowner)) as acl
	from pg_namespace n where n.nspname = 'relay'
	union all
	select case c.relkind when 'S' then 'sequence' else 'table' end, 'relay.' || quote_ident(c.relname), '', c.relowner,
		coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))
	from pg_class c where c.relnamespace = to_regnamespace('relay') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
	union all
	select 'table', 'relay.' || quote_ident(c.relname), quote_ident(a.attname), c.relowner, a.attacl
	from pg_attribute a join pg_class c on c.oid = a.attrelid
	where c.relnamespace = to_regnamespace('relay') and a.attacl is not null and not a.attisdropped
	union all
	select case p.prokind when 'p' then 'procedure' else 'function' end, p.oid::regprocedure::text, '', p.proowner,
		coalesce(p.proacl, acldefault('f', p.proowner))
	from pg_proc p where p.pronamespace = to_regnamespace('relay')
	union all
	select 'type', t.oid::regtype::text, '', t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
	from pg_type t left join pg_class c on c.oid = t.typrelid
	where t.typnamespace = to_regnamespace('relay') and t.typcategory <> 'A' and (c.oid is null or c.relkind = 'c')
)
select o.kind, o.name, o.part, x.privilege_type, coalesce(r.rolname::text, ''), pg_get_userbyid(x.grantor)::text,
	pg_get_userbyid(o.owner)::text, x.is_grantable,
	pg_has_role(o.owner, 'usage'),
	exists (
		select from pg_default_acl d cross join lateral aclexplode(d.defaclacl) y
		where d.defaclrole = o.owner and d.defaclnamespace in (0, to_regnamespace('relay')) and o.part = ''
			and d.defaclobjtype = case o.kind when 'schema' then 'n' when 'table' then 'r' when 'sequence' then 'S' when 'type' then 'T' else 'f' end
			and y.grantee = x.grantee and y.privilege_type = x.privilege_type
	)
from object o
cross join lateral aclexplode(o.acl) x
left join pg_roles r on r.oid = x.grantee
where x.grantee <> o.owner and ($1::text is null or r.rolname = $1)
order by 5, 1, 2, 3, 4`

// querying runs a query: a pool, a connection or a transaction.
type querying interface {
	Query(ctx context.Context, statement string, arguments ...any) (pgx.Rows, error)
}

// privileges lists the privileges of one role; of every role and PUBLIC if grantee is nil.
func privileges(ctx context.Context, on querying, grantee *string) ([]Privilege, error) {
	rows, err := on.Query(ctx, selectPrivileges, grantee)
	if err != nil {
		return nil, fmt.Errorf("list privileges: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Privilege])
	if err != nil {
		return nil, fmt.Errorf("list privileges: %w", err)
	}
	return list, nil
}

// String says what may be done with what.
func (p Privilege) String() string {
	text := p.Name
	if p.Column != "" {
		text += " (" + p.Column + ")"
	}
	text += " on " + p.Kind + " " + p.Object
	if p.Grantable {
		text += " with grant option"
	}
	return text
}

// Role names the grantee as SQL does.
func (p Privilege) Role() string {
	if p.Grantee == "" {
		return "public"
	}
	return quoteName(p.Grantee)
}

// Revoke returns the statement that takes the privilege away, or the grant option alone where
// relay grant gives the privilege without it.
func (p Privilege) Revoke() string {
	what := strings.ToLower(p.Name)
	if p.Column != "" {
		what += " (" + p.Column + ")"
	}
	plain := p
	plain.Grantable = false
	if p.Grantable && plain.Documented() {
		what = "grant option for " + what
	}
	return "revoke " + what + " on " + p.Kind + " " + p.Object + " from " + p.Role()
}

// toAll reports whether PUBLIC holds what PostgreSQL gives it when an object is made.
func (p Privilege) toAll() bool {
	return p.Grantee == "" && (p.Kind == "function" || p.Kind == "procedure" || p.Kind == "type")
}

// Documented reports whether relay grant gives roles such a privilege.
func (p Privilege) Documented() bool { return p.Sending() || p.Receiving() }

// Sending reports whether the privilege is one that Grant gives: to insert messages, and to
// read the id of them.
func (p Privilege) Sending() bool {
	switch {
	case p.Grantable || p.Grantee == "":
		return false
	case p.Kind == "schema":
		return p.Name == "USAGE"
	case p.Kind == "table" && p.Object == "relay.outbox":
		return p.Name == "INSERT" && slices.Contains(senderColumns, p.Column) || p.Name == "SELECT" && p.Column == "id"
	case p.Kind == "function":
		return strings.HasPrefix(p.Object, "relay.new_id(") || strings.HasPrefix(p.Object, "relay.publish(")
	}
	return false
}

// Receiving reports whether the privilege is one that GrantInbox gives: to call
// relay.receive().
func (p Privilege) Receiving() bool {
	switch {
	case p.Grantable || p.Grantee == "":
		return false
	case p.Kind == "schema":
		return p.Name == "USAGE"
	case p.Kind == "table" && p.Object == "relay.inbox":
		return p.Name == "INSERT" && slices.Contains(consumerColumns, p.Column)
	case p.Kind == "function":
		return strings.HasPrefix(p.Object, "relay.receive(")
	}
	return false
}

// quoteName quotes a name for SQL.
func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }
