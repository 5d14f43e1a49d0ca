package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transactionTimeoutSince is the first major version that knows transaction_timeout.
const transactionTimeoutSince = 17

// Settle makes connections of cfg independent of what the role or the database has set. The
// settings are part of the start-up packet, so that not even the first statement runs without
// them. Behind a pooler, which may ignore them there, they are set once more after connecting.
func Settle(cfg *pgconn.Config, settings map[string]string) {
	params := maps.Clone(cfg.RuntimeParams)
	if params == nil {
		params = make(map[string]string)
	}
	maps.Copy(params, settings)
	cfg.RuntimeParams = params
	cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		pooled, err := complete(ctx, conn)
		if err != nil || !pooled {
			return err
		}
		return applySettings(ctx, conn, params)
	}
}

// settleAfterwards is for poolers that refuse settings in the start-up packet: what Settle
// has put there is set after connecting alone.
func settleAfterwards(cfg *pgconn.Config) {
	params := cfg.RuntimeParams
	cfg.RuntimeParams = make(map[string]string)
	for _, name := range startupOnly {
		if value, ok := params[name]; ok {
			cfg.RuntimeParams[name] = value
		}
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if _, err := complete(ctx, conn); err != nil {
			return err
		}
		return applySettings(ctx, conn, params)
	}
}

// startupOnly are the parameters of a start-up packet that are no settings.
var startupOnly = []string{"options", "replication"}

// Connect opens a connection of a configuration that Settle made, also through a pooler that
// refuses settings in the start-up packet. The caller closes it.
func Connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if resettle := remedy(err); resettle != nil {
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
	if resettle := remedy(err); resettle != nil {
		cfg = cfg.Copy()
		resettle(cfg)
		conn, err = pgconn.ConnectConfig(ctx, cfg)
	}
	return conn, err
}

// remedy returns what makes another attempt succeed where a connection failed over its
// settings. Nil: nothing does.
func remedy(err error) func(*pgconn.Config) {
	var pg *pgconn.PgError
	switch {
	case !errors.As(err, &pg):
		return nil
	case pg.Code == "08P01" && strings.Contains(pg.Message, "startup parameter"):
		return settleAfterwards
	case pg.Code == "25P04": // the database's transaction_timeout came before ours
		return endlessTransactions
	}
	return nil
}

// endlessTransactions sets transaction_timeout in the start-up packet, for servers that are
// known to know it.
func endlessTransactions(cfg *pgconn.Config) { cfg.RuntimeParams["transaction_timeout"] = "0" }

// complete sets what a start-up packet cannot hold, since a server that does not know the
// parameter would refuse the connection. It reports whether a pooler stands between: then the
// server process is another one than the peer has announced.
func complete(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	statements := "select pg_catalog.pg_backend_pid()"
	if majorVersion(conn) >= transactionTimeoutSince {
		statements = "set transaction_timeout = 0; " + statements
	}
	results, err := conn.Exec(ctx, statements).ReadAll()
	if err != nil {
		return false, fmt.Errorf("set up the session: %w", err)
	}
	pid := string(results[len(results)-1].Rows[0][0])
	return pid != strconv.FormatUint(uint64(conn.PID()), 10), nil
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
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if slices.Contains(startupOnly, name) {
			continue
		}
		fmt.Fprintf(&b, "select pg_catalog.set_config(%s, %s, false);\n", literal(name), literal(settings[name]))
	}
	if err := conn.Exec(ctx, b.String()).Close(); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	return nil
}

// literal quotes text that holds no backslash for SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
