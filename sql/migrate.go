package sql

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var outboxFiles embed.FS

//go:embed migrations/inbox/*.sql
var inboxFiles embed.FS

// sequence is one series of migrations. A database may have either or both, made in any
// order: each has a table that records how far it is.
type sequence struct {
	name         string // in errors
	files        fs.FS
	folder       string
	versionTable string // in the schema relay
}

var (
	outboxSequence = sequence{name: "schema", files: outboxFiles, folder: "migrations", versionTable: "schema_version"}
	inboxSequence  = sequence{name: "inbox", files: inboxFiles, folder: "migrations/inbox", versionTable: "inbox_version"}
)

// Migrate creates the schema relay or brings it to this program's version, and returns the
// versions before and after. It is idempotent, moves forward only, and several relays may
// call it at once: they wait for each other. A schema newer than this program is an error.
// The inbox comes along, unless another role keeps it: the relay itself does not need it.
//
// Applications may insert meanwhile, and wait for at most a moment. Whatever ends a call
// before its time, the next one goes on with the step that was not finished.
func (s *Store) Migrate(ctx context.Context) (from, to int32, err error) {
	return s.MigrateReporting(ctx, func(StepReport) {})
}

// MigrateReporting is Migrate that reports each step when it begins and whenever it has to
// be tried again.
func (s *Store) MigrateReporting(ctx context.Context, report func(StepReport)) (from, to int32, err error) {
	if err := refuseEncoding(ctx, s.pool); err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	err = s.migrating(ctx, func(conn *pgx.Conn) error {
		if from, to, err = outboxSequence.migrate(ctx, conn, report); err != nil {
			return err
		}
		kept, err := inboxKeptByOthers(ctx, conn)
		if err != nil || kept {
			return err
		}
		_, _, err = inboxSequence.migrate(ctx, conn, report)
		return err
	})
	return from, to, err
}

// MigrateInbox is Migrate for relay.inbox and relay.receive() alone, which consumers use in
// a database of their own, with or without an outbox.
func (s *Store) MigrateInbox(ctx context.Context) (from, to int32, err error) {
	return s.MigrateInboxReporting(ctx, func(StepReport) {})
}

// MigrateInboxReporting is to MigrateInbox what MigrateReporting is to Migrate.
func (s *Store) MigrateInboxReporting(ctx context.Context, report func(StepReport)) (from, to int32, err error) {
	err = s.migrating(ctx, func(conn *pgx.Conn) error {
		from, to, err = inboxSequence.migrate(ctx, conn, report)
		return err
	})
	return from, to, err
}

// migrating passes on a connection that alone may migrate, to a database that has the
// schema relay.
func (s *Store) migrating(ctx context.Context, migrate func(*pgx.Conn) error) error {
	conn, err := s.connectToMigrate(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := waitForLock(ctx, conn, migrationLock); err != nil {
		return fmt.Errorf("migrate: wait for another relay that migrates: %w", err)
	}
	if err := refuseForeignCode(ctx, conn, foreignTriggers); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := migrate(conn); err != nil {
		return fmt.Errorf("migrate: %w", ExplainPooler(err))
	}
	return secure(ctx, conn)
}

// connectToMigrate opens a connection outside of the pool. Its statements take as long as
// they take, except where a step says otherwise.
func (s *Store) connectToMigrate(ctx context.Context) (*pgx.Conn, error) {
	settings := CommonSettings()
	settings["row_security"] = "off"
	settings["idle_in_transaction_session_timeout"] = fmt.Sprint(idleTimeout.Milliseconds())
	config := s.own.Copy()
	if err := s.address.Renew(ctx, config); err != nil {
		return nil, err
	}
	Settle(&config.Config, settings)
	return Connect(ctx, config)
}

// migrate runs the steps that have not run yet.
func (q sequence) migrate(ctx context.Context, conn *pgx.Conn, report func(StepReport)) (from, to int32, err error) {
	files, err := readMigrations(q.files, q.folder)
	if err != nil {
		return 0, 0, err
	}
	r := stepRunner{conn: conn, versionTable: q.versionTable, report: report}
	err = keepingOlderOut(ctx, conn, func() error {
		if from, err = q.prepare(ctx, conn, r); err != nil {
			return err
		}
		r.new = from == 0
		return r.runAll(ctx, withoutSteps(files))
	})
	if to = int32(len(files)); err == nil && from > to {
		err = fmt.Errorf("the %s is at version %d, this program knows %d: run a relay of the version that migrated it, or a newer one", q.name, from, to)
	}
	if err == nil {
		err = r.runAll(ctx, files)
	}
	if err != nil {
		return from, from, err
	}
	return from, to, nil
}

// prepare makes the schema and the table of versions, and returns the version.
func (q sequence) prepare(ctx context.Context, conn *pgx.Conn, r stepRunner) (version int32, err error) {
	if err := ensureSchema(ctx, conn); err != nil {
		return 0, fmt.Errorf("create schema relay: %w", err)
	}
	if err := r.ensureTable(ctx); err != nil {
		return 0, fmt.Errorf("prepare relay.%s: %w", q.versionTable, err)
	}
	version, _, err = r.position(ctx)
	return version, err
}

// ensureSchema creates the schema. IF NOT EXISTS would need the right to create even if
// there is nothing to do.
func ensureSchema(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regnamespace('relay') is not null").Scan(&exists); err != nil || exists {
		return err
	}
	_, err := conn.Exec(ctx, "create schema relay")
	return err
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

// SchemaVersion returns the version that the database is at, and the one this program
// needs. Zero: no schema.
func (s *Store) SchemaVersion(ctx context.Context) (have, need int32, err error) {
	if need, err = outboxSequence.newest(); err != nil {
		return 0, 0, err
	}
	if err := refuseEncoding(ctx, s.pool); err != nil {
		return 0, need, err
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
