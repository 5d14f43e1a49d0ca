package cdc

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"relay/sql"
)

const (
	connectTimeout = 10 * time.Second
	closeTimeout   = 2 * time.Second
)

// adopt makes a connection independent of what the role or the database has set.
func adopt(cfg *pgconn.Config) {
	sql.Settle(cfg, sql.CommonSettings())
	cfg.BuildContextWatcherHandler = watchReads
}

// Renewal brings what leads to the database up to date in a configuration, before a connection of
// it is opened. Nil means that nothing changes. sql.Address.Renew is one.
type Renewal func(ctx context.Context, cfg *pgx.ConnConfig) error

// of returns a copy of base that is up to date.
func (r Renewal) of(ctx context.Context, base *pgx.ConnConfig) (*pgx.ConnConfig, error) {
	cfg := base.Copy()
	if r == nil {
		return cfg, nil
	}
	return cfg, r(ctx, cfg)
}

// connectSQL opens an ordinary connection to the database of base. The caller closes it
// with closeSQL.
func connectSQL(ctx context.Context, base *pgx.ConnConfig, renew Renewal) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg, err := renew.of(ctx, base)
	if err != nil {
		return nil, err
	}
	adopt(&cfg.Config)
	conn, err := sql.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	keepAlive(conn.PgConn().Conn())
	return conn, nil
}

// connectReplication opens a connection that speaks the replication protocol. The caller
// closes it with closeReplication.
func connectReplication(ctx context.Context, base *pgx.ConnConfig, renew Renewal) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	whole, err := renew.of(ctx, base)
	if err != nil {
		return nil, err
	}
	cfg := &whole.Config
	adopt(cfg)
	cfg.RuntimeParams["replication"] = "database"
	// The right to replicate is the attribute of the role that logs in, and no member inherits it: not the role that
	// it is set to act as, such as one that owns the schema.
	cfg.RuntimeParams["role"] = "none"
	conn, err := sql.ConnectReplication(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect for replication: %w", err)
	}
	keepAlive(conn.Conn())
	if err := conn.Exec(ctx, outlastPause).Close(); err != nil {
		closeReplication(conn)
		return nil, fmt.Errorf("set up the session for replication: %w", err)
	}
	return conn, nil
}

// outlastPause raises a wal_sender_timeout of the role or the database that is too short for
// an answer over a network. What an operator has chosen with sense stays.
const outlastPause = `
select set_config(name, '2000', false) from pg_settings
where name = 'wal_sender_timeout' and setting::int between 1 and 1999
`

func closeSQL(conn *pgx.Conn) {
	closeReplication(conn.PgConn())
}

// closeReplication closes the connection, or waits until a cancelled one has been closed
// in the background, so that nothing of ours is left on the server.
func closeReplication(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// An error here says only that the server was gone already.
	_ = conn.Close(ctx)
	select {
	case <-conn.CleanupDone():
	case <-ctx.Done():
	}
}

// keepAlive lets the kernel find out within half a minute that the peer is gone.
func keepAlive(conn net.Conn) {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// A failure leaves our own deadlines, which also find it.
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
		})
	}
}

// readWatcher ends a read when its context ends and leaves writes alone. pgconn's own
// handler sets both deadlines, which cuts status updates on the same socket.
type readWatcher struct{ conn net.Conn }

func watchReads(conn *pgconn.PgConn) ctxwatch.Handler {
	return readWatcher{conn: conn.Conn()}
}

// HandleCancel ends the read under way. It implements ctxwatch.Handler.
func (w readWatcher) HandleCancel(context.Context) {
	_ = w.conn.SetReadDeadline(time.Unix(1, 0))
}

// HandleUnwatchAfterCancel lets reads wait again. It implements ctxwatch.Handler.
func (w readWatcher) HandleUnwatchAfterCancel() {
	_ = w.conn.SetReadDeadline(time.Time{})
}
