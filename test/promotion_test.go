package test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/checker"
	"relay/test/harness"
	"relay/throwaway"
)

// failoverSlots is the first version whose standbys can keep a logical slot.
const failoverSlots = 17

func TestAStandbyIsPromoted(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 17, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			promote(t, major)
		})
	}
}

// A relay that starts on a standby says so, and works when the standby has been promoted. A command says so too.
func TestARelayStartsOnAStandby(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t, throwaway.PostgresConfig{})
	s := &system{db: harness.NewDatabase(t, server), receiver: newReceiver(t, nil)}
	prepare(t, s.db)
	for _, what := range []string{"migrated", "settled"} {
		if err := errors.Join(server.Stop("fast"), os.WriteFile(filepath.Join(server.Dir(), "data", "standby.signal"), nil, 0o644), server.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := run(t, "{}", []string{"send", "t"}, "RELAY_DATABASE_URL="+s.db.URL); code == 0 || !strings.Contains(errs, "the server is a standby") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: relay send ends with %d: %s%s", what, code, out, errs)
		}
		s.relay = launch(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
		s.relay.says("database: failed", "the server is a standby", "set RELAY_DATABASE_URL to the primary")
		s.app, s.admin = pool(t, s.db.AppURL), pool(t, s.db.AdminURL)
		s.exec(t, "select pg_promote()")
		s.relay.waitReady()
		s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
		if err := s.relay.stop(10 * time.Second); err != nil {
			t.Error(err)
		}
	}
}

// promote lets the primary die under traffic and its standby take over. Replication is
// asynchronous: what the new primary has is the truth.
func promote(t *testing.T, major int) {
	binaries, err := throwaway.FindPostgres(major)
	if err != nil {
		t.Fatal(err)
	}
	primary := harness.Postgres(t, throwaway.PostgresConfig{BinDir: binaries})
	standby := harness.Postgres(t, throwaway.PostgresConfig{BinDir: binaries})
	s := &system{db: harness.NewDatabase(t, primary), receiver: newReceiver(t, nil)}
	prepare(t, s.db)
	s.relay = start(t, s.db, "RELAY_DATABASE_URL="+either(s.db.URL, standby.Port()), "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	follow(t, s.db, standby, major)
	s.app, s.admin = pool(t, either(s.db.AppURL, standby.Port())), pool(t, atPort(t, s.db.AdminURL, standby.Port()))
	harness.Eventually(t, time.Minute, "the standby keeps up", func() bool { return s.keepsUp(t, major) })
	diagnose(t, atPort(t, s.db.URL, standby.Port())).names(t, "fail", "database", "it is a standby", "to the primary")
	tr := newTraffic(t, s, 2, 5*time.Millisecond)
	s.delivers(t, 200)

	died := time.Now()
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "select pg_promote()")
	s.delivers(t, 100)
	s.relay.waitReady()
	back := time.Since(died)
	tr.interrupted("failover", died)
	tr.end()
	settled(t, s.admin, time.Minute)
	e, gone := truth(tr.evidence(t, s.admin, s.receiver.receipts()))
	v := checker.Judge(e)
	made := s.relay.metric("relay_cdc_slots_made_total")
	t.Logf("PostgreSQL %d: streams again after %s, %v slots made; %d messages were never replicated; %s", major, back, made, gone, v)
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	const same = `select (i.system_identifier = c.system_identifier and i.database_oid = d.oid)::text
		from relay.identity i, pg_control_system() c, pg_database d where d.datname = current_database()`
	if s.text(t, same) != "true" {
		t.Error("the promoted standby counts as a copy")
	}
	if want := map[bool]float64{true: 1, false: 2}[major >= failoverSlots]; made != want {
		t.Errorf("%v slots were made, want %v", made, want)
	}
}

// follow makes the second server a standby of the first, with a copy of its data.
func follow(t testing.TB, db *harness.DB, standby *throwaway.Postgres, major int) {
	t.Helper()
	source, _ := url.Parse(db.AdminURL)
	source.Path = "postgres"
	settings := map[string]string{
		"port": strconv.Itoa(standby.Port()), "unix_socket_directories": standby.Dir(),
		"primary_conninfo": source.String(), "primary_slot_name": "standby", "hot_standby_feedback": "on",
	}
	if major >= failoverSlots {
		settings["sync_replication_slots"] = "on"
	}
	var lines strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, value)
	}
	admin := db.Admin(t)
	if _, err := admin.Exec(t.Context(), "select pg_create_physical_replication_slot('standby', true)"); err != nil {
		t.Fatal(err)
	}
	if major >= failoverSlots { // the logical slot waits for the standby
		for _, statement := range []string{"alter system set synchronized_standby_slots = 'standby'", "select pg_reload_conf()"} {
			if _, err := admin.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	admin.Reset()
	for _, server := range []*throwaway.Postgres{standby, db.Server} {
		if err := server.Stop("fast"); err != nil {
			t.Fatal(err)
		}
	}
	script := `rm -rf "$2"; cp -a "$1" "$2"; rm -rf "$2"/pg_replslot/*; touch "$2/standby.signal"; printf %s "$3" >> "$2/postgresql.conf"`
	from, to := filepath.Join(db.Server.Dir(), "data"), filepath.Join(standby.Dir(), "data")
	if out, err := exec.Command("sh", "-ec", script, "sh", from, to, lines.String()).CombinedOutput(); err != nil {
		t.Fatalf("copy the primary: %v\n%s", err, out)
	}
	for _, server := range []*throwaway.Postgres{db.Server, standby} {
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// keepsUp reports whether the standby replicates and, where it can, has the relay's slot.
// It takes the slot over when the primary's has advanced past what the standby knew, which
// takes a record of the transactions under way.
func (s *system) keepsUp(t testing.TB, major int) (ok bool) {
	query, arguments := "select exists (select from pg_stat_wal_receiver where status = 'streaming')", []any(nil)
	if major >= failoverSlots {
		// An error means that the primary is still starting.
		_, _ = s.db.Admin(t).Exec(t.Context(), "select pg_log_standby_snapshot()")
		query, arguments = "select exists (select from pg_replication_slots where slot_name = $1 and synced and not temporary)", []any{s.db.Name}
	}
	err := s.admin.QueryRow(t.Context(), query, arguments...).Scan(&ok)
	return err == nil && ok
}

// truth leaves out what the new primary does not have, and says how much was committed
// on the old one alone.
func truth(e checker.Evidence) (checker.Evidence, int) {
	there := e
	there.Sent, there.Received = nil, nil
	gone := make(map[string]bool)
	for _, m := range e.Sent {
		if _, has := e.Rows[m.ID]; !has && m.Outcome != checker.RolledBack {
			gone[m.ID] = true
			continue
		}
		there.Sent = append(there.Sent, m)
	}
	for _, r := range e.Received {
		if !gone[r.ID] {
			there.Received = append(there.Received, r)
		}
	}
	return there, len(gone)
}

// atPort is an address with another port.
func atPort(t testing.TB, address string, port int) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = u.Hostname() + ":" + strconv.Itoa(port)
	return u.String()
}

// either is an address that leads to whichever of two servers is the primary.
func either(address string, port int) string {
	host := "@127.0.0.1:"
	before, after, _ := strings.Cut(address, host)
	first, rest, _ := strings.Cut(after, "/")
	return before + host + first + ",127.0.0.1:" + strconv.Itoa(port) + "/" + rest + "&target_session_attrs=read-write"
}

// pool is a pool of connections to an address that is not a database's own.
func pool(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(context.WithoutCancel(t.Context()), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
