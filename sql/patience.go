package sql

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// patience is how long an answer is waited for. A server that can be reached ends every
// statement before. From a connection that is half open nothing ever comes, and the kernel
// finds that out after many minutes, or never where a proxy stands between.
const patience = statementTimeout + 5*time.Second

// patientConn is a connection whose reads fail when nothing has come for so long after the
// last request.
type patientConn struct {
	net.Conn
	patience time.Duration
}

// Write sets the time by which the answer must have come. It does so before it writes: when
// the driver cancels the statement meanwhile, either the write fails or the read.
func (c patientConn) Write(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// patiently makes connections whose reads end.
func patiently(dial pgconn.DialFunc, patience time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return patientConn{Conn: conn, patience: patience}, nil
	}
}
