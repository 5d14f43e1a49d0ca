package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/sql"
)

// openStore connects to the database and keeps trying while it cannot be reached.
func openStore(ctx context.Context, config Config, log *slog.Logger) (store *sql.Store, err error) {
	address := config.Database()
	err = persist(ctx, log, address.Changes(), func() error {
		store, err = address.Open(ctx, config.DatabaseConnections)
		return err
	})
	return store, err
}

// persist makes a step of the start again and again while the database is away, which /readyz
// then tells.
func (s *service) persist(ctx context.Context, step func() error) error {
	return persist(ctx, s.log, s.config.Database().Changes(), func() error {
		err := sql.ExplainStandby(step())
		s.away.Store(&err)
		return err
	})
}

// persist makes one step of the start again and again while the database is away, and says
// so once for each reason. What waiting cannot mend is an error at once, such as a wrong
// password, unless passwords change.
func persist(ctx context.Context, log *slog.Logger, passwords bool, step func() error) error {
	said := ""
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := step()
		if err == nil || ctx.Err() != nil || !worthWaiting(err) && !(passwords && refused(err)) {
			return err
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn("the database cannot be reached yet; the relay keeps trying", "error", sql.Plain(err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// worthWaiting reports whether an error may pass by itself: the database cannot be reached,
// or the connection was lost.
func worthWaiting(err error) bool {
	if errors.As(err, new(*sql.Unfit)) {
		return false
	}
	if errors.As(err, new(*sql.AddressError)) || sql.OnStandby(err) { // a standby may become the primary
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:min(2, len(pg.Code))] {
		case "08", "40", "53", "57": // lost, in another's way, out of connections or disk, starting up or shutting down
			return true
		case "58", "XX": // input and output, and a server that cannot write its own files
			return true
		}
		return pg.Code == "25P03" || pg.Code == "25P04" // the relay stood still in a transaction for too long: it was frozen
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// refused reports whether the server refused role or password, which a file or a command may
// give anew.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000")
}
