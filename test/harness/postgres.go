package harness

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"relay/throwaway"
)

// Names and passwords of the two roles that every shared server has.
const (
	relayRole = "relay"
	appRole   = "app"
)

// sharedMajor is the version of the server that Database uses.
const sharedMajor = 15

// roles makes what a person would make before the first start of the relay: it streams,
// and is no superuser. Both are cluster-wide, so their rights are given per database.
const roles = `
create role relay login replication password 'relay';
create role app login password 'app'`

// sharedSettings trade durability for speed and make room for many tests at once.
var sharedSettings = map[string]string{
	"fsync":                           "off",
	"full_page_writes":                "off",
	"max_connections":                 "500",
	"max_wal_senders":                 "100",
	"max_replication_slots":           "200",
	"max_prepared_transactions":       "100",
	"max_logical_replication_workers": "0",
}

// cluster is a server that the tests of this process share.
type cluster struct {
	once   sync.Once
	server *throwaway.Postgres
	err    error
}

// clusters holds one server per major version, started on first use.
var clusters [throwaway.NewestPostgres + 1]cluster

// sharedPostgres returns this process's server of a major version.
func sharedPostgres(t testing.TB, major int) *throwaway.Postgres {
	t.Helper()
	if major < throwaway.OldestPostgres || major > throwaway.NewestPostgres {
		t.Fatalf("harness: PostgreSQL %d is not supported", major)
	}
	c := &clusters[major]
	c.once.Do(func() { c.server, c.err = startShared(major) })
	if c.err != nil {
		t.Fatalf("harness: %v", c.err)
	}
	return c.server
}

func startShared(major int) (*throwaway.Postgres, error) {
	dir, err := throwaway.FindPostgres(major)
	if err != nil {
		return nil, err
	}
	ctx := context.Background() // the server outlives the test that first asks for it
	server, err := throwaway.StartPostgres(ctx, throwaway.PostgresConfig{
		Name:     fmt.Sprintf("relay-test-postgres-%d", major),
		BinDir:   dir,
		Settings: sharedSettings,
	})
	if err != nil {
		return nil, err
	}
	atExit(server.Remove)
	return server, createRoles(ctx, server)
}

// createRoles makes the roles relay and app.
func createRoles(ctx context.Context, server *throwaway.Postgres) error {
	return asAdmin(ctx, server, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, roles)
		return err
	})
}

// asAdmin runs do on a superuser's connection of its own.
func asAdmin(ctx context.Context, server *throwaway.Postgres, database string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, server.URL(throwaway.Superuser, "", database))
	if err != nil {
		return fmt.Errorf("connect as superuser: %w", err)
	}
	defer conn.Close(ctx)
	return do(conn)
}

// Postgres starts a server of the test's own, for tests that stop it, kill it or need
// settings of their own, and removes it at the end. The zero configuration starts
// PostgreSQL 15 with durable settings. It has the roles relay and app; NewDatabase makes
// databases on it.
func Postgres(t testing.TB, cfg throwaway.PostgresConfig) *throwaway.Postgres {
	t.Helper()
	if cfg.BinDir == "" {
		dir, err := throwaway.FindPostgres(sharedMajor)
		if err != nil {
			t.Fatalf("harness: %v", err)
		}
		cfg.BinDir = dir
	}
	if cfg.Name == "" {
		cfg.Name = "relay-test-postgres"
	}
	server, err := throwaway.StartPostgres(t.Context(), cfg)
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	if err := createRoles(t.Context(), server); err != nil {
		t.Fatalf("harness: create roles: %v", err)
	}
	return server
}
