package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
	"relay/throwaway"
)

// quickStarts are the pages that a new user pastes from the first command to the last, by the language that they need.
var quickStarts = map[string]string{
	"go": "../docs/quickstart-go.md", "java": "../docs/quickstart-java.md", "python": "../docs/quickstart-python.md",
	"node": "../docs/quickstart-node.md", "sql": "../docs/quickstart-sql.md", "first message": "../README.md",
}

// installs matches the lines that install what the machine of the tests has. They are not run.
var installs = regexp.MustCompile(`(?m)^(sudo apt-get|npm ci) .*\n`)

// TestQuickStarts pastes each page into a shell, on a server of its own: the message arrives, both programs stop, and
// after the commands of docs/operating.md nothing is left on the server.
func TestQuickStarts(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	for name, path := range quickStarts {
		pages[name] = readFile(t, path)
	}
	_, pages["first message"], _ = strings.Cut(pages["first message"], "\n## Your first message\n")
	pages["first message"], _, _ = strings.Cut(pages["first message"], "\n## ")
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, l := range languages() {
				if l.name == name || l.name == "python" && name == "sql" {
					l.need(t)
				}
			}
			u := newNewcomer(t)
			u.psql(blocks(page, "sql"))
			u.shell(blocks(page, "sh"))
			u.remove()
		})
	}
}

// blocks returns what stands in the code blocks of a language, except those that show a part of a program.
func blocks(page, language string) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile("(?s)(<!-- [^\n]* -->\n)?```"+language+"\n(.*?)```\n").FindAllStringSubmatch(page, -1) {
		if m[1] == "" {
			b.WriteString(m[2])
		}
	}
	return b.String()
}

// newcomer is a user who pastes the commands of a page.
type newcomer struct {
	t      *testing.T
	server *throwaway.Postgres
}

// newNewcomer starts a server on which the relay has never been.
func newNewcomer(t *testing.T) newcomer {
	t.Helper()
	server, err := throwaway.StartPostgres(t.Context(), throwaway.PostgresConfig{Name: "relay-quick-start", Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	})
	return newcomer{t: t, server: server}
}

// superuser returns the address of the server for its administrator.
func (u newcomer) superuser() string { return u.server.URL(throwaway.Superuser, "", "postgres") }

// psql runs statements as the superuser.
func (u newcomer) psql(statements string) {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), "psql", "-v", "ON_ERROR_STOP=1", "--quiet", u.superuser())
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		u.t.Fatalf("psql: %v\n%s\n%s", err, out, statements)
	}
}

// ending waits for the message, looks at it, and stops the programs as the pages say.
const ending = `
until [ "$(psql "$DATABASE_URL" -Atc 'select count(*) from shipment')" = 1 ]; do sleep 0.2; done
until relay messages list --json | grep -q '"status":"done"'; do sleep 0.2; done
kill %1 %2
wait
echo "the end"
`

// shell runs the commands of a page in one shell with job control, as a terminal's has. It has other ports than the
// page, and a relay that was built before.
func (u newcomer) shell(commands string) {
	u.t.Helper()
	bin := u.t.TempDir()
	if err := os.Symlink(harness.Build(u.t, "relay/cmd/relay"), filepath.Join(bin, "relay")); err != nil {
		u.t.Fatal(err)
	}
	commands = installs.ReplaceAllString(commands, "")
	for from, to := range map[string]string{
		"make build && PATH=$PWD/bin:": "PATH=" + bin + ":",
		"localhost/shop":               "127.0.0.1:" + strconv.Itoa(u.server.Port()) + "/shop",
		"8080":                         freePort(u.t),
	} {
		if !strings.Contains(commands, from) {
			u.t.Fatalf("the page has no %q any more:\n%s", from, commands)
		}
		commands = strings.ReplaceAll(commands, from, to)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(u.t.Context(), "bash", "-e", "-c", "set -m; trap 'kill %1 %2 2>/dev/null || true' EXIT\n"+commands+ending)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "..", &out, &out
	cmd.Env = append(os.Environ(), "RELAY_METRICS_ADDR=off", "RELAY_ADMIN_ADDR=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "the end") {
		u.t.Errorf("the commands: %v\n%s\nprinted\n%s", err, commands, &out)
	}
}

// remove runs what the manual says under 'Remove it', and looks for what is left.
func (u newcomer) remove() {
	u.t.Helper()
	_, section, _ := strings.Cut(readFile(u.t, operating), "\n## Remove it\n")
	u.psql(`\c shop` + "\n" + blocks(section, "sql"))
	conn, err := pgx.Connect(u.t.Context(), u.superuser())
	if err != nil {
		u.t.Fatal(err)
	}
	defer conn.Close(u.t.Context())
	var left string
	err = conn.QueryRow(u.t.Context(), `
		select coalesce(string_agg(line, ', '), '') from (
			select 'role ' || rolname as line from pg_roles where rolname in ('relay', 'app')
			union all select 'database ' || datname from pg_database where datname = 'shop'
			union all select 'slot ' || slot_name from pg_replication_slots
		) l`).Scan(&left)
	if err != nil || left != "" {
		u.t.Errorf("left on the server: %s, %v", left, err)
	}
}
