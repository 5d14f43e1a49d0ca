package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// settingFaults are those of what an administrator sets or takes.
func settingFaults() []fault {
	const s = time.Second
	return []fault{
		{"take the right to write", "role", 1 * s, 3 * s, true, altered("revoke insert, update on all tables in schema relay from relay", mayWrite)},
		{"take the right to replicate", "slot", 1 * s, 4 * s, false, altered("alter role relay noreplication; "+endWalsender, "alter role relay replication")},
		{"take the table from the publication", "slot", 0, 0, false, admin("alter publication relay drop table relay.outbox")},
		{"hold the slot", "slot", 1 * s, 4 * s, false, (*chaos).holdSlot},
		{"invalidate the slot", "slot", 0, 0, false, (*chaos).invalidateSlot},
		{"lower wal_level", "postgres", 1 * s, 4 * s, true, (*chaos).lowerWALLevel},
		{"let the queue be full", "rabbitmq", 1 * s, 3 * s, false, (*chaos).fillQueue},
	}
}

const (
	mayWrite     = "grant insert, update on all tables in schema relay to relay"
	endWalsender = "select pg_terminate_backend(active_pid) from pg_replication_slots where active"
)

// restore takes back what faults may have left behind.
var restore = []string{
	"alter system reset max_slot_wal_keep_size", "alter system reset synchronous_standby_names", "select pg_reload_conf()",
	"alter role relay replication", mayWrite,
}

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

// lowerWALLevel restarts the server without logical decoding. It would not start with a
// logical slot, so the relays must not make a new one when theirs is gone.
func (c *chaos) lowerWALLevel(int) (func() error, error) {
	raise := func() error { return c.restartWith("wal_level = 'logical'") }
	if err := c.adminEach("alter role relay noreplication"); err != nil {
		return nil, err
	}
	_, err := c.dropSlot(0)
	if err == nil {
		err = c.restartWith("wal_level = 'replica'")
	}
	if err != nil {
		err = errors.Join(err, raise())
	}
	return raise, errors.Join(err, c.adminEach("alter role relay replication"))
}

// restartWith restarts the server with one more line of configuration. The last line for a setting
// counts.
func (c *chaos) restartWith(line string) error {
	conf, err := os.OpenFile(filepath.Join(c.db.Server.Dir(), "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(line + "\n")
	return errors.Join(err, conf.Close(), c.db.Server.Stop("fast"), c.startPostgres())
}

// invalidateSlot leaves no room for the WAL that the slot holds, so that a checkpoint
// invalidates it.
func (c *chaos) invalidateSlot(int) (func() error, error) {
	return nil, c.adminEach(
		"alter system set max_slot_wal_keep_size = 0", "select pg_reload_conf()",
		"select pg_logical_emit_message(true, '', ''), pg_switch_wal()", "checkpoint",
		"alter system reset max_slot_wal_keep_size", "select pg_reload_conf()")
}

// holdSlot streams from the relay's slot as another program would, and confirms nothing.
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
