package test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
	"relay/throwaway"
)

// replica is a server that follows the one of a chaos run while that is about to be lost.
type replica struct {
	server *throwaway.Postgres
	binary string // of pg_basebackup
}

// newReplica makes the server; it runs only while it follows.
func newReplica(t testing.TB) *replica {
	t.Helper()
	server := harness.Postgres(t, throwaway.PostgresConfig{Name: "relay-test-standby"})
	if err := server.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	return &replica{server: server, binary: filepath.Join(server.BinDir(), "pg_basebackup")}
}

// promote has a synchronous standby follow the primary, which dies in the end: the standby
// takes its place, at its address, and knows nothing of its slots. What was committed
// meanwhile stands at both: no transaction goes without waiting for that.
func (c *chaos) promote(int) (func() error, error) {
	c.synchronous.Store(true)
	if err := c.follow(); err != nil {
		c.synchronous.Store(false)
		return nil, errors.Join(err, c.unfollow())
	}
	return func() error {
		defer c.synchronous.Store(false)
		return c.failOver()
	}, nil
}

// follow copies the primary and starts the copy as its synchronous standby.
func (c *chaos) follow() error {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	to := filepath.Join(c.standby.server.Dir(), "data")
	const copied = `rm -rf "$2"; "$1" -d "$3" -D "$2" -X stream --no-slot -c fast --no-sync; chown -R --reference="$4" "$2"`
	if err := shell(ctx, copied, c.standby.binary, to, c.db.AdminURL, c.standby.server.Dir()); err != nil {
		return fmt.Errorf("copy the primary: %w", err)
	}
	if err := configure(ctx, to, c.standby.server, "primary_conninfo = '"+c.db.AdminURL+"'"); err != nil {
		return err
	}
	if err := c.standby.server.Start(ctx); err != nil {
		return err
	}
	if err := c.adminEach("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"); err != nil {
		return err
	}
	for {
		var keepsUp bool
		err := c.admin.QueryRow(ctx, "select exists (select from pg_stat_replication where sync_state = 'sync' and state = 'streaming')").Scan(&keepsUp)
		if err == nil && keepsUp {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(errors.New("the standby does not keep up"), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// unfollow lets the primary go on alone.
func (c *chaos) unfollow() error {
	return errors.Join(c.adminEach("alter system reset synchronous_standby_names", "select pg_reload_conf()"), c.standby.server.Stop("immediate"))
}

// failOver kills the primary and promotes its standby in its place.
func (c *chaos) failOver() error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*faultLimit)
	defer cancel()
	from, to := filepath.Join(c.standby.server.Dir(), "data"), filepath.Join(c.db.Server.Dir(), "data")
	if err := errors.Join(c.db.Server.Kill(), c.standby.server.Stop("immediate")); err != nil {
		return err
	}
	if err := shell(ctx, `find "$2" -mindepth 1 -delete; cp -a "$1/." "$2"; rm -f "$2/postmaster.pid"`, from, to); err != nil {
		return fmt.Errorf("put the standby in the primary's place: %w", err)
	}
	if err := configure(ctx, to, c.db.Server, "primary_conninfo = ''"); err != nil {
		return err
	}
	return c.revivePostgres()
}

// configure makes a copied data folder one of the server that is to run on it, as a standby.
func configure(ctx context.Context, data string, server *throwaway.Postgres, more string) error {
	lines := fmt.Sprintf("\nport = %d\nunix_socket_directories = '%s'\n%s\n", server.Port(), server.Dir(), more)
	return shell(ctx, `printf %s "$2" >> "$1/postgresql.conf"; touch "$1/standby.signal"`, data, lines)
}

func shell(ctx context.Context, script string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-ec", script, "sh"}, arguments...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}

// adminEach runs statements as the superuser, each by itself and on a connection of its own.
func (c *chaos) adminEach(statements ...string) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.db.AdminURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
