package harness

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay/throwaway"
)

// DB is a test's own database, empty but for what every database has.
type DB struct {
	Server *throwaway.Postgres
	Name   string
	// URL connects as role relay: LOGIN and REPLICATION, no superuser, with CONNECT and
	// CREATE on this database and nothing else.
	URL string
	// AdminURL connects as the superuser.
	AdminURL string
	// AppURL connects as role app, the application: LOGIN, and CONNECT on this database.
	AppURL string

	mu    sync.Mutex
	pools map[string]*pgxpool.Pool // by URL
}

// databases numbers the databases of this process.
var databases atomic.Int64

// Database makes an empty database on the PostgreSQL 15 server that this test process
// shares, and drops it at the end with its slots and prepared transactions. The shared
// server does not sync to disk. Creating a slot waits for the transactions open in all
// its databases: a test that holds one open for long uses a server of its own.
func Database(t testing.TB) *DB {
	t.Helper()
	return DatabaseOn(t, sharedMajor)
}

// DatabaseOn is Database on another major version, 15 to 18.
func DatabaseOn(t testing.TB, major int) *DB {
	t.Helper()
	return shared(t, major, "")
}

// DatabaseIn is Database in another encoding than UTF8.
func DatabaseIn(t testing.TB, encoding string) *DB {
	t.Helper()
	return shared(t, sharedMajor, " template template0 locale 'C' encoding '"+encoding+"'")
}

// shared makes a database on a shared server and drops it at the end.
func shared(t testing.TB, major int, options string) *DB {
	t.Helper()
	d := newDatabase(t, sharedPostgres(t, major), options)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := d.drop(ctx); err != nil {
			t.Errorf("harness: drop database %s: %v", d.Name, err)
		}
	})
	return d
}

// NewDatabase makes an empty database on a server of the test's own, made by Postgres. It
// ends with the server, which may be down when the test ends.
func NewDatabase(t testing.TB, server *throwaway.Postgres) *DB {
	t.Helper()
	return newDatabase(t, server, "")
}

func newDatabase(t testing.TB, server *throwaway.Postgres, options string) *DB {
	t.Helper()
	name := "test_" + strconv.FormatInt(databases.Add(1), 10)
	d := &DB{
		Server:   server,
		Name:     name,
		URL:      server.URL(relayRole, relayRole, name),
		AdminURL: server.URL(throwaway.Superuser, "", name),
		AppURL:   server.URL(appRole, appRole, name),
		pools:    map[string]*pgxpool.Pool{},
	}
	if err := d.create(t.Context(), options); err != nil {
		t.Fatalf("harness: create database %s: %v", name, err)
	}
	return d
}

func (d *DB) create(ctx context.Context, options string) error {
	return asAdmin(ctx, d.Server, "postgres", func(conn *pgx.Conn) error {
		for _, statement := range []string{
			"create database " + d.Name + options,
			"revoke all on database " + d.Name + " from public",
			"grant connect, create on database " + d.Name + " to relay",
			"grant connect on database " + d.Name + " to app",
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// drop ends whatever would hold the database: a prepared transaction can be rolled back only from
// inside it, and a slot dropped only when no session reads it.
func (d *DB) drop(ctx context.Context) error {
	err := asAdmin(ctx, d.Server, d.Name, func(conn *pgx.Conn) error { return d.rollBackPrepared(ctx, conn) })
	if err != nil {
		return err
	}
	return asAdmin(ctx, d.Server, "postgres", func(conn *pgx.Conn) error {
		if err := d.dropSlots(ctx, conn); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "drop database "+d.Name+" with (force)")
		return err
	})
}

func (d *DB) rollBackPrepared(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "select format('rollback prepared %L', gid) from pg_prepared_xacts where database = $1", d.Name)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// dropSlots refuses new connections, ends those there are, and drops the slots. A slot is
// still held for a moment after its reader was told to end.
func (d *DB) dropSlots(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "alter database "+d.Name+" allow_connections false"); err != nil {
		return err
	}
	for {
		var left int
		err := conn.QueryRow(ctx, `
			with ended as materialized (
				select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1
			), dropped as materialized (
				select count(pg_drop_replication_slot(slot_name))
				from ended, pg_replication_slots where database = $1 and not active
			)
			select count(*) from dropped, pg_replication_slots where database = $1 and active`, d.Name).Scan(&left)
		if err != nil {
			return fmt.Errorf("drop slots: %w", err)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d slots stay active: %w", left, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Admin returns the test's pool of superuser connections, closed at the end.
func (d *DB) Admin(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return d.pool(t, d.AdminURL)
}

// App returns the test's pool of connections as the application.
func (d *DB) App(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return d.pool(t, d.AppURL)
}

// Relay returns the test's pool of connections as the relay.
func (d *DB) Relay(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return d.pool(t, d.URL)
}

// pool returns the one pool there is for a URL, of up to 16 connections.
func (d *DB) pool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.pools[url]; ok {
		return p
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	cfg.MaxConns = 16
	p, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	d.pools[url] = p
	t.Cleanup(func() {
		d.mu.Lock()
		delete(d.pools, url)
		d.mu.Unlock()
		closePool(t, p)
	})
	return p
}

// closePool closes a pool. Close waits for connections that a failed test did not give
// back; dropping the database ends those.
func closePool(t testing.TB, p *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		p.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Errorf("harness: %d connections were not given back to their pool", p.Stat().AcquiredConns())
	}
}
