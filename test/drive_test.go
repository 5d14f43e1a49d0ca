package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// driven is a database on which everything that a relay and a person do is done once.
type driven struct {
	db       *harness.DB
	relayURL string // of the relay and its commands
	appURL   string // of the application
	adminURL string // of the superuser who uses the tables
	receiver *receiver
}

// drive runs the relay in each way of capture, and every command that uses the database,
// while an application inserts and a superuser makes a subscription. after runs when the
// tables have been made.
func (d driven) drive(t testing.TB, after func()) {
	t.Helper()
	d.command(t, "migrate")
	after()
	d.command(t, "grant", "app")
	d.command(t, "grant", "app", "--inbox")
	d.command(t, "subscriptions", "set", "failing", "--topics", "failing.*", "--target", d.receiver.URL+"/fail", "--backoff", "100ms",
		"--rate-limit", "500", "--concurrency", "5")
	d.command(t, "subscriptions", "set", "dead", "--topics", "relay.dead", "--target", d.receiver.URL+"/dead")
	d.execute(t, d.adminURL, `insert into relay.subscription (name, topics, target, backoff, rate_limit)
		values ('super', '{super.*}', '`+d.receiver.URL+`/super', '{1s}', 10)`)
	d.execute(t, d.adminURL, `update relay.subscription set topics = '{super.*,more}' where name operator(pg_catalog.=) 'super'`)
	for _, capture := range []string{"stream", "notify", "poll"} {
		d.deliver(t, capture)
	}
	for _, args := range [][]string{
		{"status"}, {"messages", "list", "--status", "dead"}, {"messages", "list", "--key", "k"}, {"messages", "list", "--subscription", "failing"},
		{"messages", "retry", "--status", "dead", "--yes"}, {"messages", "cancel", "--status", "pending", "--yes"},
		{"keys", "list"}, {"jobs", "list"}, {"subscriptions", "list"}, {"subscriptions", "pause", "super"}, {"subscriptions", "resume", "super"},
		{"subscriptions", "replay", "super", "--since", "1h", "--yes"}, {"subscriptions", "delete", "super", "--force"},
		{"doctor"},
	} {
		// Some have nothing to do, and doctor finds what other tests leave on the server.
		code, out, errs := run(t, "", args, "RELAY_DATABASE_URL="+d.relayURL, "RELAY_SLOT="+d.db.Name)
		if strings.Contains(out+errs, "SQLSTATE") || code == 2 {
			t.Errorf("relay %s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
	}
	d.execute(t, d.appURL, "select relay.receive('warehouse', '01890000-0000-7000-8000-000000000001')")
	d.execute(t, d.relayURL, "call relay.forget_received('0', 1)")
}

// deliver runs a relay that delivers messages, retries one and declares one dead.
func (d driven) deliver(t testing.TB, capture string) {
	t.Helper()
	p := launch(t, d.db, "RELAY_DATABASE_URL="+d.relayURL, "RELAY_CAPTURE="+capture, "RELAY_DEFAULT_DESTINATION="+d.receiver.URL,
		"RELAY_BACKOFF=100ms,200ms", "RELAY_MAX_ATTEMPTS=2", "RELAY_RECONCILE=0-63 every 200ms")
	p.waitReady()
	ids := []string{
		d.ask(t, d.appURL, "insert into relay.outbox (topic, payload) values ('plain', '{}') returning id::text"),
		d.ask(t, d.appURL, "insert into relay.outbox (topic, key, payload) values ('plain', 'k', '{}') returning id::text"),
		d.ask(t, d.appURL, "select relay.publish('published', '{}', key => 'k', delay => '100 milliseconds')::text"),
		d.ask(t, d.appURL, "insert into relay.outbox (topic, payload) values ('super.one', '{}') returning id::text"),
	}
	dead := d.ask(t, d.appURL, "insert into relay.outbox (topic, payload) values ('failing.one', '{}') returning id::text")
	admin := d.db.AdminURL + "&search_path=pg_catalog"
	harness.Eventually(t, 30*time.Second, "messages are delivered with "+capture, func() bool {
		return d.ask(t, admin, "select count(*)::text from relay.outbox where status = 'done' and id = any ('{"+strings.Join(ids, ",")+"}')") == "4"
	})
	harness.Eventually(t, 30*time.Second, "a message is dead with "+capture, func() bool {
		return d.ask(t, admin, "select status::text from relay.outbox where id = '"+dead+"'") == "dead"
	})
	for _, args := range [][]string{
		{"messages", "show", dead}, {"messages", "copy", ids[0]}, {"messages", "retry", dead}, {"send", "plain", "{}"}, {"messages", "cancel", dead},
	} {
		d.command(t, args...)
	}
	if err := p.stop(30 * time.Second); err != nil {
		t.Errorf("the relay with %s: %v", capture, err)
	}
}

// command runs a command that must succeed, as the relay.
func (d driven) command(t testing.TB, args ...string) {
	t.Helper()
	if code, out, errs := run(t, "", args, "RELAY_DATABASE_URL="+d.relayURL); code != 0 {
		t.Fatalf("relay %s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
}

func (d driven) execute(t testing.TB, url, statement string) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (d driven) ask(t testing.TB, url, query string) string {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	var text string
	if err := conn.QueryRow(t.Context(), query).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

// newFailingReceiver refuses what comes to /fail.
func newFailingReceiver(t testing.TB) *receiver {
	return newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/fail" {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		return true
	})
}
