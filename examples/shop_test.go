package examples

import (
	"bytes"
	"encoding/base64"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/harness"
)

// shop is a database in which the example programs run, with a receiver that listens and a
// relay between them.
type shop struct {
	t        *testing.T
	language language
	app      *pgxpool.Pool // as the application's role
	admin    *pgxpool.Pool // as the superuser, which may read messages
	appURL   string
	amqpURL  string
	env      []string
	secret   string
	endpoint string // of the receiver
}

// open makes a shop. Its receiver's work fails when a body holds the word refuse.
func open(t *testing.T, l language) *shop {
	t.Helper()
	db := harness.Database(t)
	s := &shop{t: t, language: l, app: db.App(t), admin: db.Admin(t), appURL: db.AppURL, amqpURL: harness.AMQPURL(t)}
	s.secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of 32 bytes for testing"))
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8",
		"RELAY_HTTP_SECRET=" + s.secret, "RELAY_DATABASE_URL=" + db.URL, "RELAY_SLOT=" + db.Name,
		"RELAY_AMQP_URL=" + s.amqpURL,
	}
	s.relay(t, "migrate")
	s.relay(t, "grant", "app")
	s.relay(t, "grant", "app", "--inbox", receiverName)
	execute(t, s.admin, "create schema app authorization app")
	tables, err := os.ReadFile("sql/tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	execute(t, s.app, string(tables))
	s.refuse(t)

	receiver, metrics := freePort(t), freePort(t)
	s.endpoint = "http://127.0.0.1:" + receiver + "/hooks"
	s.env = append(s.env, "DATABASE_URL="+db.AppURL, "JDBC_DATABASE_URL="+jdbcURL(t, db.AppURL),
		"RELAY_DEFAULT_DESTINATION="+s.endpoint, "RELAY_METRICS_ADDR=127.0.0.1:"+metrics, "RELAY_ADMIN_ADDR=off")
	s.start(l.receive(s, receiver)...)
	waitListening(t, receiver)
	s.start(harness.Build(t, "relay/cmd/relay"), "run")
	waitListening(t, metrics)
	return s
}

// command prepares a program in the environment of the shop. It ends with the test
// process, whatever happens to that.
func (s *shop) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a program to its end and returns what it printed.
func (s *shop) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := s.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// relay runs a command of the relay to its end and returns what it printed.
func (s *shop) relay(t *testing.T, args ...string) string {
	t.Helper()
	return s.run(t, append([]string{harness.Build(t, "relay/cmd/relay")}, args...)...)
}

// start runs a program until it is killed or the test ends, and prints what it wrote if
// that failed.
func (s *shop) start(args ...string) (kill func()) {
	s.t.Helper()
	cmd := s.command(args...)
	var out bytes.Buffer // read after Wait alone
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // an error only says that it was killed
	})
	s.t.Cleanup(func() {
		kill()
		if s.t.Failed() {
			s.t.Logf("%s printed:\n%s", strings.Join(args, " "), &out)
		}
	})
	return kill
}

// refuse makes the work fail when a body holds the word refuse.
func (s *shop) refuse(t *testing.T) {
	t.Helper()
	execute(t, s.app, "alter table shipment add constraint refuse check (what not like '%refuse%') not valid")
}

// relent lets the work succeed that was refused.
func (s *shop) relent(t *testing.T) {
	t.Helper()
	execute(t, s.app, "alter table shipment drop constraint refuse")
}

func execute(t *testing.T, db *pgxpool.Pool, statements string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// query returns the one value that a query finds.
func query[T any](t *testing.T, db *pgxpool.Pool, statement string, args ...any) (value T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), statement, args...).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(harness.FreeAddress(t))
	return port
}

func waitListening(t *testing.T, port string) {
	t.Helper()
	harness.Eventually(t, patience, "a process listens on port "+port, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// jdbcURL writes a URL of libpq as JDBC has it: user and password are parameters.
func jdbcURL(t *testing.T, libpq string) string {
	t.Helper()
	u, err := url.Parse(libpq)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	query := u.Query()
	query.Set("user", u.User.Username())
	query.Set("password", password)
	u.User, u.RawQuery = nil, query.Encode()
	u.Scheme = "postgresql"
	return "jdbc:" + u.String()
}
