package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

func postgresFaults() []fault {
	const s = time.Second
	return []fault{
		{"kill PostgreSQL", "postgres", 0, 4 * s, true, (*chaos).killPostgres},
		{"restart PostgreSQL at once", "postgres", 0, 3 * s, true, stopPostgres("immediate")},
		{"restart PostgreSQL in good order", "postgres", 0, 3 * s, true, stopPostgres("fast")},
		{"cut the way to PostgreSQL", "way to postgres", 1 * s, 4 * s, true, cutWay(toPostgres)},
		{"half-open connections to PostgreSQL", "way to postgres", 2 * s, 6 * s, true, stallWay(toPostgres)},
		{"lose the connections to PostgreSQL for ever", "way to postgres", 0, 0, true, loseWay(toPostgres)},
		{"slow way to PostgreSQL", "way to postgres", 1 * s, 3 * s, true, slowWay(toPostgres)},
		{"end the relays' sessions", "sessions", 0, 0, false, admin("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay'")},
		{"end the walsender", "slot", 0, 0, false, admin(endWalsender)},
		{"drop the slot", "slot", 0, 0, false, (*chaos).dropSlot},
		{"drop the publication", "slot", 0, 0, false, admin("drop publication if exists relay")},
		{"lock relay.outbox", "table", 1 * s, 4 * s, false, inTransaction("lock table relay.outbox in access exclusive mode")},
		{"hold a transaction open", "transaction", 2 * s, 8 * s, false, inTransaction("insert into relay.outbox (topic) values ('rolled back')")},
		{"promote a standby", "postgres", 1 * s, 3 * s, true, (*chaos).promote},
		{"fill the disk", "postgres", 1 * s, 4 * s, true, (*chaos).fillDisk},
		{"use up the connections", "connections", 2 * s, 4 * s, true, (*chaos).exhaust},
	}
}

// faultLimit bounds what a fault does to a server.
const faultLimit = 10 * time.Second

func (c *chaos) killPostgres(int) (func() error, error) {
	return c.startPostgres, c.db.Server.Kill()
}

func stopPostgres(mode string) func(*chaos, int) (func() error, error) {
	return func(c *chaos, _ int) (func() error, error) { return c.startPostgres, c.db.Server.Stop(mode) }
}

func (c *chaos) startPostgres() error { return c.db.Server.Start(c.t.Context()) }

// admin runs one statement as the superuser.
func admin(statement string) func(*chaos, int) (func() error, error) {
	return func(c *chaos, _ int) (func() error, error) {
		ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
		defer cancel()
		_, err := c.admin.Exec(ctx, statement)
		return nil, err
	}
}

// dropSlot drops the slot in the moment after its walsender has ended.
func (c *chaos) dropSlot(int) (func() error, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	for {
		var left bool
		err := c.admin.QueryRow(ctx, `
			with ended as materialized (select count(pg_terminate_backend(active_pid)) from pg_replication_slots where active),
			dropped as materialized (select count(pg_drop_replication_slot(slot_name)) from ended, pg_replication_slots where not active)
			select count(*) = 0 and exists (select from pg_replication_slots) from dropped where dropped.count > 0`).Scan(&left)
		if err == nil && !left {
			return nil, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("drop the slot: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// inTransaction runs a statement and leaves its transaction open until the end.
func inTransaction(statement string) func(*chaos, int) (func() error, error) {
	return func(c *chaos, _ int) (func() error, error) {
		ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
		defer cancel()
		conn, err := pgx.Connect(ctx, c.db.AdminURL)
		if err != nil {
			return nil, err
		}
		end := func() error {
			conn.Close(c.t.Context()) // it may be gone with the server
			return nil
		}
		if _, err := conn.Exec(ctx, "begin; "+statement); err != nil {
			return nil, errors.Join(err, end())
		}
		return end, nil
	}
}

// fillDisk leaves no room on the server's disk. In every second case it makes the server need room
// for WAL at once, so that the server ends.
func (c *chaos) fillDisk(pick int) (func() error, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a small disk takes root")
	}
	free, err := fill(c.db.Server)
	for range pick % 2 * 4 {
		// It fails when the server has ended.
		_, _ = admin("select pg_logical_emit_message(true, '', ''), pg_switch_wal()")(c, 0)
	}
	return func() error { return errors.Join(free(), c.revivePostgres()) }, err
}

// revivePostgres starts the server until it answers and takes writes: one that is just ending is running yet, and one
// that was to take a lost server's place may have died before it was promoted.
func (c *chaos) revivePostgres() error {
	for tried := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := c.startPostgres()
		if err == nil {
			err = c.takesWrites()
		}
		if err == nil || time.Since(tried) > 3*faultLimit {
			return err
		}
	}
}

// takesWrites promotes the server if it is a standby, and returns an error while it is one.
func (c *chaos) takesWrites() error {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	var standby bool
	var waits, blocks string
	// What the process that replays waits for tells why a promotion takes long.
	if err := c.admin.QueryRow(ctx, `
		select pg_is_in_recovery() and pg_promote(wait => false), coalesce(string_agg(concat_ws(' ', backend_type, state, wait_event), ', ')
			filter (where backend_type = 'startup'), ''), coalesce(string_agg(concat_ws(' ', usename, state, wait_event, left(query, 60)), ', ')
			filter (where backend_xmin is not null and pid <> pg_backend_pid()), '')
		from pg_stat_activity`).Scan(&standby, &waits, &blocks); err != nil {
		return err
	}
	if standby {
		return fmt.Errorf("the server is a standby yet: %s; sessions with a snapshot: %s", waits, blocks)
	}
	return nil
}

// exhaust opens connections until there is none left but for superusers.
func (c *chaos) exhaust(int) (func() error, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	var held []*pgx.Conn
	for {
		conn, err := pgx.Connect(ctx, c.db.AppURL)
		if err != nil {
			break
		}
		held = append(held, conn)
	}
	c.logf("%d connections are held", len(held))
	return func() error {
		for _, conn := range held {
			conn.Close(c.t.Context())
		}
		return nil
	}, nil
}
