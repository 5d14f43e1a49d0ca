package throwaway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// BouncerConfig says which server a PgBouncer stands before.
type BouncerConfig struct {
	// Server is where it connects to; required.
	Server *Postgres
	// Users are the roles that may come in, and their passwords.
	Users map[string]string
	// Settings are further lines of its section [pgbouncer], such as pool_mode.
	Settings map[string]string
}

// Bouncer is a PgBouncer, a connection pooler. The caller that started it calls Remove.
type Bouncer struct {
	folder  *folder
	port    *port
	process *process
}

var errNoBouncer = errors.New("no PgBouncer on this machine; scripts/install-test installs it")

// StartBouncer starts a PgBouncer on a free port and returns when it takes connections.
func StartBouncer(ctx context.Context, cfg BouncerConfig) (*Bouncer, error) {
	binary, err := findBouncer()
	if err != nil {
		return nil, err
	}
	owner, err := accountFor("postgres")
	if err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	port, err := takePort()
	if err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	folder, err := newFolder("relay-pgbouncer", owner)
	if err != nil {
		port.release()
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	b := &Bouncer{folder: folder, port: port}
	if err := b.start(ctx, binary, cfg); err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	return b, nil
}

// findBouncer looks where distributions put it, which is not in every user's PATH.
func findBouncer() (string, error) {
	const usual = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(usual); err == nil {
		return usual, nil
	}
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		return "", errNoBouncer
	}
	return path, nil
}

func (b *Bouncer) start(ctx context.Context, binary string, cfg BouncerConfig) (err error) {
	ini, users := filepath.Join(b.folder.path, "pgbouncer.ini"), filepath.Join(b.folder.path, "users.txt")
	if err := b.folder.owner.write(users, bouncerUsers(cfg.Users)); err != nil {
		return err
	}
	if err := b.folder.owner.write(ini, b.settings(cfg, users)); err != nil {
		return err
	}
	b.process, err = b.folder.start(launch{
		name: "relay-pgbouncer", path: binary, args: []string{ini}, env: []string{"PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		return err
	}
	if err := b.folder.watch("INT", b.process.pid); err != nil {
		return err
	}
	return b.process.until(ctx, func() bool { return answers(b.port.number) })
}

func bouncerUsers(users map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&text, "%q %q\n", name, users[name])
	}
	return text.String()
}

func (b *Bouncer) settings(cfg BouncerConfig, users string) string {
	settings := map[string]string{"auth_type": "scram-sha-256"}
	maps.Copy(settings, cfg.Settings)
	settings["listen_addr"] = "127.0.0.1"
	settings["listen_port"] = strconv.Itoa(b.port.number)
	settings["unix_socket_dir"] = ""
	settings["auth_file"] = users
	var text strings.Builder
	fmt.Fprintf(&text, "[databases]\n* = host=127.0.0.1 port=%d\n\n[pgbouncer]\n", cfg.Server.Port())
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = %s\n", name, settings[name])
	}
	return text.String()
}

// URL returns the address at which user connects to database through the pooler.
func (b *Bouncer) URL(user, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Path: database, RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port.number)),
	}
	return u.String()
}

// Remove stops the pooler if it runs and deletes what belongs to it.
func (b *Bouncer) Remove() error {
	var err error
	if b.process != nil && b.process.running() {
		err = b.process.end(syscall.SIGINT, stopLimit)
	}
	b.port.release()
	return errors.Join(err, b.folder.remove())
}
