package test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// settingFaults are those of what an administrator sets or takes.
func settingFaults() []fault {
	const s = time.Second
	return []fault{
		{"make the relays read only", "role", 1 * s, 3 * s, true, altered("alter role relay set default_transaction_read_only = on; "+endSessions, "alter role relay reset default_transaction_read_only; "+endSessions)},
		{"take the right to replicate", "slot", 1 * s, 4 * s, false, altered("alter role relay noreplication; "+endWalsender, "alter role relay replication")},
		{"take the table from the publication", "slot", 0, 0, false, admin("alter publication relay drop table relay.outbox")},
		{"hold the slot", "slot", 1 * s, 4 * s, false, (*chaos).holdSlot},
		{"let the queue be full", "rabbitmq", 1 * s, 3 * s, false, (*chaos).fillQueue},
	}
}

const (
	endSessions  = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay' and backend_type = 'client backend'"
	endWalsender = "select pg_terminate_backend(active_pid) from pg_replication_slots where active"
	// restoreRole is what these faults may have left behind.
	restoreRole = "alter role relay replication; alter role relay reset default_transaction_read_only; " + endSessions
)

// altered runs statements as the superuser at the beginning and others at the end.
func altered(begin, end string) func(*chaos, int) (func() error, error) {
	run := func(c *chaos, statements string) error {
		_, err := admin(statements)(c, 0)
		return err
	}
	return func(c *chaos, _ int) (func() error, error) {
		return func() error { return run(c, end) }, run(c, begin)
	}
}

// holdSlot streams from the relay's slot as somebody else, who confirms nothing.
func (c *chaos) holdSlot(int) (func() error, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	for {
		conn, err := c.streamInstead(ctx)
		if err == nil {
			return func() error { return conn.Close(c.t.Context()) }, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("hold the slot: %w", err)
		}
	}
}

// streamInstead ends the relay's walsender and tries to stream before it does again.
func (c *chaos) streamInstead(ctx context.Context) (*pgconn.PgConn, error) {
	conn, err := pgconn.Connect(ctx, c.db.AdminURL+"&replication=database")
	if err != nil {
		return nil, err
	}
	var slot string
	if err := c.admin.QueryRow(ctx, "select slot_name from pg_replication_slots").Scan(&slot); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	if _, err := c.admin.Exec(ctx, endWalsender); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	err = pglogrepl.StartReplication(ctx, conn, slot, 0, pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication, PluginArgs: []string{"proto_version '1'", "publication_names 'relay'"},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// fillQueue has the broker reject what exceeds one message in the queue.
func (c *chaos) fillQueue(int) (func() error, error) {
	ctl := func(arguments ...string) error {
		_, err := c.rabbit.Ctl(c.t.Context(), arguments...)
		return err
	}
	return func() error { return ctl("clear_policy", "full") },
		ctl("set_policy", "--apply-to", "queues", "full", "^"+chaosExchange+"$", `{"max-length": 1, "overflow": "reject-publish"}`)
}
