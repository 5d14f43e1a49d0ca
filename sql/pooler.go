package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A pooler in transaction mode gives each transaction another session of the server, so that
// settings, locks, prepared statements and LISTEN are lost, or become those of others.

// OwnAddress is what helps against a pooler.
const OwnAddress = "set RELAY_DATABASE_URL to the server's own address and port; a pooler in session mode will do with RELAY_CAPTURE=notify or poll"

// EnoughSessions is what helps against a pooler in session mode that has too few sessions of the server.
const EnoughSessions = "give the pooler as many sessions of the server (default_pool_size, max_db_connections) as RELAY_DATABASE_CONNECTIONS and 23 more for each relay"

// TransactionPooling says that the address leads to such a pooler.
func TransactionPooling(sign string) *Unfit {
	return &Unfit{
		Why: "the address leads to a connection pooler (PgBouncer or the like) in transaction mode, in which the relay cannot work: " + sign, Mend: OwnAddress,
	}
}

// ExplainPooler returns err in words that help where it comes of a pooler that gives a
// session's statements to several sessions of the server, or refuses the session. Any other
// error is returned as it is.
func ExplainPooler(err error) error {
	var pg *pgconn.PgError
	var known *Unfit
	if !errors.As(err, &pg) || errors.As(err, &known) {
		return err
	}
	switch pg.Code {
	case "42P05", "26000": // a prepared statement exists already, or does not exist
		return TransactionPooling(fmt.Sprintf("%s (SQLSTATE %s)", pg.Message, pg.Code))
	case "08P01":
		return explainRefusal(err, pg)
	}
	return err
}

// passing are parts of what a pooler says while it has no session of the server to give: the server
// is down or full, or the pooler stops. It says all of this with the code of a violated protocol, and so it
// passes on what the server has said to it.
var passing = []string{
	"too many", "slots are reserved", "starting up", "recovery",
	"server_login_retry", "server login", "cannot connect to server", "query_wait_timeout", "_timeout", "max_client_conn", "max_db_connections",
	"shut down", "shutting down", "server conn",
}

// noSession is how that is told.
const noSession = "the connection pooler has no session of the server to give"

// explainRefusal puts into words why a pooler refuses a session. What passes by itself is not an Unfit.
func explainRefusal(err error, pg *pgconn.PgError) error {
	text := fmt.Sprintf("%s (SQLSTATE %s)", pg.Message, pg.Code)
	switch {
	case strings.Contains(err.Error(), noSession): // it is explained already
		return err
	case slices.ContainsFunc(passing, func(part string) bool { return strings.Contains(pg.Message, part) }):
		return fmt.Errorf("%s; to mend it: start the server behind the pooler; or %s: %w", noSession, EnoughSessions, err)
	case strings.Contains(pg.Message, "no such database"):
		return &Unfit{Why: "the connection pooler does not know the database: " + text, Mend: "correct the database in RELAY_DATABASE_URL, or add it to the pooler's; or " + OwnAddress}
	}
	return &Unfit{Why: "a connection pooler refuses the relay's sessions: " + text, Mend: OwnAddress}
}

// poolerLimit bounds the wait for sessions of the pooler, and poolerLooks is how often two of
// them are compared: others may take the server's session between two looks.
const (
	poolerLimit = 5 * time.Second
	poolerLooks = 5
)

// refuseTransactionPooling fails if an address, which is known to be a pooler's, leads to one
// in transaction mode. Of two connections that are open at once, the two ever share a session
// of the server there, and nowhere else; or the session of one changes. They set nothing,
// since it might be in a session of another client.
func refuseTransactionPooling(ctx context.Context, cfg *pgconn.Config) error {
	ctx, cancel := context.WithTimeout(ctx, poolerLimit)
	defer cancel()
	plain := cfg.Copy()
	plain.RuntimeParams, plain.AfterConnect = make(map[string]string), nil
	if options, ok := cfg.RuntimeParams["options"]; ok { // by which some poolers find the server
		plain.RuntimeParams["options"] = options
	}
	var pair [2]*pgconn.PgConn
	for i := range pair {
		conn, err := pgconn.ConnectConfig(ctx, plain)
		if err != nil && ctx.Err() != nil { // a pooler lets its clients wait for the server
			err = fmt.Errorf("none came within %s; to mend it: start the server behind the pooler; or %s: %w", poolerLimit, EnoughSessions, err)
		}
		if err != nil {
			return fmt.Errorf("open session %d of 2 through the pooler: %w", i+1, ExplainPooler(err))
		}
		defer conn.Close(context.WithoutCancel(ctx))
		pair[i] = conn
	}
	var before string
	for look := range poolerLooks {
		var pids [2]string
		for i, conn := range pair {
			results, err := conn.Exec(ctx, "select pg_catalog.pg_backend_pid()").ReadAll()
			if err != nil {
				return fmt.Errorf("use session %d of 2 through the pooler: %w", i+1, ExplainPooler(err))
			}
			pids[i] = string(results[0].Rows[0][0])
		}
		if pids[0] == pids[1] || look > 0 && pids[0] != before {
			return TransactionPooling("two connections share one session of the server")
		}
		before = pids[0]
	}
	return nil
}
