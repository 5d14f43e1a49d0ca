package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Identity tells a database from its copies, as far as the server can: a restored dump has another oid, and a server
// that was made by initdb another system identifier. The promotion of a standby changes neither; nor does a copy
// of the server's files, which this cannot tell from the original.
type Identity struct {
	System   int64 // pg_control_system(). Zero: the role may not ask for it
	Database int64 // the database's oid. Zero: nothing is stored
}

// String is fit for people.
func (i Identity) String() string {
	if i.System == 0 {
		return fmt.Sprintf("database oid %d", i.Database)
	}
	return fmt.Sprintf("database oid %d of server %d", i.Database, i.System)
}

// same compares what is known of both.
func (i Identity) same(other Identity) bool {
	return i.Database == other.Database && (i.System == other.System || i.System == 0 || other.System == 0)
}

// Identities are what is stored in a database and what it is.
type Identities struct{ Stored, Actual Identity }

// Err is a CopyError if the rows were made in another database. Nil: they were not, or no relay has run yet.
func (i Identities) Err() error {
	if i.Stored.Database == 0 || i.Stored.same(i.Actual) {
		return nil
	}
	return CopyError(i)
}

// CopyError says that the rows of a database were made in another one, whose relay delivers them.
type CopyError Identities

// Error says what it is a copy of, and the commands that help.
func (e CopyError) Error() string {
	return fmt.Sprintf("this database (%s) is a copy of another one (%s), so the relay sends and changes nothing here: %s", e.Actual, e.Stored, MendCopy)
}

// MendCopy names the commands by which a person decides about a copy.
const MendCopy = "run relay adopt to deliver what the copy holds from here, or relay adopt --cancel-outstanding to cancel that and deliver only what is inserted from now on"

const (
	identities = `
	select coalesce(c.system_identifier, 0), d.oid::bigint, coalesce(i.system_identifier, 0), coalesce(i.database_oid, 0)
	from pg_database d left join relay.identity i on true cross join `
	askSystem     = `pg_control_system() c where d.datname = current_database()`
	withoutSystem = `(values (null::bigint)) c (system_identifier) where d.datname = current_database()`
)

// rowReader is a pool, a connection or a transaction.
type rowReader interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func readIdentities(ctx context.Context, db rowReader) (i Identities, err error) {
	scan := func(statement string) error {
		return db.QueryRow(ctx, statement).Scan(&i.Actual.System, &i.Actual.Database, &i.Stored.System, &i.Stored.Database)
	}
	err = scan(identities + askSystem)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && slices.Contains([]string{"42501", "42883", "0A000"}, pg.Code) { // denied, or not offered
		err = scan(identities + withoutSystem)
	}
	if err != nil {
		return i, fmt.Errorf("read the database's identity: %w", denial(err))
	}
	return i, nil
}

// Identity returns what is stored in the database and what it is.
func (s *Store) Identity(ctx context.Context) (Identities, error) { return readIdentities(ctx, s.pool) }

// Identity is Store.Identity.
func (e *Examiner) Identity(ctx context.Context) (Identities, error) {
	return readIdentities(ctx, e.Conn)
}

// Settle stores the identity of a database in which none is stored. In a copy it changes nothing and returns a
// CopyError.
func (s *Store) Settle(ctx context.Context) (Identity, error) {
	i, err := s.Identity(ctx)
	if err == nil && i.Stored.Database == 0 {
		const statement = `
		insert into relay.identity (system_identifier, database_oid) values (nullif($1::bigint, 0), $2) on conflict (one) do nothing`
		if _, err = s.pool.Exec(ctx, statement, i.Actual.System, i.Actual.Database); err == nil {
			i, err = s.Identity(ctx)
		}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("store the database's identity: %w", err)
	}
	return i.Actual, i.Err()
}

// Adopt stores the database's identity in the place of the one that is stored, and frees the leases that came along
// with a copy. It returns both. Where they are the same it changes nothing.
func (s *Store) Adopt(ctx context.Context) (i Identities, err error) {
	err = s.inTx(ctx, "adopt the database", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('relay identity'))"); err != nil {
			return err
		}
		if i, err = readIdentities(ctx, tx); err != nil || i.Stored.Database != 0 && i.Err() == nil {
			return err
		}
		const store = `
		insert into relay.identity (system_identifier, database_oid) values (nullif($1::bigint, 0), $2)
		on conflict (one) do update set
			system_identifier = excluded.system_identifier, database_oid = excluded.database_oid, stored_at = clock_timestamp()`
		if _, err := tx.Exec(ctx, store, i.Actual.System, i.Actual.Database); err != nil || i.Stored.Database == 0 {
			return err
		}
		for _, statement := range []string{
			`update relay.lease set owner = null, expires_at = '-infinity' where owner is not null`,
			`delete from relay.instance`,
			`delete from relay.quarantine`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return s.audit(ctx, tx, AuditEntry{Action: "database.adopt", Kind: AuditDatabase, Object: i.Actual.String(), Result: "was a copy of " + i.Stored.String()})
	})
	return i, err
}

// Guard has every connection from now on look whether the database is still the one whose identity is stored. One to
// a copy is closed, and what it was for fails with a CopyError: the address of the database may lead to another
// server, or its name to another database, while the relay runs. judged is called with each verdict, nil or that error.
func (s *Store) Guard(judged func(error)) {
	s.judged.Store(&judged)
	for _, pool := range s.pools() {
		pool.Reset()
	}
}

// admit prepares a new connection of a pool and judges where it leads.
func (s *Store) admit(ctx context.Context, conn *pgx.Conn) error {
	readInfinity(conn)
	judged := s.judged.Load()
	if judged == nil {
		return nil
	}
	i, err := readIdentities(ctx, conn)
	if err != nil {
		return err
	}
	err = i.Err()
	(*judged)(err)
	return err
}

func (s *Store) pools() []*pgxpool.Pool {
	return []*pgxpool.Pool{s.pool, s.writing, s.isolated, s.changes, s.leases, s.acks, s.console}
}
