package test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay/test/harness"
)

// worstSettings are what a role and a database may have set, each as bad for the relay as it
// gets, on every version.
var worstSettings = map[string]string{
	"client_encoding": "LATIN1", "standard_conforming_strings": "off", "bytea_output": "escape", "DateStyle": "German, DMY",
	"IntervalStyle": "sql_standard", "TimeZone": "Asia/Kathmandu", "extra_float_digits": "-15", "xmloption": "document",
	"array_nulls": "off", "transform_null_equals": "on", "backslash_quote": "off", "client_min_messages": "error",
	"default_transaction_read_only": "on", "default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
	"exit_on_error": "on", "row_security": "off", "search_path": "\"$user\"", "synchronous_commit": "off", "plpgsql.extra_errors": "all",
	"statement_timeout": "1", "lock_timeout": "1", "idle_in_transaction_session_timeout": "1", "idle_session_timeout": "1",
	"wal_sender_timeout": "1", "tcp_user_timeout": "1", "check_function_bodies": "off", "quote_all_identifiers": "on",
	"enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_nestloop": "off", "enable_sort": "off",
	"plan_cache_mode": "force_custom_plan", "jit": "on", "work_mem": "64",
}

// unlivable are the settings under which no session can work. Sessions of the application and of a
// person get other values for these, and all their other settings stay at their worst.
var unlivable = map[string]string{
	"client_encoding": "UTF8", "default_transaction_read_only": "off", "exit_on_error": "off", "statement_timeout": "0", "lock_timeout": "0",
	"idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0", "transaction_timeout": "0", "tcp_user_timeout": "0",
}

// spoil gives every session of the database the worst settings, by the database and by the
// relay's and the application's role.
func spoil(t testing.TB, db *harness.DB, major int) {
	t.Helper()
	worst, livable := maps.Clone(worstSettings), maps.Clone(unlivable)
	if major >= 17 {
		worst["transaction_timeout"] = "5"
	} else {
		delete(livable, "transaction_timeout")
	}
	admin := db.Admin(t)
	set := func(whose string, settings map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			value := "'" + settings[name] + "'"
			if name == "search_path" {
				value = settings[name]
			}
			if _, err := admin.Exec(t.Context(), fmt.Sprintf("alter %s set %s = %s", whose, name, value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// An installed value must not stand in the way of these very statements.
	set("role postgres in database "+db.Name, livable)
	set("role app in database "+db.Name, worst)
	set("role app in database "+db.Name, livable)
	set("role relay in database "+db.Name, worst)
	set("database "+db.Name, worst)
	for _, pool := range []interface{ Reset() }{admin, db.App(t)} {
		pool.Reset()
	}
}

// The promise holds whatever a role or a database has set for its sessions.
func TestTheWorstSessionSettingsDisturbNothing(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 18} {
		for _, capture := range []string{"stream", "notify"} {
			t.Run(fmt.Sprint(major, " ", capture), func(t *testing.T) {
				t.Parallel()
				db := harness.DatabaseOn(t, major)
				spoil(t, db, major)
				deliverEveryKind(t, db, capture)
			})
		}
	}
}

// deliverEveryKind migrates an empty database, delivers a message of every kind, and asks what
// people ask.
func deliverEveryKind(t *testing.T, db *harness.DB, capture string) {
	const text = `{"way":"a → b","mood":"😀","back":"\\slash","quote":"it's"}`
	prepare(t, db)
	address, broker := harness.FreeAddress(t), harness.AMQPURL(t)
	b := newBroker(t, broker)
	b.queue(t, "work", "", "")
	s := &system{db: db, app: db.App(t), admin: db.Admin(t), receiver: newReceiver(t, nil)}
	var failures atomic.Int32
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if failures.Add(1) <= 2 {
			http.Error(w, "nicht jetzt → später 😀", http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	refusing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(422); return false })
	working := newReceiver(t, accept)
	env := []string{"RELAY_DATABASE_URL=" + db.URL, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_AMQP_URL=" + broker,
		"RELAY_ACK_ADDR=" + address, "RELAY_ACK_URL=http://" + address, "RELAY_BACKOFF=100ms,200ms", "RELAY_CAPTURE=" + capture, "RELAY_SLOT=" + db.Name}
	for _, args := range [][]string{
		{"failing", "--topics", "fails", "--target", failing.URL, "--backoff", "150ms,250ms"},
		{"refusing", "--topics", "refused", "--target", refusing.URL},
		{"fan1", "--topics", "fan.#", "--target", s.receiver.URL},
		{"fan2", "--topics", "fan.#", "--target", "amqp:/work"},
		{"acks", "--topics", "acks", "--target", working.URL, "--ack", "consumer"},
		{"deaths", "--topics", "relay.dead", "--target", s.receiver.URL},
	} {
		runs(t, env, append([]string{"subscriptions", "set"}, args...)...)
	}
	s.relay = start(t, db, env...)
	ended := map[string]string{
		s.send(t, "topic, payload", "'plain', $1", text):                                                             "done",
		s.send(t, "topic, key, payload", "'keyed', 'k → 😀', $1", text):                                               "done",
		s.send(t, "topic, key, payload", "'keyed', 'k → 😀', $1", text):                                               "done",
		s.send(t, "topic, payload, deliver_at", "'delayed', $1, clock_timestamp() + '700 ms'", text):                 "done",
		s.send(t, "topic, payload", "'fan.out', $1", text):                                                           "done",
		s.send(t, "topic, payload, headers", "'fails', $1, jsonb_build_object('x-way', 'plain')", text):              "done",
		s.send(t, "topic, payload", "'refused', $1", text):                                                           "dead",
		s.send(t, "topic, body, content_type", "'bytes', decode('00ff5c27', 'hex'), 'application/x-test'"):           "done",
		s.send(t, "topic, payload, destination", "'amqp', $1, 'amqp:/work'", text):                                   "done",
		s.text(t, "select relay.publish('published', $1, delay => '100 ms', source => 'quelle → ziel')::text", text): "done",
		strings.TrimSpace(runs(t, env, "send", "sent", text)):                                                        "done",
	}
	acked := s.send(t, "topic, payload", "'acks', $1", text)
	harness.Eventually(t, 30*time.Second, "the consumer is asked", func() bool { return len(working.requests(acked)) > 0 })
	s.waitDelivery(t, acked, "awaiting_ack")
	acks(t, working.requests(acked)[0].header.Get("relay-ack-url"), saysHandled, 204)
	ended[acked] = "done"
	for id, want := range ended {
		s.waitStatus(t, id, want)
	}
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		for _, request := range slices.Concat(s.receiver.requests(id), failing.requests(id), working.requests(id)) {
			if got := string(request.body); got != text && got != "\x00\xff\\'" {
				t.Errorf("message %s came as %q", id, got)
			}
		}
	}
	for _, d := range b.consume(t, "work", 2) {
		if string(d.Body) != text {
			t.Errorf("RabbitMQ has %q", d.Body)
		}
	}
	harness.Eventually(t, 30*time.Second, "the death is told", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where topic = 'relay.dead' and status = 'done'") == "1"
	})
	if got := s.text(t, "select string_agg(coalesce(error, 'none'), '|' order by attempt) from relay.attempt where subscription = 'failing'"); !strings.Contains(got, "503") {
		t.Errorf("failed attempts are %q", got)
	}
	for _, args := range [][]string{{"status"}, {"messages", "list"}, {"messages", "show", acked}, {"messages", "list", "--json"}, {"keys", "list"},
		{"subscriptions", "list"}, {"messages", "copy", acked}, {"messages", "retry", "--status", "dead", "--yes"}, {"jobs", "list"}, {"doctor"}, {"migrate"}} {
		runs(t, env, args...)
	}
}

// runs runs a command that must succeed and returns what it prints.
func runs(t testing.TB, env []string, args ...string) string {
	t.Helper()
	cmd := command(t, args, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("relay %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}
