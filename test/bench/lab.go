package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"relay/throwaway"
)

// These are the roles of every database. Both can reach this machine's throw-away server alone.
const (
	relayRole = "relay"
	appRole   = "app"
)

// lab holds what all measurements share: servers and the relay's binary.
type lab struct {
	postgres *throwaway.Postgres
	rabbit   *throwaway.Rabbit
	binary   string
	clean    func() error
	log      bool // relays' logs go to standard error too
	made     *int // databases
}

// newLab builds the relay and starts the servers.
func newLab(ctx context.Context, o options) (*lab, error) {
	dir, remove, err := throwaway.TempDir("relay-bench")
	if err != nil {
		return nil, err
	}
	l := &lab{binary: filepath.Join(dir, "relay"), clean: remove, log: o.log, made: new(int)}
	if err := l.start(ctx, o); err != nil {
		return nil, errors.Join(err, l.remove())
	}
	return l, nil
}

func (l *lab) start(ctx context.Context, o options) error {
	bin, err := throwaway.FindPostgres(o.postgres)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", l.binary, "relay/cmd/relay").CombinedOutput(); err != nil {
		return fmt.Errorf("build the relay: %w\n%s", err, out)
	}
	var group errgroup.Group
	group.Go(func() (err error) {
		l.postgres, err = throwaway.StartPostgres(ctx, throwaway.PostgresConfig{Name: "relay-bench-postgres", BinDir: bin})
		return err
	})
	group.Go(func() (err error) {
		l.rabbit, err = throwaway.StartRabbit(ctx, throwaway.RabbitConfig{Name: "relay-bench-rabbitmq"})
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return l.asAdmin(ctx, "create role "+relayRole+" login replication password 'relay'; create role "+appRole+" login password 'app'")
}

func (l *lab) asAdmin(ctx context.Context, statements string) error {
	conn, err := pgx.Connect(ctx, l.postgres.URL(throwaway.Superuser, "", "postgres"))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}

// remove stops the servers and deletes all there was.
func (l *lab) remove() error {
	var err error
	if l.postgres != nil {
		err = l.postgres.Remove()
	}
	if l.rabbit != nil {
		err = errors.Join(err, l.rabbit.Remove())
	}
	return errors.Join(err, l.clean())
}

// machine describes in one line what the figures were taken on.
func (l *lab) machine(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, l.postgres.URL(throwaway.Superuser, "", "postgres"))
	if err != nil {
		return "", fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var postgres string
	if err := conn.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1)").Scan(&postgres); err != nil {
		return "", err
	}
	var broker struct {
		Version string `json:"rabbitmq_version"`
	}
	if err := l.rabbit.API(ctx, "GET", "/api/overview", nil, &broker); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d cores, PostgreSQL %s, RabbitMQ %s, %s", cpuModel(), runtime.NumCPU(), postgres, broker.Version, runtime.Version()), nil
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// database is a fresh, migrated database with a queue of its own for the broker.
type database struct {
	lab   *lab
	name  string
	url   string        // as the relay
	queue string        // its name; the relay declares it
	app   *pgxpool.Pool // as the application
	admin *pgxpool.Pool // as the superuser
}

// database makes a database. The caller drops it.
func (l *lab) database(ctx context.Context) (*database, error) {
	*l.made++
	name := fmt.Sprintf("bench_%d", *l.made)
	for _, statement := range []string{"create database " + name, "grant create on database " + name + " to " + relayRole} {
		if err := l.asAdmin(ctx, statement); err != nil {
			return nil, err
		}
	}
	d := &database{lab: l, name: name, queue: name, url: l.postgres.URL(relayRole, relayRole, name)}
	for _, args := range [][]string{{"migrate"}, {"grant", appRole}} {
		if out, err := l.command(ctx, args, "RELAY_DATABASE_URL="+d.url).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("relay %s: %w\n%s", args[0], err, out)
		}
	}
	var err error
	if d.app, err = pgxpool.New(ctx, l.postgres.URL(appRole, appRole, name)+"&pool_max_conns=32"); err != nil {
		return nil, err
	}
	d.admin, err = pgxpool.New(ctx, l.postgres.URL(throwaway.Superuser, "", name)+"&pool_max_conns=8")
	return d, err
}

// drop removes the database with its slots. No relay may be running on it.
func (d *database) drop(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	_, err := d.admin.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1", d.name)
	d.app.Close()
	d.admin.Close()
	return errors.Join(err, d.lab.asAdmin(ctx, "drop database "+d.name+" with (force)"))
}
