package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/cdc"
)

// lockNotAvailable is the SQLSTATE of a table that somebody else has locked.
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

func (s *service) changeTrigger(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(string(s.config.DatabaseURL))
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = "relay"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if s.config.Capture == CaptureNotify {
		return cdc.EnsureTrigger(ctx, conn)
	}
	return cdc.DropTrigger(ctx, conn)
}
