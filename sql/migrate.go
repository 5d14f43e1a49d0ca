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
var outboxFiles embed.FS

//go:embed migrations/inbox/*.sql
var inboxFiles embed.FS

// sequence is one series of migrations. A database may have either or both, made in any
// order: each has a table that records which of its files ran.
type sequence struct {
	name         string // in errors
	files        embed.FS
	folder       string
	versionTable string
}

var (
	outboxSequence = sequence{name: "schema", files: outboxFiles, folder: "migrations", versionTable: "relay.schema_version"}
	inboxSequence  = sequence{name: "inbox", files: inboxFiles, folder: "migrations/inbox", versionTable: "relay.inbox_version"}
)

// migrationLock is the key of the advisory lock under which the schema itself is made; the
// migrations take one of their own.
const migrationLock = 0x72656c6179 // "relay"

// connectUnbounded opens a connection outside of the pool whose statements take as long as
// they take: others may be migrating a large table, and the caller waits for them.
func (s *Store) connectUnbounded(ctx context.Context) (*pgx.Conn, error) {
	config := s.pool.Config().ConnConfig
	config.DialFunc = (&net.Dialer{}).DialContext
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[timeout] = "0"
	}
	return pgx.ConnectConfig(ctx, config)
}

// Migrate creates the schema relay or brings it to this program's version, and returns the
// versions before and after. It is idempotent, moves forward only, and several relays may
// call it at once: they wait for each other. A schema newer than this program is an error.
// The inbox comes along, unless somebody else keeps it: the relay itself does not need it.
func (s *Store) Migrate(ctx context.Context) (from, to int32, err error) {
	err = s.migrating(ctx, func(conn *pgx.Conn) error {
		if from, to, err = outboxSequence.migrate(ctx, conn); err != nil {
			return err
		}
		kept, err := inboxKeptByOthers(ctx, conn)
		if err != nil || kept {
			return err
		}
		_, _, err = inboxSequence.migrate(ctx, conn)
		return err
	})
	return from, to, err
}

// MigrateInbox is Migrate for relay.inbox and relay.receive() alone, which consumers use in
// a database of their own, with or without an outbox.
func (s *Store) MigrateInbox(ctx context.Context) (from, to int32, err error) {
	err = s.migrating(ctx, func(conn *pgx.Conn) error {
		from, to, err = inboxSequence.migrate(ctx, conn)
		return err
	})
	return from, to, err
}

// migrating passes on a connection for migrations, to a database that has the schema relay.
func (s *Store) migrating(ctx context.Context, migrate func(*pgx.Conn) error) error {
	conn, err := s.connectUnbounded(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := ensureSchema(ctx, conn); err != nil {
		return fmt.Errorf("migrate: create schema relay: %w", err)
	}
	if err := refuseForeignCode(ctx, conn, foreignTriggers); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := migrate(conn); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return secure(ctx, conn)
}

// migrate runs the files that have not run yet.
func (q sequence) migrate(ctx context.Context, conn *pgx.Conn) (from, to int32, err error) {
	m, err := migrate.NewMigrator(ctx, conn, q.versionTable)
	if err != nil {
		return 0, 0, err
	}
	files, err := fs.Sub(q.files, q.folder)
	if err != nil {
		return 0, 0, err
	}
	if err := m.LoadMigrations(files); err != nil {
		return 0, 0, err
	}
	if from, err = m.GetCurrentVersion(ctx); err != nil {
		return 0, 0, err
	}
	to = int32(len(m.Migrations))
	if from > to {
		return from, from, fmt.Errorf("the %s is at version %d, this program knows %d: run a relay of the version that migrated it, or a newer one", q.name, from, to)
	}
	if err := m.Migrate(ctx); err != nil {
		return from, from, migrationError(err)
	}
	return from, to, nil
}

// newest returns the version that this program brings a database to.
func (q sequence) newest() (int32, error) {
	entries, err := fs.Glob(q.files, q.folder+"/*.sql")
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	return int32(len(entries)), nil
}

// inboxKeptByOthers reports whether the inbox is another role's, or newer than this
// program: a consumer that shares the database may have made it.
func inboxKeptByOthers(ctx context.Context, conn *pgx.Conn) (kept bool, err error) {
	const owned = `
	select pg_has_role(relowner, 'usage') from pg_class
	where relname = 'inbox_version' and relnamespace = 'relay'::regnamespace`
	var own bool
	err = conn.QueryRow(ctx, owned).Scan(&own)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil || !own {
		return true, err
	}
	var have int32
	if err := conn.QueryRow(ctx, "select version from relay.inbox_version").Scan(&have); err != nil {
		return false, err
	}
	need, err := inboxSequence.newest()
	return have > need, err
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
	if need, err = outboxSequence.newest(); err != nil {
		return 0, 0, err
	}
	err = s.pool.QueryRow(ctx, "select version from relay.schema_version").Scan(&have)
	if NotMigrated(err) {
		return 0, need, nil
	}
	if err != nil {
		return 0, need, fmt.Errorf("read the schema's version: %w", err)
	}
	return have, need, nil
}
