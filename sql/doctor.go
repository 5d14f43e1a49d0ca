package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// examineTimeout bounds each statement of an examination.
const examineTimeout = 5 * time.Second

// Examiner asks a database how it stands and changes nothing. It has one connection, Conn,
// whose settings are those of the relay but for synchronous_commit and
// default_transaction_read_only, so that the database's own values can be seen.
type Examiner struct {
	Conn *pgx.Conn
	Own  *pgx.ConnConfig // what the URL says, without the settings of Conn
}

// Examine is Address.Examine of a URL that never changes.
func Examine(ctx context.Context, url string) (*Examiner, error) {
	return Address{URL: url}.Examine(ctx)
}

// Examine connects to the database. The caller closes the connection. The error names no
// password.
func (a Address) Examine(ctx context.Context) (*Examiner, error) {
	config, err := a.Config(ctx)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = 10 * time.Second
	own := config.Copy()
	settings := SessionSettings()
	delete(settings, "synchronous_commit")
	delete(settings, "default_transaction_read_only")
	settings["statement_timeout"] = fmt.Sprint(examineTimeout.Milliseconds())
	Settle(&config.Config, settings)
	conn, err := Connect(ctx, config)
	if err != nil {
		return nil, ExplainPooler(err)
	}
	return &Examiner{Conn: conn, Own: own}, nil
}

// ServerFacts are what relay doctor judges of the server and the role.
type ServerFacts struct {
	Version       string // as the server prints it
	VersionNumber int    // 150018 is 15.18
	Standby       bool
	Database      string
	Encoding      string // of the database
	Role          string
	Superuser     bool
	Replication   bool // the role has the attribute REPLICATION
	// Provider runs the server. ReplicationBy is a role of the provider: its members may replicate
	// without the attribute, and the relay's role is a member. Both may be empty.
	Provider      Provider
	ReplicationBy string
	MayCreate     bool // it may create a schema and a publication here
	SeesOthers    bool // it may see what other sessions do
	WALLevel      string
	Slots         int // in use
	MaxSlots      int
	Senders       int // in use
	MaxSenders    int
	MaxPrepared   int // max_prepared_transactions
	// KeepBytes is max_slot_wal_keep_size in bytes. -1: no limit.
	KeepBytes int64
	Fsync     string
	// SyncCommit is what the relay's role would get by default.
	SyncCommit string
	// Async names the roles, databases or the server that have synchronous_commit turned off; at most five.
	Async []string
	// Ahead is how far the database's clock is ahead of this machine's, to within half of Within.
	Ahead, Within time.Duration
}

// Server asks for the facts of the server and the role.
func (e *Examiner) Server(ctx context.Context) (ServerFacts, error) {
	const statement = `
	select split_part(current_setting('server_version'), ' ', 1), current_setting('server_version_num')::int,
		pg_is_in_recovery(), current_database()::text, getdatabaseencoding()::text, current_user::text, r.rolsuper, r.rolreplication,
		has_database_privilege(current_database(), 'create'),
		r.rolsuper or pg_has_role('pg_read_all_stats', 'usage'),
		current_setting('wal_level'),
		(select count(*) from pg_replication_slots), current_setting('max_replication_slots')::int,
		(select count(*) from pg_stat_replication), current_setting('max_wal_senders')::int,
		current_setting('max_prepared_transactions')::int,
		(select setting::bigint * 1024 * 1024 from pg_settings where name = 'max_slot_wal_keep_size'),
		current_setting('fsync'), current_setting('synchronous_commit'),` + SelectProviderRoles + `
	from pg_roles r where r.rolname = current_user`
	var f ServerFacts
	var roles []string
	err := e.Conn.QueryRow(ctx, statement).Scan(&f.Version, &f.VersionNumber, &f.Standby, &f.Database, &f.Encoding, &f.Role,
		&f.Superuser, &f.Replication, &f.MayCreate, &f.SeesOthers, &f.WALLevel, &f.Slots, &f.MaxSlots,
		&f.Senders, &f.MaxSenders, &f.MaxPrepared, &f.KeepBytes, &f.Fsync, &f.SyncCommit, &roles)
	if err != nil {
		return f, fmt.Errorf("examine the server: %w", err)
	}
	f.Provider, f.ReplicationBy = ReadProvider(roles)
	if f.KeepBytes < 0 {
		f.KeepBytes = -1
	}
	if f.Async, err = e.defaults(ctx, "synchronous_commit", "off", "false", "no", "0"); err != nil {
		return f, err
	}
	f.Ahead, f.Within, err = e.clock(ctx)
	return f, err
}

// clock compares the database's clock with this machine's by the shortest of some round
// trips.
func (e *Examiner) clock(ctx context.Context) (ahead, within time.Duration, err error) {
	for i := range 5 {
		var there time.Time
		before := time.Now()
		if err := e.Conn.QueryRow(ctx, "select clock_timestamp()").Scan(&there); err != nil {
			return 0, 0, fmt.Errorf("ask the database's clock: %w", err)
		}
		if trip := time.Since(before); i == 0 || trip < within {
			ahead, within = there.Sub(before.Add(trip/2).Round(0)), trip
		}
	}
	return ahead, within, nil
}

// OldTransaction is a transaction that has been open for long. Its snapshot keeps the
// table's dead rows from being removed, and if it writes it holds WAL.
type OldTransaction struct {
	PID   int
	Who   string // role and application
	State string // of its session, such as idle in transaction
	Since time.Time
}

// OldTransactions returns at most three transactions of client sessions in this database
// that are older than age, the oldest first. Without pg_read_all_stats the role sees its
// own alone.
func (e *Examiner) OldTransactions(ctx context.Context, age time.Duration) ([]OldTransaction, error) {
	const statement = `
	select pid, coalesce(usename::text, '') || ', ' || coalesce(application_name, ''), coalesce(state, ''), xact_start
	from pg_stat_activity
	where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
		and xact_start < now() - $1 * interval '1 microsecond'
	order by xact_start limit 3`
	rows, err := e.Conn.Query(ctx, statement, age.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("look for old transactions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OldTransaction])
	if err != nil {
		return nil, fmt.Errorf("look for old transactions: %w", err)
	}
	return list, nil
}

// Prepared is a prepared transaction that waits for its second phase.
type Prepared struct {
	Literal string // its name, as an SQL string
	Owner   string
	Since   time.Time
}

// OldPrepared returns at most three prepared transactions of this database that are older
// than age, the oldest first.
func (e *Examiner) OldPrepared(ctx context.Context, age time.Duration) ([]Prepared, error) {
	const statement = `
	select quote_literal(gid), owner::text, prepared from pg_prepared_xacts
	where database = current_database() and prepared < now() - $1 * interval '1 microsecond'
	order by prepared limit 3`
	rows, err := e.Conn.Query(ctx, statement, age.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Prepared])
	if err != nil {
		return nil, fmt.Errorf("look for prepared transactions: %w", err)
	}
	return list, nil
}
