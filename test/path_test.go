package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// opens are the places that open a connection to a database, by file, and how. All of them
// take sql.CommonSettings, but for the demo's, which are those of a shop and its superuser, and
// two that call a function of pg_catalog by its full name, to learn the mode of a pooler.
var opens = map[string][]string{
	"sql/store.go":    {"pgxpool.NewWithConfig"},
	"sql/connect.go":  {"pgx.ConnectConfig", "pgx.ConnectConfig", "pgconn.ConnectConfig", "pgconn.ConnectConfig"},
	"sql/pooler.go":   {"pgconn.ConnectConfig"},
	"demo/servers.go": {"pgx.Connect", "pgxpool.New", "pgxpool.New"},
}

// TestEveryPlaceThatConnectsIsKnown: another place must take the common settings too, and
// TestEverySessionHasOurSearchPath must reach it.
func TestEveryPlaceThatConnectsIsKnown(t *testing.T) {
	t.Parallel()
	found := map[string][]string{}
	for _, folder := range []string{"../*.go", "../admin", "../cdc", "../cmd", "../crash", "../demo", "../notify", "../reconcile", "../sql"} {
		for file, calls := range connectingCalls(t, folder) {
			found[file] = calls
		}
	}
	if !maps.EqualFunc(found, opens, slices.Equal[[]string]) {
		t.Errorf("connections are opened in %v, known are %v", found, opens)
	}
}

// connectingCalls returns the calls that open a connection in the Go files below a folder,
// or of a pattern.
func connectingCalls(t *testing.T, folder string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(folder)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(folder, ".go") {
		err = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			files = append(files, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	found := map[string][]string{}
	for _, file := range files {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.Contains(file, "testdata") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok {
				name := x.Name + "." + selector.Sel.Name
				opening := strings.HasPrefix(selector.Sel.Name, "Connect") && !strings.HasSuffix(selector.Sel.Name, "Error")
				if (x.Name == "pgx" || x.Name == "pgconn") && opening || x.Name == "pgxpool" && strings.HasPrefix(selector.Sel.Name, "New") || name == "stdlib.Open" {
					key := filepath.ToSlash(strings.TrimPrefix(file, "../"))
					found[key] = append(found[key], name)
				}
			}
			return true
		})
	}
	return found
}

// TestEverySessionHasOurSearchPath lets the server note the search path of every session at
// its login, which servers can from 17 on, while a role, a database and the URL say
// otherwise.
func TestEverySessionHasOurSearchPath(t *testing.T) {
	t.Parallel()
	for _, major := range []int{17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			admin := db.Admin(t)
			for _, statement := range []string{
				"create table public.login (role text, kind text, path text)",
				`create function public.note_login() returns event_trigger language plpgsql security definer as $$
				begin
					insert into public.login
					select session_user, (select backend_type from pg_catalog.pg_stat_activity where pid = pg_catalog.pg_backend_pid()),
						pg_catalog.current_setting('search_path');
				end $$`,
				"create event trigger note_login on login execute function public.note_login()",
				"alter event trigger note_login enable always",
				"alter database " + db.Name + " set search_path = public, pg_catalog",
				"alter role relay in database " + db.Name + " set search_path = public, pg_catalog",
			} {
				if _, err := admin.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			url := db.URL + "&options=-c%20search_path%3Dpublic&search_path=public"
			d := driven{db: db, relayURL: url, appURL: db.AppURL, adminURL: db.AdminURL, receiver: newFailingReceiver(t)}
			d.drive(t, func() {})
			var sessions, streams int
			var others []string
			err := admin.QueryRow(t.Context(), `
				select count(*) filter (where kind = 'client backend'), count(*) filter (where kind = 'walsender'),
					array(select distinct kind || ': ' || path from public.login where role = 'relay' and path <> 'pg_catalog')
				from public.login where role = 'relay'`).Scan(&sessions, &streams, &others)
			if err != nil {
				t.Fatal(err)
			}
			// drive itself connects as the relay's role once, to call relay.forget_received().
			if sessions < 30 || streams == 0 || !slices.Equal(others, []string{"client backend: public"}) {
				t.Errorf("of %d sessions and %d streams of the relay some had another search path: %q", sessions, streams, others)
			}
			var notOurs int
			err = admin.QueryRow(t.Context(), "select count(*) from public.login where role = 'relay' and path <> 'pg_catalog'").Scan(&notOurs)
			if err != nil || notOurs != 1 {
				t.Errorf("%d sessions had another search path, want the one of this test: %v", notOurs, err)
			}
		})
	}
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// TestAnAdministratorMakesTheSchema: without a stream the relay's role needs no right to
// create anything in the database.
func TestAnAdministratorMakesTheSchema(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	for _, statement := range []string{"revoke create on database " + db.Name + " from relay", "create schema relay authorization relay"} {
		if _, err := db.Admin(t).Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	prepare(t, db)
	r := newReceiver(t, nil)
	for _, capture := range []string{"notify", "poll"} {
		p := start(t, db, "RELAY_CAPTURE="+capture, "RELAY_DEFAULT_DESTINATION="+r.URL)
		id := insertRow(t, db.App(t), "topic, payload", "'t', '{}'")
		harness.Eventually(t, 30*time.Second, "the message is delivered", func() bool { return r.accepted(id) == 1 })
		if err := p.stop(30 * time.Second); err != nil {
			t.Error(err)
		}
	}
}
