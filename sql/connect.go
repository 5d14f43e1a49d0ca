package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transactionTimeoutSince is the first major version that knows transaction_timeout.
const transactionTimeoutSince = 17

// settleTimeout bounds what is asked and set right after connecting: the driver's own bound
// ends before that.
const settleTimeout = 10 * time.Second

// errPooled says that the settings of a start-up packet have reached a pooler, which may have
// kept them to itself.
var errPooled = errors.New("the address leads to a connection pooler")

// Settle makes connections of cfg independent of what the role or the database has set. The
// settings are part of the start-up packet, so that not even the first statement runs without
// them. Connect and ConnectReplication deal with poolers.
func Settle(cfg *pgconn.Config, settings map[string]string) {
	params := maps.Clone(cfg.RuntimeParams)
	if params == nil {
		params = make(map[string]string)
	}
	maps.Copy(params, settings)
	cfg.RuntimeParams = params
	cfg.AfterConnect = complete
}

// settleAfterwards moves what Settle has put into the start-up packet to statements after
// connecting, for poolers in session mode.
func settleAfterwards(cfg *pgconn.Config) {
	params := cfg.RuntimeParams
	cfg.RuntimeParams = make(map[string]string)
	for _, name := range startupOnly {
		if value, ok := params[name]; ok {
			cfg.RuntimeParams[name] = value
		}
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return applySettings(ctx, conn, params)
	}
}

// startupOnly are the parameters of a start-up packet that are no settings.
var startupOnly = []string{"options", "replication"}

// Connect opens a connection of a configuration that Settle made, also through a pooler in
// session mode. A pooler in transaction mode is an Unfit. The caller closes the connection.
func Connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	resettle, err := readjust(ctx, &cfg.Config, err)
	if resettle != nil {
		cfg = cfg.Copy()
		resettle(&cfg.Config)
		conn, err = pgx.ConnectConfig(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	readInfinity(conn)
	return conn, nil
}

// ConnectReplication is Connect for a configuration that asks for replication.
func ConnectReplication(ctx context.Context, cfg *pgconn.Config) (*pgconn.PgConn, error) {
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	resettle, err := readjust(ctx, cfg, err)
	if resettle != nil {
		cfg = cfg.Copy()
		resettle(cfg)
		conn, err = pgconn.ConnectConfig(ctx, cfg)
	}
	return conn, err
}

// readjust looks at how an attempt to connect ended. Where it failed over its settings, it
// returns what makes another attempt succeed; else the error.
func readjust(ctx context.Context, cfg *pgconn.Config, err error) (func(*pgconn.Config), error) {
	var pg *pgconn.PgError
	switch isServers := errors.As(err, &pg); {
	case errors.Is(err, errPooled),
		isServers && pg.Code == "08P01" && strings.Contains(pg.Message, "startup parameter"):
		if unfit := refuseTransactionPooling(ctx, cfg); unfit != nil {
			return nil, unfit
		}
		return settleAfterwards, nil
	case isServers && isParameter(pg) && !strings.Contains(pg.Message, "transaction_timeout"):
		return nil, refusedParameter(pg)
	case isServers && pg.Code == "25P04": // the database's transaction_timeout came before ours
		return endlessTransactions, nil
	}
	return nil, err
}

// isParameter reports whether a server refused a session over a parameter: one that it does not know, a value
// that it does not take, or one that no session may set.
func isParameter(pg *pgconn.PgError) bool {
	switch pg.Code {
	case "42704", "22023", "55P02":
		return true
	case "42501":
		return strings.Contains(pg.Message, "parameter")
	}
	return false
}

// refusedParameter says whose parameter it was.
func refusedParameter(pg *pgconn.PgError) *Unfit {
	for name := range SessionSettings() {
		if strings.Contains(strings.ToLower(pg.Message), strings.ToLower(strconv.Quote(name))) {
			return &Unfit{Why: "the server does not know a setting that PostgreSQL 15 and later have: " + pg.Message, Mend: "upgrade the server to PostgreSQL 15 or later"}
		}
	}
	if pg.Code == "42704" {
		return &Unfit{Why: "the database URL holds a parameter that neither the relay nor PostgreSQL knows: " + pg.Message, Mend: "remove it from RELAY_DATABASE_URL"}
	}
	return &Unfit{Why: "the database URL holds a parameter that PostgreSQL refuses: " + pg.Message, Mend: "remove it from RELAY_DATABASE_URL"}
}

// endlessTransactions sets transaction_timeout in the start-up packet, for servers that are
// known to know it.
func endlessTransactions(cfg *pgconn.Config) { cfg.RuntimeParams["transaction_timeout"] = "0" }

// complete sets what a start-up packet cannot hold, since a server that does not know the
// parameter would refuse the connection. Nothing is set where the server process is another
// one than the peer has announced: a pooler stands between.
func complete(ctx context.Context, conn *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	announced := strconv.FormatUint(uint64(conn.PID()), 10)
	statements := "select pg_catalog.pg_backend_pid()"
	if majorVersion(conn) >= transactionTimeoutSince {
		statements += "; select pg_catalog.set_config('transaction_timeout', '0', false) where pg_catalog.pg_backend_pid() operator(pg_catalog.=) " + announced
	}
	results, err := conn.Exec(ctx, statements).ReadAll()
	if err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	if pid := string(results[0].Rows[0][0]); pid != announced {
		return errPooled
	}
	return nil
}

// majorVersion returns what the server has announced, such as 17 of 17.6 and of 17rc1; 0 if
// it cannot be read.
func majorVersion(conn *pgconn.PgConn) int {
	version := conn.ParameterStatus("server_version")
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		version = version[:end]
	}
	major, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return major
}

// applySettings changes the settings of a session.
func applySettings(ctx context.Context, conn *pgconn.PgConn, settings map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var b strings.Builder
	if majorVersion(conn) >= transactionTimeoutSince {
		b.WriteString("set transaction_timeout = 0;\n")
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(startupOnly, name) {
			fmt.Fprintf(&b, "select pg_catalog.set_config(%s, %s, false);\n", literal(name), literal(settings[name]))
		}
	}
	if err := conn.Exec(ctx, b.String()).Close(); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	return nil
}

// literal quotes text that holds no backslash for SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
