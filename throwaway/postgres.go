package throwaway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Superuser is the name of the database superuser of every throw-away PostgreSQL server.
const Superuser = "postgres"

// startLimit bounds a server's start where the caller's context does not.
const startLimit = 2 * time.Minute

// stopLimit bounds a server's stop.
const stopLimit = time.Minute

// PostgresConfig says which server to start and how. The zero value starts the newest
// installed version with durable settings and wal_level = logical.
type PostgresConfig struct {
	// Name stands in the folder's name and in errors. Empty means "relay-postgres".
	Name string
	// BinDir holds initdb and postgres. Empty means FindPostgres(0).
	BinDir string
	// Settings go into postgresql.conf, above this package's own; port and socket
	// folder cannot be set.
	Settings map[string]string
	// Log receives the server's log as it is written. Nil means that it is kept in the folder
	// only, and its end is part of the error when a start fails.
	Log io.Writer
}

// Postgres is a running or stopped server. Its methods are safe for concurrent use. The caller
// that started it calls Remove.
type Postgres struct {
	cfg      PostgresConfig
	folder   *folder
	port     *port
	password string

	mu     sync.Mutex
	server *process // nil: never started
}

// StartPostgres makes a cluster in a new temporary folder and starts a server on it. The
// superuser has a random password, which URL knows; connections over TCP use SCRAM. It
// returns when the server takes connections.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	if cfg.Name == "" {
		cfg.Name = "relay-postgres"
	}
	if cfg.BinDir == "" {
		dir, err := FindPostgres(0)
		if err != nil {
			return nil, err
		}
		cfg.BinDir = dir
	}
	owner, err := accountFor("postgres")
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w (the distribution's PostgreSQL package makes it: scripts/install-demo)", err)
	}
	port, err := takePort()
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	folder, err := newFolder(cfg.Name, owner)
	if err != nil {
		port.release()
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	p := &Postgres{cfg: cfg, folder: folder, port: port, password: rand.Text()}
	if err := p.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make a PostgreSQL cluster: %w", err), p.Remove())
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, p.Remove())
	}
	return p, nil
}

// create runs initdb and writes the settings.
func (p *Postgres) create(ctx context.Context) error {
	passwords := filepath.Join(p.folder.path, "password")
	if err := p.folder.owner.write(passwords, p.password); err != nil {
		return err
	}
	cmd := p.folder.command(ctx, p.environment(), filepath.Join(p.cfg.BinDir, "initdb"),
		"--pgdata", p.data(), "--username", Superuser, "--pwfile", passwords,
		"--auth-local", "trust", "--auth-host", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := os.Remove(passwords); err != nil {
		return err
	}
	return p.configure()
}

func (p *Postgres) configure() error {
	settings := map[string]string{
		"listen_addresses": "127.0.0.1",
		"wal_level":        "logical",
		// Files in the data folder, which goes with it; shared memory would outlive a kill.
		"dynamic_shared_memory_type": "mmap",
		"log_line_prefix":            "%m [%p] %q%u@%d ",
	}
	maps.Copy(settings, p.cfg.Settings)
	settings["port"] = strconv.Itoa(p.port.number)
	settings["unix_socket_directories"] = p.folder.path
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	conf, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(text.String())
	return errors.Join(err, conf.Close())
}

// Start starts the server again after Stop or Kill, on the same port and data, and
// returns when it takes connections. On a running server it does nothing.
func (p *Postgres) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil && p.server.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	server, err := p.folder.start(launch{
		name: p.cfg.Name,
		path: filepath.Join(p.cfg.BinDir, "postgres"),
		args: []string{"-D", p.data()},
		env:  p.environment(),
		log:  p.cfg.Log,
	})
	if err != nil {
		return err
	}
	p.server = server
	// Immediate shutdown: the server ends its children and frees its shared memory.
	if err := p.folder.watch("QUIT", server.pid); err != nil {
		return err
	}
	return server.until(ctx, p.ready)
}

// ready reports whether the server has written into its lock file that it takes
// connections, the same sign that pg_ctl waits for.
func (p *Postgres) ready() bool {
	lines := p.lockFile()
	return len(lines) >= 8 && lines[0] == strconv.Itoa(p.server.pid) && strings.TrimSpace(lines[7]) == "ready"
}

// lockFile returns the lines of postmaster.pid; none if it does not exist.
func (p *Postgres) lockFile() []string {
	b, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\n")
}

// Stop stops the server and returns when it has ended. The modes are those of pg_ctl:
// "smart" waits for clients to leave, "fast" ends their sessions, "immediate" is a crash
// that needs recovery. It gives up after a minute. A stopped server stays stopped.
func (p *Postgres) Stop(mode string) error {
	signals := map[string]syscall.Signal{"smart": syscall.SIGTERM, "fast": syscall.SIGINT, "immediate": syscall.SIGQUIT}
	signal, ok := signals[mode]
	if !ok {
		return fmt.Errorf("stop PostgreSQL: unknown mode %q", mode)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil || !p.server.running() {
		return nil
	}
	if err := p.server.end(signal, stopLimit); err != nil {
		return err
	}
	return p.folder.watch("")
}

// Kill kills the server and all its children without warning, like a power cut that the
// operating system's cache survives, and returns when they are gone.
func (p *Postgres) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil || !p.server.running() {
		return nil
	}
	// A stopped server starts no more children and does not see these die.
	if err := kill(p.server.pid, halting); err != nil {
		return fmt.Errorf("halt %s: %w", p.cfg.Name, err)
	}
	children := childrenOf(p.server.pid)
	for _, pid := range children {
		kill(pid, syscall.SIGKILL)
	}
	if err := p.server.end(syscall.SIGKILL, stopLimit); err != nil {
		return err
	}
	return errors.Join(waitGone(children, stopLimit), p.folder.watch(""))
}

// Remove stops the server if it runs and deletes everything that belongs to it. It may be
// called more than once.
func (p *Postgres) Remove() error {
	err := p.Stop("immediate")
	p.mu.Lock()
	defer p.mu.Unlock()
	freeSharedMemory(p.lockFile())
	p.port.release()
	return errors.Join(err, p.folder.remove())
}

// URL returns the address at which user connects to database over TCP. For the superuser
// an empty password stands for the server's own; for others it means none.
func (p *Postgres) URL(user, password, database string) string {
	if user == Superuser && password == "" {
		password = p.password
	}
	info := url.User(user)
	if password != "" {
		info = url.UserPassword(user, password)
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     info,
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port())),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port returns the TCP port on 127.0.0.1, the same over restarts.
func (p *Postgres) Port() int { return p.port.number }

// Dir returns the server's temporary folder: its Unix socket, its log, and under data the
// cluster. Only the account that the server runs as can enter it.
func (p *Postgres) Dir() string { return p.folder.path }

// BinDir returns the folder of the server's binaries.
func (p *Postgres) BinDir() string { return p.cfg.BinDir }

func (p *Postgres) data() string { return filepath.Join(p.folder.path, "data") }

// environment is the whole of what the server sees; a user's PG variables stay out.
func (p *Postgres) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder.path, "LC_ALL=C", "TZ=UTC"}
}
