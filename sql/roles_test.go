package sql_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay/cdc"
	"relay/sql"
	"relay/test/harness"
)

// The columns of what a role may do in the table of expectations.
const (
	byOwner = iota // the relay's role
	byGranted
	byNoDestination
	byInbox     // every consumer
	byConsumers // one consumer
	byAll       // granted, and the inbox
	byConnected // no grant at all
	byPublic
	roleKinds
)

var kindNames = [roleKinds]string{"owner", "granted", "no destination", "inbox", "inbox for one consumer", "granted and inbox", "connected only", "PUBLIC"}

const (
	everything = "everything"
	send       = "INSERT (body, content_type, deliver_at, destination, headers, id, key, payload, source, topic), SELECT (id)"
	sendAway   = "INSERT (body, content_type, deliver_at, headers, id, key, payload, source, topic), SELECT (id)"
	takeIn     = "INSERT (consumer, message_id)"
	nothing    = ""
)

// expectations says for each object of the schema what each kind of role may do. A new object
// needs a row here.
var expectations = map[string][roleKinds]string{
	"schema relay":       {everything, "USAGE", "USAGE", "USAGE", "USAGE", "USAGE", nothing, nothing},
	"table relay.outbox": {everything, send, sendAway, nothing, nothing, send, nothing, nothing},
	"table relay.inbox":  {everything, nothing, nothing, takeIn, takeIn, takeIn, nothing, nothing},

	"table relay.ack":                  ownersOnly,
	"table relay.ack_key":              ownersOnly,
	"table relay.attempt":              ownersOnly,
	"table relay.audit":                ownersOnly,
	"table relay.delivery":             ownersOnly,
	"table relay.idempotency":          ownersOnly,
	"table relay.identity":             ownersOnly,
	"table relay.inbox_version":        ownersOnly,
	"table relay.instance":             ownersOnly,
	"table relay.job":                  ownersOnly,
	"table relay.job_result":           ownersOnly,
	"table relay.lease":                ownersOnly,
	"table relay.pulse_outcome":        ownersOnly,
	"table relay.pulse_sent":           ownersOnly,
	"table relay.pulse_standing":       ownersOnly,
	"table relay.quarantine":           ownersOnly,
	"table relay.schema_version":       ownersOnly,
	"table relay.subscription":         ownersOnly,
	"table relay.subscription_version": ownersOnly,
	"sequence relay.audit_id_seq":      ownersOnly,
	"sequence relay.outbox_seq_seq":    ownersOnly,
	"type relay.message_status":        ownersOnly,
	"type relay.delivery_status":       ownersOnly,

	"function relay.new_id()": {everything, "EXECUTE", "EXECUTE", nothing, nothing, "EXECUTE", nothing, nothing},
	"function relay.publish(text,text,text,timestamp with time zone,interval,text,jsonb,bytea,text,text,uuid)": {
		everything, "EXECUTE", "EXECUTE", nothing, nothing, "EXECUTE", nothing, nothing},
	"function relay.receive(text,uuid)": {everything, nothing, nothing, "EXECUTE", "EXECUTE", "EXECUTE", nothing, nothing},

	"function relay.changed_by_hand()":                  ownersOnly,
	"function relay.delay_changed()":                    ownersOnly,
	"function relay.delivery_died()":                    ownersOnly,
	"function relay.message_rejected()":                 ownersOnly,
	"function relay.outbox_checked()":                   ownersOnly,
	"function relay.reported_target(text)":              ownersOnly,
	"function relay.ring()":                             ownersOnly,
	"function relay.shown_target(text)":                 ownersOnly,
	"function relay.subscription_changed()":             ownersOnly,
	"function relay.subscription_checked()":             ownersOnly,
	"function relay.subscription_deleted()":             ownersOnly,
	"function relay.subscription_versioned()":           ownersOnly,
	"function relay.wants_dead(text[])":                 ownersOnly,
	"procedure relay.forget_received(interval,integer)": ownersOnly,
}

var ownersOnly = [roleKinds]string{byOwner: everything}

// effective lists, for each object that the catalogue has, what a role may do with it, by
// whatever way it came to that, as the functions of PostgreSQL judge it.
const effective = `
with object as (
	select 'schema relay' as name, oid, 'schema' as kind, nspowner as owner from pg_namespace where nspname = 'relay'
	union all
	select case relkind when 'S' then 'sequence ' else 'table ' end || oid::regclass, oid, case relkind when 'S' then 'sequence' else 'table' end, relowner
	from pg_class where relnamespace = 'relay'::regnamespace and relkind not in ('i', 'I', 't', 'c')
	union all
	select case prokind when 'p' then 'procedure ' else 'function ' end || oid::regprocedure, oid, 'function', proowner
	from pg_proc where pronamespace = 'relay'::regnamespace
	union all
	select 'type ' || t.oid::regtype, t.oid, 'type', t.typowner from pg_type t left join pg_class c on c.oid = t.typrelid
	where t.typnamespace = 'relay'::regnamespace and t.typcategory <> 'A' and (c.oid is null or c.relkind = 'c')
), privilege as (
	select o.name, p.privilege, null as part from object o, unnest('{USAGE,CREATE}'::text[]) p(privilege)
	where o.kind = 'schema' and has_schema_privilege($1, o.oid, p.privilege)
	union all
	select o.name, p.privilege, null from object o, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p(privilege)
	where o.kind = 'table' and has_table_privilege($1, o.oid, p.privilege)
	union all
	select o.name, p.privilege, a.attname::text from object o join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped,
		unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p(privilege)
	where o.kind = 'table' and has_column_privilege($1, o.oid, a.attnum, p.privilege) and not has_table_privilege($1, o.oid, p.privilege)
	union all
	select o.name, p.privilege, null from object o, unnest('{USAGE,SELECT,UPDATE}'::text[]) p(privilege)
	where o.kind = 'sequence' and has_sequence_privilege($1, o.oid, p.privilege)
	union all
	select o.name, 'EXECUTE', null from object o where o.kind = 'function' and has_function_privilege($1, o.oid, 'EXECUTE')
	union all
	select o.name, 'USAGE', null from object o where o.kind = 'type' and has_type_privilege($1, o.oid, 'USAGE')
), line as (
	select name, privilege || coalesce(' (' || string_agg(part, ', ' order by part) || ')', '') as text from privilege group by name, privilege
)
select o.name, case when pg_get_userbyid(o.owner) = $1 then 'everything' else coalesce(string_agg(l.text, ', ' order by l.text), '') end
from object o left join line l on l.name = o.name
group by o.name, o.owner`

// mayDo returns what a role may do with each object.
func mayDo(t *testing.T, admin *pgxpool.Pool, role string) map[string]string {
	t.Helper()
	rows, err := admin.Query(t.Context(), effective, role)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	may := map[string]string{}
	for rows.Next() {
		var object, text string
		if err := rows.Scan(&object, &text); err != nil {
			t.Fatal(err)
		}
		may[object] = text
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return may
}

// newRole makes a role that may connect, and drops it at the end.
func newRole(t *testing.T, db *harness.DB, name string) string {
	t.Helper()
	role := name + "_" + db.Name
	admin := db.Admin(t)
	for _, statement := range []string{
		"create role " + role + " login password 'secret'",
		"grant connect on database " + db.Name + " to " + role,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		// The test's own context has ended.
		for _, statement := range []string{"drop owned by " + role + " cascade", "drop role " + role} {
			if _, err := admin.Exec(context.Background(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
	return role
}

// TestWhoMayDoWhat compares what each kind of role may do with the table of expectations,
// over every object of the schema, whatever default privileges were set and whatever the
// roles had before.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 16, 17, 18} {
		for _, generous := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, generous %t", major, generous), func(t *testing.T) {
				t.Parallel()
				compareRights(t, harness.DatabaseOn(t, major), generous)
			})
		}
	}
}

func compareRights(t *testing.T, db *harness.DB, generous bool) {
	roles := [roleKinds]string{byOwner: "relay", byPublic: "public"}
	for kind := byGranted; kind < byPublic; kind++ {
		roles[kind] = newRole(t, db, fmt.Sprintf("kind%d", kind))
	}
	granted := roles[byGranted:byPublic]
	owner, admin := db.Relay(t), db.Admin(t)
	if generous {
		for _, what := range []string{"all on tables", "all on sequences", "all on functions", "all on types", "all on schemas"} {
			if _, err := owner.Exec(t.Context(), "alter default privileges for role relay grant "+what+" to "+strings.Join(granted, ", ")); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := openStore(t, db.URL)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	makeRing(t, db)
	if generous {
		// What a person granted beforehand goes, too.
		for _, what := range []string{"all on all tables in schema relay", "update (status), insert (status), references (id) on relay.outbox",
			"all on all sequences in schema relay", "all on all routines in schema relay", "all on type relay.message_status", "all on schema relay"} {
			statement := "grant " + what + " to " + strings.Join(roles[byGranted:byConnected], ", ") + " with grant option"
			if _, err := owner.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	for _, err := range []error{
		s.Grant(t.Context(), roles[byGranted]),
		s.GrantWithoutDestination(t.Context(), roles[byNoDestination]),
		s.GrantInbox(t.Context(), roles[byInbox]),
		s.GrantInbox(t.Context(), roles[byConsumers], "warehouse"),
		s.Grant(t.Context(), roles[byAll]),
		s.GrantInbox(t.Context(), roles[byAll]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// A later run of migrations takes nothing away that relay grant gave.
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for kind, role := range roles {
		may := mayDo(t, admin, role)
		for _, object := range slices.Sorted(maps.Keys(may)) {
			expected, known := expectations[object]
			if !known {
				t.Errorf("%s has no row in expectations", object)
			} else if may[object] != expected[kind] {
				t.Errorf("%s, %s: may %q, want %q", object, kindNames[kind], may[object], expected[kind])
			}
		}
		if len(may) < len(expectations) {
			t.Errorf("%d objects, expectations has %d", len(may), len(expectations))
		}
	}
}

// makeRing makes the function that RELAY_CAPTURE=notify has.
func makeRing(t *testing.T, db *harness.DB) {
	t.Helper()
	conn, err := db.Relay(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if err := cdc.EnsureTrigger(t.Context(), conn.Conn()); err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, url string) *sql.Store {
	t.Helper()
	s, err := sql.Open(t.Context(), url, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
