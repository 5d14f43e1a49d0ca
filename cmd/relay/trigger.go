package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/cdc"
	"relay/sql"
)

// lockNotAvailable is the SQLSTATE for a table that another session has locked.
const lockNotAvailable = "55P03"

// fitTrigger makes the NOTIFY trigger if RELAY_CAPTURE=notify, and removes it otherwise: it
// makes PREPARE TRANSACTION fail for applications, so that it must not be there unasked. It
// tries again while the table is locked.
func (s *service) fitTrigger(ctx context.Context) error {
	for {
		err := s.changeTrigger(ctx)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != lockNotAvailable {
			return err
		}
		s.log.Warn("relay.outbox is locked; its trigger is changed as soon as it is free", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// changeTrigger makes or removes the trigger and then, on the same connection, looks for
// slots that were left over.
func (s *service) changeTrigger(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	config, err := s.config.Database().Config(ctx)
	if err != nil {
		return err
	}
	sql.Settle(&config.Config, sql.CommonSettings())
	conn, err := sql.Connect(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	change := cdc.DropTrigger
	if s.config.Capture == CaptureNotify {
		change = cdc.EnsureTrigger
	}
	if err := change(ctx, conn); err != nil {
		return err
	}
	s.warnOfSlots(ctx, conn)
	return nil
}

// warnOfSlots names slots that a relay may have made before RELAY_CAPTURE or RELAY_SLOT was
// changed. No relay reads them any more, and the server keeps WAL for them until its disk is full.
// They may belong to another program, so a person has to drop them.
func (s *service) warnOfSlots(ctx context.Context, conn *pgx.Conn) {
	own := ""
	if s.config.Capture == CaptureStream {
		own = s.config.Slot
	}
	others, err := cdc.OtherSlots(ctx, conn, own)
	if err != nil {
		s.log.Warn("cannot look for slots that were left over", "error", err)
	}
	for _, o := range others {
		// A slot of the name that this relay would use is read at most by a relay that is stopping.
		if o.Here && (o.Reader == "" || o.Name == s.config.Slot) {
			s.log.Warn("a replication slot of this database keeps WAL, and this relay does not read it",
				"slot", o.Name, "bytes", o.Bytes, "reader", o.Reader, "mend", "if no program needs it any more: "+o.Drop())
		}
	}
}
