package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// Store runs the relay's statements over a pool of connections. Its methods are safe for
// concurrent use and return the driver's error wrapped with the operation.
type Store struct {
	pool *pgxpool.Pool
}

// Open connects to the database of a libpq URL or keyword string with at most
// connections connections (at least 2), and checks that it answers. The caller closes the store. The error names no password.
func Open(ctx context.Context, url string, connections int) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database URL: it is not one that libpq understands (postgres://user:password@host:port/database)")
	}
	config.MaxConns = int32(max(connections, 2))
	config.MaxConnIdleTime = 5 * time.Minute
	config.ConnConfig.ConnectTimeout = 10 * time.Second
	config.ConnConfig.DialFunc = patiently(config.ConnConfig.DialFunc, patience)
	maps.Copy(config.ConnConfig.RuntimeParams, SessionSettings())
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	s := &Store{pool: pool}
	if err := s.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the pool and waits for the statements under way.
func (s *Store) Close() { s.pool.Close() }

// Ping checks that the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reach the database: %w", err)
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
	if err := pgx.BeginFunc(ctx, s.pool, f); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}
