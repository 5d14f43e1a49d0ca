package test

import (
	"strings"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// poolers are ways in which a pooler receives parameters that it does not know.
var poolers = map[string]map[string]string{
	"refuses start-up parameters": {},
	"ignores start-up parameters": {"ignore_startup_parameters": ignored},
}

// ignored lists what the relay puts into its start-up packets and PgBouncer does not know.
const ignored = "search_path,standard_conforming_strings,array_nulls,transform_null_equals,bytea_output,intervalstyle,extra_float_digits," +
	"client_min_messages,quote_all_identifiers,plpgsql.extra_errors,default_transaction_read_only,default_transaction_isolation," +
	"default_transaction_deferrable,exit_on_error,enable_seqscan,enable_bitmapscan,enable_indexscan,enable_indexonlyscan,enable_nestloop," +
	"enable_sort,enable_hashagg,enable_material,jit,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,idle_session_timeout," +
	"tcp_user_timeout,synchronous_commit,row_security,plan_cache_mode"

// A pooler in transaction mode is named at once by everything that connects, and no session of
// the applications behind it is changed.
func TestAPoolerInTransactionModeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, settings := range poolers {
		for _, mode := range []string{"transaction", "statement"} {
			t.Run(mode+" mode, "+name, func(t *testing.T) {
				t.Parallel()
				db := harness.Database(t)
				url := harness.Bouncer(t, db, map[string]string{"pool_mode": mode, "ignore_startup_parameters": settings["ignore_startup_parameters"]})
				env := []string{"RELAY_DATABASE_URL=" + url, "RELAY_METRICS_ADDR=off", "RELAY_ADMIN_ADDR=off"}
				for _, args := range [][]string{{"migrate"}, {"run"}, {"doctor"}, {"status"}} {
					harness.Build(t, "relay/cmd/relay")
					begun := time.Now()
					code, stdout, stderr := run(t, "", args, env...)
					text := stdout + stderr
					if code == 0 || !strings.Contains(text, "in transaction mode") || !strings.Contains(text, "set RELAY_DATABASE_URL to the server's own address") {
						t.Errorf("relay %s ends with %d: %s", args[0], code, text)
					}
					if args[0] != "doctor" && strings.Count(stderr, "\n") != 1 || time.Since(begun) > 30*time.Second {
						t.Errorf("relay %s took %s and says: %s", args[0], time.Since(begun), stderr)
					}
				}
				for _, path := range []string{pathThrough(t, url), pathThrough(t, url)} {
					if path != `"$user", public` {
						t.Errorf("a session of the pooler has the search path %s", path)
					}
				}
			})
		}
	}
}

func pathThrough(t testing.TB, url string) (path string) {
	t.Helper()
	results, err := connect(t, url).PgConn().Exec(t.Context(), "show search_path").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(results[0].Rows[0][0])
}

// A pooler in session mode carries all but the stream, whatever it does with parameters.
func TestAPoolerInSessionModeWorks(t *testing.T) {
	t.Parallel()
	for name, settings := range poolers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Database(t)
			own := db.URL
			db.URL = harness.Bouncer(t, db, map[string]string{"pool_mode": "session", "default_pool_size": "60", "ignore_startup_parameters": settings["ignore_startup_parameters"]})
			prepare(t, db)
			s := &system{db: db, app: db.App(t), admin: db.Admin(t), receiver: newReceiver(t, nil)}
			env := []string{"RELAY_DATABASE_URL=" + db.URL, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_CAPTURE=notify", "RELAY_EGRESS_ALLOW=loopback"}
			s.relay = start(t, db, env[1:3]...)
			s.relay.says("notify: ok")
			id := s.send(t, "topic, key, payload", `'t', 'k', '"→"'`)
			s.waitStatus(t, id, "done")
			const strange = "select string_agg(distinct query, '; ') from pg_stat_activity where usename = 'relay' and datname = current_database() and application_name <> 'relay'"
			if got := s.text(t, "select coalesce(("+strange+"), '')"); got != "" {
				t.Errorf("sessions without the relay's settings ran %s", got)
			}
			for _, args := range [][]string{{"status"}, {"messages", "list"}, {"migrate"}, {"doctor"}} {
				runs(t, env, args...)
			}
			// The stream needs the server itself, which the relay says while it delivers without.
			s.relay.kill()
			s.relay = launch(t, db, env[1], "RELAY_CAPTURE=stream")
			s.relay.says("stream: failed", "pooler", "set RELAY_DATABASE_URL to the server's own address")
			s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
			code, out, _ := run(t, "", []string{"doctor"}, env[0], env[1], "RELAY_EGRESS_ALLOW=loopback")
			if code == 0 || !strings.Contains(out, "pooler") {
				t.Errorf("doctor ends with %d: %s", code, out)
			}
			s.relay.kill()
			db.URL = own
		})
	}
}

// While the server behind a pooler is away or admits no session, the relay waits, as it does without a pooler.
func TestAPoolerThatHasNoSessionToGive(t *testing.T) {
	t.Parallel()
	s := &system{db: harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{})), receiver: newReceiver(t, nil)}
	prepare(t, s.db)
	url := harness.Bouncer(t, s.db, map[string]string{"pool_mode": "session", "default_pool_size": "60", "server_login_retry": "1"})
	env := []string{"RELAY_DATABASE_URL=" + url, "RELAY_CAPTURE=notify", "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL}
	delivers := func() {
		s.app, s.admin = pool(t, s.db.AppURL), pool(t, s.db.AdminURL)
		s.relay.waitReady()
		s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	}
	s.admin = pool(t, s.db.AdminURL)
	s.exec(t, "alter role relay connection limit 0")
	s.relay = launch(t, s.db, env...)
	s.relay.says("database: failed", "the connection pooler has no session of the server to give")
	diagnose(t, "", env...).names(t, "fail", "database", "has no session of the server to give", "start the server behind the pooler")
	s.exec(t, "alter role relay connection limit -1")
	delivers()
	s.relay.kill()

	if err := s.db.Server.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	s.relay = launch(t, s.db, env...)
	s.relay.says("database: failed", "start the server behind the pooler")
	if err := s.db.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivers()
}
