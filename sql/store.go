package sql

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// statementTimeout bounds every statement of the pool. Statements touch at most some
// thousand rows by index; what takes longer waits for a lock or for a server in trouble.
const statementTimeout = 30 * time.Second

// idleTimeout ends a transaction of a relay that froze, or was cut off, in the midst of it:
// it holds lease rows, and with them up the takeover by another relay.
const idleTimeout = 2 * time.Second

const (
	// rowPatience is how long a statement that changes rows waits for a lock. The row is tried
	// again later, and nothing else waits for it.
	rowPatience = 200 * time.Millisecond
	// writeLimit bounds a statement that writes a batch of outcomes.
	writeLimit = 2 * time.Second
	// changeLimit bounds a statement that changes rows besides outcomes: retention, jobs and the like. A job that
	// changes a single message has lastChangeLimit.
	changeLimit     = 2 * time.Second
	lastChangeLimit = 10 * time.Second
	// ackLimit bounds a statement that stores an acknowledgement.
	ackLimit = 2 * time.Second
	// consoleLimit bounds a statement that a person asks for, and consolePatience how long it waits for a lock.
	consoleLimit    = 3 * time.Second
	consolePatience = time.Second
)

// Connections of pools that one purpose has for itself.
const (
	writeConnections    = 3
	isolatedConnections = 6
	changeConnections   = 3
	leaseConnections    = 2
	ackConnections      = 3
	consoleConnections  = 4
)

// FurtherConnections is how many connections a store opens at the most besides those that Open is told of.
const FurtherConnections = writeConnections + isolatedConnections + changeConnections + leaseConnections + ackConnections + consoleConnections

// Store runs the relay's statements over pools of connections. Its methods are safe for
// concurrent use and return the driver's error wrapped with the operation.
type Store struct {
	pool *pgxpool.Pool
	// Each of these purposes has connections of its own, so that none waits for another. A
	// pool connects when it is used first.
	writing  *pgxpool.Pool // outcomes
	isolated *pgxpool.Pool // outcomes that are written apart from the others: see Apart
	changes  *pgxpool.Pool // retention, jobs and the like, whose statements a person's trigger may hold up
	leases   *pgxpool.Pool
	acks     *pgxpool.Pool                // words of consumers
	console  *pgxpool.Pool                // what people ask: see Console
	judged   *atomic.Pointer[func(error)] // set by Guard
	// apart and limit are set in a store that Apart returns.
	apart bool
	limit time.Duration
	actor Actor // set in a store that By returns
	// long is held by the search that goes on after its first window, in a store that Console returns. Nil: several may.
	long chan struct{}

	own     *pgx.ConnConfig // what the URL says, for connections outside of the pools
	address Address         // by which own is brought up to date
}

// Open is Address.Open of a URL that never changes.
func Open(ctx context.Context, url string, connections int) (*Store, error) {
	return Address{URL: url}.Open(ctx, connections)
}

// Open connects to the database with at most connections connections (at least 2), and checks
// that it answers. What a relay alone does, such as writing outcomes, has further connections of
// its own. The caller closes the store. The error names no password.
func (a Address) Open(ctx context.Context, connections int) (*Store, error) {
	config, err := a.pool(ctx)
	if err != nil {
		return nil, err
	}
	config.MaxConnIdleTime = 5 * time.Minute
	config.ConnConfig.ConnectTimeout = 10 * time.Second
	own := config.ConnConfig.Copy()
	config.ConnConfig.DialFunc = patiently(config.ConnConfig.DialFunc, patience)
	settle, err := try(ctx, own)
	if err != nil {
		return nil, fmt.Errorf("reach the database: %w", ExplainPooler(err))
	}
	s, err := a.openPools(ctx, config, connections, settle)
	if err != nil {
		return nil, err
	}
	s.own, s.address = own, a
	return s, nil
}

// try connects once, and returns how connections to what it found get their settings.
func try(ctx context.Context, own *pgx.ConnConfig) (settle func(*pgconn.Config, map[string]string), err error) {
	config := own.Copy()
	Settle(&config.Config, SessionSettings())
	conn, err := Connect(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, atStart := conn.Config().RuntimeParams["search_path"]
	later := majorVersion(conn.PgConn()) >= transactionTimeoutSince
	return func(cfg *pgconn.Config, settings map[string]string) {
		Settle(cfg, settings)
		switch {
		case !atStart:
			settleAfterwards(cfg)
		case later:
			endlessTransactions(cfg)
		}
	}, nil
}

// openPools makes the pools. None of them has connected yet. settle gives connections their
// settings.
func (a Address) openPools(ctx context.Context, config *pgxpool.Config, connections int, settle func(*pgconn.Config, map[string]string)) (*Store, error) {
	s := &Store{judged: new(atomic.Pointer[func(error)])}
	for _, p := range []struct {
		pool            **pgxpool.Pool
		connections     int
		lock, statement time.Duration // zero: as SessionSettings says
	}{
		{&s.pool, max(connections, 2), 0, 0},
		{&s.writing, writeConnections, rowPatience, writeLimit},
		{&s.isolated, isolatedConnections, rowPatience, writeLimit},
		{&s.changes, changeConnections, rowPatience, changeLimit},
		{&s.leases, leaseConnections, 0, 0},
		{&s.acks, ackConnections, rowPatience, ackLimit},
		{&s.console, consoleConnections, consolePatience, consoleLimit},
	} {
		own := config.Copy()
		own.MaxConns = int32(p.connections)
		own.AfterConnect = s.admit
		settings := SessionSettings()
		if p.lock > 0 {
			settings["lock_timeout"] = fmt.Sprint(p.lock.Milliseconds())
			settings["statement_timeout"] = fmt.Sprint(p.statement.Milliseconds())
		}
		own.BeforeConnect = a.before(config.ConnConfig, func(cfg *pgconn.Config) { settle(cfg, settings) })
		settle(&own.ConnConfig.Config, settings)
		pool, err := pgxpool.NewWithConfig(ctx, own)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("open pool: %w", err)
		}
		*p.pool = pool
	}
	return s, nil
}

// Console returns a store that runs what people ask for over connections of its own, with short time limits, so that no
// search holds up deliveries. Of the searches that do not find a whole page at once, one at a time goes on: together
// they take one core at the most. It is closed with s.
func (s *Store) Console() *Store {
	c := *s
	c.pool, c.long = s.console, make(chan struct{}, 1)
	return &c
}

// Close closes the pools and waits for the statements under way.
func (s *Store) Close() {
	for _, pool := range s.pools() {
		if pool != nil {
			pool.Close()
		}
	}
}

// Ping checks that the database answers, and that it is no standby: see OnStandby.
func (s *Store) Ping(ctx context.Context) error {
	var standby bool
	if err := s.pool.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("reach the database: %w", ExplainPooler(err))
	}
	if standby {
		return errStandby
	}
	return nil
}

// NotMigrated reports whether err means that the schema relay or a table of it is missing.
func NotMigrated(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000")
}

// inTx runs f in one transaction at read committed, and commits if it returns nil.
func (s *Store) inTx(ctx context.Context, operation string, f func(pgx.Tx) error) error {
	return inTxOf(ctx, s.pool, operation, f)
}

// inTxOf is inTx over a pool.
func inTxOf(ctx context.Context, pool *pgxpool.Pool, operation string, f func(pgx.Tx) error) error {
	if err := pgx.BeginFunc(ctx, pool, f); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}
