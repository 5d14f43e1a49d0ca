package test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// A hostile is a function or an operator that a role without rights made, in the hope that
// another role's statement means it.
type hostile struct {
	name string // with the types of its arguments
	make string // the statements
}

// planter makes hostile functions in the schema public and can tell whether one has run: a
// sequence keeps its value when a transaction is rolled back.
type planter struct {
	db      *harness.DB
	role    string
	planted []string // what has run, by the sequence's value less one
}

// plantable are the types that arguments are tried with.
var plantable = []string{"uuid", "text", "bigint", "integer", "smallint", "boolean", "timestamp with time zone", "interval", "bytea", "jsonb", "double precision"}

// newPlanter makes the role and lets every role make objects in public, as servers before
// 15 did.
func newPlanter(t *testing.T, db *harness.DB) *planter {
	t.Helper()
	p := &planter{db: db, role: "mallory"}
	admin := connect(t, db.AdminURL)
	for _, statement := range []string{
		"create role mallory login password 'mallory'",
		"grant connect on database " + db.Name + " to mallory",
		"grant usage, create on schema public to public",
		"create sequence public.ran",
		"create sequence public.ran_as",
		"grant all on sequence public.ran, public.ran_as to public",
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// plant makes functions and operators as the hostile role, or gives it those that name types
// which are closed to it. What cannot be made at all is left out.
func (p *planter) plant(t *testing.T, conn *pgx.Conn, list []hostile) {
	t.Helper()
	for _, h := range list {
		p.planted = append(p.planted, h.name)
		number := len(p.planted)
		_, err := conn.Exec(t.Context(), strings.ReplaceAll(h.make, "BODY", fmt.Sprintf(`$$
			begin
				perform pg_catalog.setval('public.ran', %d);
				perform pg_catalog.setval('public.ran_as', (select oid::bigint from pg_catalog.pg_roles where rolname operator(pg_catalog.=) current_user));
				raise exception 'HOSTILE %s ran as %%', current_user;
			end $$`, number, strings.ReplaceAll(h.name, "%", "%%"))))
		if err != nil {
			p.planted[number-1] = ""
		}
	}
}

// caught returns what ran, and as which role. It is empty if nothing did.
func (p *planter) caught(t *testing.T) string {
	t.Helper()
	ctx := context.Background() // the test's own has ended
	conn, err := pgx.Connect(ctx, p.db.AdminURL+"&search_path=pg_catalog")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var number int
	var ran bool
	var as string
	err = conn.QueryRow(ctx, `select r.last_value, r.is_called, coalesce((select rolname from pg_roles where oid::bigint = a.last_value), '')
		from public.ran r, public.ran_as a`).Scan(&number, &ran, &as)
	if err != nil {
		t.Fatal(err)
	}
	if !ran {
		return ""
	}
	return p.planted[number-1] + " as role " + as
}

// calledNames returns every word of the product's Go and SQL files that a parenthesis follows:
// all functions that its statements call are among them.
func calledNames(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`\b([a-z_][a-z0-9_]*)\s*\(`)
	names := map[string]bool{}
	for _, folder := range []string{"../admin", "../cdc", "../cmd", "../reconcile", "../sql"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".sql") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, match := range call.FindAllStringSubmatch(string(text), -1) {
				names[match[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// hostileFunctions returns overloads of the functions of pg_catalog with these names: one for
// each type in place of a polymorphic one and, with casts, for each way in which the
// arguments can be given without a cast that is written.
func hostileFunctions(t *testing.T, conn *pgx.Conn, names, types []string, casts bool) []hostile {
	t.Helper()
	const query = `
	select p.proname::text, array(select format_type(a.type, null) from unnest(p.proargtypes) with ordinality a(type, n) order by n),
		format_type(p.prorettype, null), p.proretset
	from pg_catalog.pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any ($1) and p.prokind in ('f', 'a', 'w') and p.pronargs > 0`
	rows, err := conn.Query(t.Context(), query, names)
	if err != nil {
		t.Fatal(err)
	}
	var given map[string][]string
	if casts {
		given = implicitCasts(t, connect(t, conn.Config().ConnString()))
	}
	var list []hostile
	seen := map[string]bool{}
	var name, result string
	var arguments []string
	var set bool
	_, err = pgx.ForEachRow(rows, []any{&name, &arguments, &result, &set}, func() error {
		for _, any := range types {
			for _, way := range ways(arguments, any, given) {
				signature := name + "(" + strings.Join(way, ", ") + ")"
				if seen[signature] {
					continue
				}
				seen[signature] = true
				returns := concrete(result, any)
				if set {
					returns = "setof " + returns
				}
				list = append(list, hostile{name: signature, make: fmt.Sprintf("create function public.%s returns %s language plpgsql as BODY", signature, returns)})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// implicitCasts returns, for each type, those that become it without a word.
func implicitCasts(t *testing.T, conn *pgx.Conn) map[string][]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		select format_type(casttarget, null), format_type(castsource, null) from pg_cast
		where castcontext = 'i' and format_type(castsource, null) = any ($1)`, plantable)
	if err != nil {
		t.Fatal(err)
	}
	casts := map[string][]string{}
	var target, source string
	_, err = pgx.ForEachRow(rows, []any{&target, &source}, func() error {
		casts[target] = append(casts[target], source)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return casts
}

// ways returns the lists of types that fit the arguments, with one type in place of the
// polymorphic ones; at most 64.
func ways(arguments []string, any string, casts map[string][]string) [][]string {
	lists := [][]string{nil}
	for _, argument := range arguments {
		exact := concrete(argument, any)
		var longer [][]string
		for _, list := range lists {
			for _, given := range append([]string{exact}, casts[exact]...) {
				longer = append(longer, append(slices.Clone(list), given))
			}
		}
		lists = longer[:min(len(longer), 64)]
	}
	return lists
}

// concrete puts a type in place of a polymorphic one.
func concrete(argument, any string) string {
	switch argument {
	case "anyelement", "anynonarray", "anycompatible", "anycompatiblenonarray", "anyenum", `"any"`:
		return any
	case "anyarray", "anycompatiblearray":
		return any + "[]"
	}
	return argument
}

// hostileOperators returns every operator that occurs in a statement, between all types.
func hostileOperators(left, right []string) []hostile {
	var list []hostile
	for _, l := range left {
		for _, r := range right {
			for _, operator := range []string{"=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "&", "||", "~", "!~", "~*", "->", "->>", "@>"} {
				result := "boolean"
				if strings.ContainsAny(operator[:1], "+-*/&|") {
					result = l
				}
				function := fmt.Sprintf("public.\"%s %s %s\"(%[1]s, %[3]s)", l, operator, r)
				list = append(list, hostile{
					name: l + " " + operator + " " + r,
					make: fmt.Sprintf("create function %s returns %s language plpgsql as BODY; create operator public.%s (leftarg = %s, rightarg = %s, function = public.\"%[4]s %[3]s %[5]s\")",
						function, result, operator, l, r),
				})
			}
		}
	}
	return list
}
