package throwaway_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/throwaway"
)

func TestPostgresKeepsItsDataOverStopAndStart(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"smart", "fast", "immediate", "kill"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := startPostgres(t, throwaway.PostgresConfig{})
			query[int](t, p, "create table kept (n int); insert into kept values (7); select n from kept")
			pid, port := serverPID(t, p), p.Port()
			if mode == "kill" {
				err := p.Kill()
				check(t, err)
			} else {
				check(t, p.Stop(mode))
			}
			if alive(pid) {
				t.Errorf("process %d runs after %s", pid, mode)
			}
			check(t, p.Start(t.Context()))
			if n := query[int](t, p, "select n from kept"); n != 7 {
				t.Errorf("kept row reads %d, want 7", n)
			}
			if p.Port() != port {
				t.Errorf("port %d after the restart, %d before", p.Port(), port)
			}
		})
	}
}

func TestPostgresVersions(t *testing.T) {
	t.Parallel()
	for major := throwaway.OldestPostgres; major <= throwaway.NewestPostgres; major++ {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			dir, err := throwaway.FindPostgres(major)
			check(t, err)
			p := startPostgres(t, throwaway.PostgresConfig{BinDir: dir})
			if v := query[int](t, p, "select current_setting('server_version_num')::int / 10000"); v != major {
				t.Errorf("server says version %d", v)
			}
			slot := query[string](t, p, "select slot_name from pg_create_logical_replication_slot('s', 'pgoutput')")
			if slot != "s" {
				t.Errorf("slot %q", slot)
			}
		})
	}
}

func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, throwaway.PostgresConfig{Settings: map[string]string{"fsync": "off", "cluster_name": "o'clock"}})
	for name, want := range map[string]string{"fsync": "off", "cluster_name": "o'clock", "wal_level": "logical"} {
		if got := query[string](t, p, "select current_setting('"+name+"')"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestPostgresSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	_, err := throwaway.StartPostgres(t.Context(), throwaway.PostgresConfig{
		Name:     "relay-test-bad",
		Settings: map[string]string{"wal_level": "nonsense"},
	})
	if err == nil || !strings.Contains(err.Error(), "wal_level") {
		t.Errorf("error %v, want one that shows the server's complaint about wal_level", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "relay-test-bad-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPostgresRefusesAWrongPassword(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, throwaway.PostgresConfig{})
	conn, err := pgx.Connect(t.Context(), p.URL(throwaway.Superuser, "guess", "postgres"))
	if err == nil {
		conn.Close(context.Background())
		t.Error("a wrong password was accepted")
	}
}

func TestFindPostgresNamesTheInstaller(t *testing.T) {
	t.Parallel()
	_, err := throwaway.FindPostgres(11)
	if err == nil || !strings.Contains(err.Error(), "scripts/install-test") {
		t.Errorf("error %v does not name the command that installs it", err)
	}
}

// startPostgres starts a server of the test's own, removes it at the end and looks for
// what it left behind.
func startPostgres(t *testing.T, cfg throwaway.PostgresConfig) *throwaway.Postgres {
	t.Helper()
	p, err := throwaway.StartPostgres(t.Context(), cfg)
	check(t, err)
	t.Cleanup(func() {
		pid := serverPID(t, p)
		check(t, p.Remove())
		if _, err := os.Stat(p.Dir()); !os.IsNotExist(err) {
			t.Errorf("folder %s is left behind: %v", p.Dir(), err)
		}
		if alive(pid) {
			t.Errorf("process %d is left behind", pid)
		}
	})
	return p
}

// query runs statements as the superuser on a connection of its own and returns the first
// value of the last one's first row.
func query[T any](t *testing.T, p *throwaway.Postgres, sql string) (v T) {
	t.Helper()
	cfg, err := pgx.ParseConfig(p.URL(throwaway.Superuser, "", "postgres"))
	check(t, err)
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	check(t, err)
	defer conn.Close(context.Background())
	before, last, found := cutLast(sql, ";")
	if found {
		_, err = conn.Exec(t.Context(), before)
		check(t, err)
	}
	check(t, conn.QueryRow(t.Context(), last).Scan(&v))
	return v
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// serverPID reads the process id from the server's lock file.
func serverPID(t *testing.T, p *throwaway.Postgres) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir(), "data", "postmaster.pid"))
	check(t, err)
	var pid int
	_, err = fmt.Sscan(string(b), &pid)
	check(t, err)
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// eventually polls until ok says true.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", within, what)
		case <-tick.C:
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
