package sql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Limits of a step that locks a table. What an INSERT waits for is the lock that the step
// waits for, and then the step itself, which changes nothing but the catalogue.
const (
	lockTimeout     = 300 * time.Millisecond
	lockedStatement = 500 * time.Millisecond
	// calmTimeout bounds the wait for the lock that keeps the autovacuum away, which no
	// INSERT waits for. The server makes the autovacuum give way after one second.
	calmTimeout = 10 * time.Second
)

// Between two tries of a step the runner waits for this long, with jitter: at first, and at
// most.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// StepReport says what a migration is about to do.
type StepReport struct {
	Migration   string // the name of the file
	Step, Steps int    // from 1
	// New says that there was no schema before: no step has rows to change, or sessions to wait for.
	New bool
	// Tries is how often the step was tried already, and Err how the last try ended.
	Tries int
	Err   error
	// Holders are the server processes that hold the table that the step wants to change.
	Holders []int32
}

// stepRunner runs the steps of one sequence over one connection, and records them.
type stepRunner struct {
	conn         *pgx.Conn
	versionTable string // in the schema relay
	report       func(StepReport)
	new          bool // there was no schema before
}

// ensureTable makes the table of versions, or teaches one that an older program made to
// count steps.
func (r stepRunner) ensureTable(ctx context.Context) error {
	const columns = `
	select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid
	where c.relname = $1 and c.relnamespace = 'relay'::regnamespace and a.attname in ('version', 'step') and not a.attisdropped`
	var n int
	if err := r.conn.QueryRow(ctx, columns, r.versionTable).Scan(&n); err != nil {
		return err
	}
	table := "relay." + r.versionTable
	switch n {
	case 0:
		return r.transaction(ctx, "create table "+table+" (version int4 not null, step int4 not null default 0); insert into "+table+" values (0)")
	case 1:
		return r.send(ctx, "alter table "+table+" add column step int4 not null default 0")
	}
	return nil
}

// position returns the version that is complete, and how many steps of the next are done.
func (r stepRunner) position(ctx context.Context) (version int32, done int, err error) {
	err = r.conn.QueryRow(ctx, "select version, step from relay."+r.versionTable).Scan(&version, &done)
	return version, done, err
}

// runAll does what is left to do of the files, which begin with version 1.
func (r stepRunner) runAll(ctx context.Context, files []migrationFile) error {
	version, done, err := r.position(ctx)
	if err != nil || int(version) >= len(files) {
		return err
	}
	for _, file := range files[version:] {
		if err := r.run(ctx, file, done); err != nil {
			return err
		}
		done = 0
	}
	return nil
}

// run does the steps of a file. The first ones, as many as done says, are done.
func (r stepRunner) run(ctx context.Context, file migrationFile, done int) error {
	for i := done; i < len(file.steps); i++ {
		if err := r.persist(ctx, file, i); err != nil {
			return fmt.Errorf("%s, step %d of %d: %w", file.name, i+1, len(file.steps), err)
		}
	}
	return nil
}

// persist tries a step until it is done or fails for a reason that time does not mend.
func (r stepRunner) persist(ctx context.Context, file migrationFile, i int) error {
	report := StepReport{Migration: file.name, Step: i + 1, Steps: len(file.steps), New: r.new}
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		r.report(report)
		err := r.try(ctx, file, i)
		if err == nil || !passes(err) {
			return err
		}
		report.Tries, report.Err = report.Tries+1, err
		if report.Holders, err = r.holders(ctx, file.steps[i].table); err != nil {
			return err
		}
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
	}
}

// passes reports whether another try may succeed: a lock was not to be had in time, or two
// sessions waited for each other.
func passes(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "55P03" || pg.Code == "57014" || pg.Code == "40P01")
}

// holders returns the server processes that hold a lock on the table.
func (r stepRunner) holders(ctx context.Context, table string) ([]int32, error) {
	if table == "" {
		return nil, nil
	}
	const statement = `select distinct pid from pg_locks where relation = $1::text::regclass and granted and pid is not null order by 1`
	rows, err := r.conn.Query(ctx, statement, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}

// try does one step and records it.
func (r stepRunner) try(ctx context.Context, file migrationFile, i int) error {
	record := fmt.Sprintf("update relay.%s set version = %d, step = %d;\n", r.versionTable, file.version-1, i+1)
	if i+1 == len(file.steps) {
		record = fmt.Sprintf("update relay.%s set version = %d, step = 0;\n", r.versionTable, file.version)
	}
	step := file.steps[i]
	switch step.kind {
	case stepConcurrently:
		if err := r.dropInvalid(ctx, step.index); err != nil {
			return err
		}
		if err := r.send(ctx, step.sql); err != nil {
			return err
		}
		return r.send(ctx, record)
	case stepLock:
		return r.transaction(ctx, record+locking(step.table)+step.sql)
	default:
		return r.transaction(ctx, record+step.sql)
	}
}

// locking takes a table for a moment. The first lock keeps only the autovacuum and other
// changes of the table away, and INSERTs go on while it is waited for; without it a vacuum
// of minutes would win against each of our short waits.
func locking(table string) string {
	return fmt.Sprintf(`
set local lock_timeout = %d;
lock table %s in share update exclusive mode;
set local lock_timeout = %d;
set local statement_timeout = %d;
lock table %s in access exclusive mode;
`, calmTimeout.Milliseconds(), table, lockTimeout.Milliseconds(), lockedStatement.Milliseconds(), table)
}

// transaction sends a whole transaction as one message, so that no lock is held while the
// server waits for this program.
func (r stepRunner) transaction(ctx context.Context, statements string) error {
	err := r.send(ctx, "begin;\n"+statements+"\n;commit")
	if err != nil && !r.conn.IsClosed() {
		err = errors.Join(err, r.send(ctx, "rollback"))
	}
	return err
}

// send runs statements by the simple protocol.
func (r stepRunner) send(ctx context.Context, statements string) error {
	return r.conn.PgConn().Exec(ctx, statements).Close()
}

// dropInvalid removes what a concurrent build left behind that did not end.
func (r stepRunner) dropInvalid(ctx context.Context, index string) error {
	const statement = `
	select exists (select from pg_index i join pg_class c on c.oid = i.indexrelid
	where c.relname = $1 and c.relnamespace = 'relay'::regnamespace and not i.indisvalid)`
	var invalid bool
	if err := r.conn.QueryRow(ctx, statement, index).Scan(&invalid); err != nil || !invalid {
		return err
	}
	return r.send(ctx, "drop index concurrently if exists relay."+index)
}
