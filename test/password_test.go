package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// vault is where an operator keeps the current password of the role relay: in a file, either as
// a part of the database's URL or for a command that prints it.
type vault struct {
	s    *system
	path string
	form func(password string) string // of the file
	last int
}

// rotate gives the role another password, then writes the file anew in one step, as the kubelet
// does. The password before is of no use from then on.
func (v *vault) rotate(t testing.TB) {
	t.Helper()
	v.last++
	password := fmt.Sprintf("password-%d", v.last)
	v.s.exec(t, "alter role relay password '"+password+"'")
	v.write(t, password)
}

func (v *vault) write(t testing.TB, password string) {
	t.Helper()
	if err := os.WriteFile(v.path+".new", []byte(v.form(password)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(v.path+".new", v.path); err != nil {
		t.Fatal(err)
	}
}

// vaults are the ways to a password that changes, with the variables that each needs.
var vaults = map[string]func(s *system, path string) (form func(string) string, env []string){
	"file": func(s *system, path string) (func(string) string, []string) {
		form := func(password string) string {
			return strings.Replace(s.db.URL, "relay:relay@", "relay:"+password+"@", 1) + "&schema=public" // which is another driver's
		}
		return form, []string{"RELAY_DATABASE_URL=", "RELAY_DATABASE_URL_FILE=" + path}
	},
	"command": func(s *system, path string) (func(string) string, []string) {
		without := strings.Replace(s.db.URL, "relay:relay@", "relay@", 1)
		return func(password string) string { return password }, []string{"RELAY_DATABASE_URL=" + without, "RELAY_DATABASE_PASSWORD_COMMAND=cat " + path}
	},
	"passfile": func(s *system, path string) (func(string) string, []string) {
		without := strings.Replace(s.db.URL, "relay:relay@", "relay@", 1)
		return func(password string) string { return "*:*:*:relay:" + password }, []string{"RELAY_DATABASE_URL=" + without + "&passfile=" + path}
	},
}

// newVault makes a system on a server of its own, whose relay has not started yet.
func newVault(t testing.TB, way string) (v *vault, env []string) {
	t.Helper()
	s := &system{db: harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{"wal_level": "logical"}}))}
	prepare(t, s.db)
	s.app, s.admin, s.receiver = s.db.App(t), s.db.Admin(t), newReceiver(t, nil)
	v = &vault{s: s, path: filepath.Join(t.TempDir(), "secret")}
	v.form, env = vaults[way](s, v.path)
	v.rotate(t)
	return v, append(env, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
}

// The role's password changes every second under load, and every session of the relay is ended
// each time: nothing is lost, and nothing stalls for longer than one reconnect.
func TestThePasswordIsReplaced(t *testing.T) {
	t.Parallel()
	for way := range vaults {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			v, env := newVault(t, way)
			s := v.s
			s.relay = start(t, s.db, env...)
			tr := newTraffic(t, s, 2, 5*time.Millisecond)
			s.delivers(t, 40)
			const longest = 3 * time.Second // pauses between attempts to connect double from 0.1 s
			for round := range 12 {
				from := time.Now()
				v.rotate(t)
				if round%3 > 0 { // sessions outlive a password
					s.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay'")
				}
				s.deliversWithin(t, 40, longest)
				tr.interrupted("new password", from)
			}
			s.relay.waitReady()
			tr.verify(t, s, time.Minute)
			if log := s.relay.log.String(); strings.Contains(log, "password-") {
				t.Errorf("the log holds a password:\n%s", log)
			}
			for _, args := range [][]string{{"status"}, {"doctor"}, {"messages", "list"}, {"send", "topic"}} {
				if code, out, errs := run(t, "{}", args, append(env, "RELAY_SLOT="+s.db.Name, "RELAY_EGRESS_ALLOW=loopback")...); code != 0 {
					t.Errorf("relay %s ends with %d: %s%s", args[0], code, out, errs)
				}
			}
		})
	}
}

// deliversWithin waits, for a limited time, until the given number of further messages have arrived.
func (s *system) deliversWithin(t testing.TB, more int, within time.Duration) {
	t.Helper()
	already, began := s.receiver.distinct(), time.Now()
	harness.Eventually(t, within, "the relay delivers", func() bool { return s.receiver.distinct() >= already+more })
	t.Logf("%d more messages after %s", more, time.Since(began).Round(time.Millisecond))
}

// While the password cannot be had, or is the wrong one, the relay waits, says why, and goes on
// by itself. Commands and doctor say what mends it.
func TestThePasswordIsNotThereYet(t *testing.T) {
	t.Parallel()
	v, env := newVault(t, "command")
	s, env := v.s, slices.Clip(env) // each list of variables below is one of its own
	broken := append(env, "RELAY_DATABASE_PASSWORD_COMMAND=echo hush; echo no credentials >&2; exit 4")
	const says = "RELAY_DATABASE_PASSWORD_COMMAND: exit status 4: no credentials"
	for _, args := range [][]string{{"status"}, {"messages", "list"}} {
		if code, out, errs := run(t, "", args, broken...); code == 0 || !strings.Contains(errs, says) || strings.Contains(out+errs, "hush") {
			t.Errorf("relay %s ends with %d: %s%s", args[0], code, out, errs)
		}
	}
	diagnose(t, "", broken...).names(t, "fail", "database", says, "run RELAY_DATABASE_PASSWORD_COMMAND by hand")
	diagnose(t, "", append(env, "RELAY_DATABASE_PASSWORD_COMMAND=echo wrong")...).names(t, "fail", "database", "28P01", "RELAY_DATABASE_PASSWORD_COMMAND")
	waiting := launch(t, s.db, broken...)
	waiting.says("database: failed: not connected yet", says)
	if log := waiting.log.String(); !strings.Contains(log, says) || strings.Contains(log, "hush") {
		t.Errorf("the log of a relay without a password:\n%s", log)
	}
	waiting.kill()
	v.write(t, "wrong")
	s.relay = launch(t, s.db, env...)
	s.relay.says("database: failed: not connected yet", "password authentication failed")
	v.rotate(t)
	s.relay.waitReady()
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
}
