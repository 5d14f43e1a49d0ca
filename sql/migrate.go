package sql

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable records which migrations ran.
const versionTable = "relay.schema_version"

// migrationLock is the key of the advisory lock under which the schema itself is made; the
// migrations take one of their own.
const migrationLock = 0x72656c6179 // "relay"

// connectUnbounded opens a connection outside of the pool whose statements take as long as
// they take: others may be migrating a large table, and the caller waits for them.
func (s *Store) connectUnbounded(ctx context.Context) (*pgx.Conn, error) {
	config := s.pool.Config().ConnConfig
	config.DialFunc = (&net.Dialer{}).DialContext
	config.RuntimeParams["statement_timeout"], config.RuntimeParams["lock_timeout"] = "0", "0"
	return pgx.ConnectConfig(ctx, config)
}

// Migrate creates the schema relay or brings it to this program's version, and returns the
// versions before and after. It is idempotent, moves forward only, and several relays may
// call it at once: they wait for each other. A schema newer than this program is an error.
func (s *Store) Migrate(ctx context.Context) (from, to int32, err error) {
	conn, err := s.connectUnbounded(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := ensureSchema(ctx, conn); err != nil {
		return 0, 0, fmt.Errorf("migrate: create schema relay: %w", err)
	}
	m, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	if err := m.LoadMigrations(sub); err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	if from, err = m.GetCurrentVersion(ctx); err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	to = int32(len(m.Migrations))
	if from > to {
		return from, from, fmt.Errorf("migrate: the schema is at version %d, this program knows %d: run a relay of the version that migrated it, or a newer one", from, to)
	}
	if err := m.Migrate(ctx); err != nil {
		return from, from, fmt.Errorf("migrate: %w", migrationError(err))
	}
	return from, to, nil
}

// migrationError drops the statement's whole text, which the tool puts into its error.
func migrationError(err error) error {
	var e migrate.MigrationPgError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.MigrationName, e.PgError)
	}
	return err
}

// ensureSchema creates the schema under an advisory lock, since IF NOT EXISTS alone fails
// when two sessions race, and needs the right to create even if there is nothing to do.
func ensureSchema(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", int64(migrationLock))
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regnamespace('relay') is not null").Scan(&exists); err != nil || exists {
		return err
	}
	_, err := conn.Exec(ctx, "create schema relay")
	return err
}

// SchemaVersion returns the version that the database is at, and the one this program
// needs. Zero: no schema.
func (s *Store) SchemaVersion(ctx context.Context) (have, need int32, err error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return 0, 0, fmt.Errorf("read migrations: %w", err)
	}
	need = int32(len(entries))
	err = s.pool.QueryRow(ctx, "select version from relay.schema_version").Scan(&have)
	if NotMigrated(err) {
		return 0, need, nil
	}
	if err != nil {
		return 0, need, fmt.Errorf("read the schema's version: %w", err)
	}
	return have, need, nil
}
