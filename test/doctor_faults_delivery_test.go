package test

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/harness"
)

// streamFaults keep a running relay from hearing of commits.
var streamFaults = []doctorFault{
	{name: "slot held by another program", relay: true, seed: holdSlot,
		result: "fail", check: "stream", what: "is held by pid", mend: "select pg_terminate_backend(",
		status: `"not_heard":"slot`},
	{name: "publication dropped without a right to make it", relay: true, seed: func(t *testing.T, f *faulty) {
		f.relay.waitReady()
		f.sql(t, f.fill("revoke create on database DB from relay"))
		f.sql(t, "drop publication relay")
	}, result: "fail", check: "stream", what: "is missing and this role may not make it", mend: "grant create on database",
		status: "may not make it"},
	{name: "another role's publication", relay: true, seed: func(t *testing.T, f *faulty) {
		f.relay.waitReady()
		f.sql(t, "alter publication relay owner to postgres; alter publication relay set table relay.outbox (id)")
	}, result: "fail", check: "stream", what: "belongs to another role", mend: "alter publication"},
	{name: "publication for all tables", seed: statements("create publication relay for all tables"),
		result: "fail", check: "publication", what: "it is for all tables", mend: "drop publication"},
	{name: "physical slot of that name", relayAfter: true, seed: func(t *testing.T, f *faulty) {
		f.sql(t, "select pg_create_physical_replication_slot('"+f.db.Name+"')")
		f.env["RELAY_SLOT"] = f.db.Name
		f.values["RELAY_SLOT"] = f.db.Name + "_too"
	}, result: "fail", check: "slot", what: "physical", mend: "set RELAY_SLOT to another name"},
	{name: "a trigger that does not ring", relay: true, env: []string{"RELAY_CAPTURE=notify"}, seed: func(t *testing.T, f *faulty) {
		f.relay.waitReady()
		f.sql(t, "alter table relay.outbox disable trigger outbox_ring")
	}, result: "fail", check: "notify", what: "is disabled", mend: "alter table relay.outbox enable always trigger outbox_ring"},
}

// holdSlot has a superuser's program take the slot from the relay.
func holdSlot(t *testing.T, f *faulty) {
	f.relay.waitReady()
	config, err := pgconn.ParseConfig(f.db.AdminURL + "&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "another program has the slot", func() bool {
		f.sql(t, "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = '"+f.db.Name+"' and active")
		conn, err := pgconn.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		err = pglogrepl.StartReplication(t.Context(), conn, f.db.Name, 0, pglogrepl.StartReplicationOptions{
			Mode: pglogrepl.LogicalReplication, PluginArgs: []string{"proto_version '1'", "publication_names 'relay'"},
		})
		if err != nil {
			_ = conn.Close(t.Context())
			return false
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		return true
	})
}

// deliveryFaults keep messages from their ends.
var deliveryFaults = []doctorFault{
	{name: "no route", relay: true, seed: sends("insert into relay.outbox (topic) values ('order.created')"),
		result: "warn", check: "messages", what: "rejected", mend: "relay subscriptions set NAME --topics order.created --target URL"},
	{name: "unknown scheme in a row", relay: true, seed: sends("insert into relay.outbox (topic, destination) values ('t', 'ftp://example.org/')"),
		result: "warn", check: "messages", what: "rejected", mend: "relay messages copy"},
	{name: "unknown scheme of a subscription", relay: true, seed: sends(
		"insert into relay.subscription (name, topics, target) values ('odd', '{t}', 'ftp://example.org/')"),
		result: "fail", check: "subscriptions", what: "nothing is sent to odd", mend: "relay subscriptions set odd --target URL"},
	{name: "nothing listens", relay: true, env: []string{"RELAY_BACKOFF=1h"}, seed: closedEndpoint,
		result: "fail", check: "endpoints", what: "of down", mend: "start what listens at http://"},
	{name: "deliveries that wait for what does not listen", relay: true, env: []string{"RELAY_BACKOFF=1h"}, seed: closedEndpoint,
		result: "warn", check: "deliveries", what: "wait for down", mend: "start what listens at http://"},
	{name: "a logic that fails", relay: true, seed: failingReceiver,
		result: "warn", check: "messages", what: "dead at failing", mend: "mend the receiver at"},
	{name: "paused", relay: true, seed: sends("insert into relay.subscription (name, topics, target, paused) values ('resting', '{t}', 'URL/', true)",
		"insert into relay.outbox (topic) values ('t')"),
		result: "warn", check: "deliveries", what: "paused", mend: "relay subscriptions resume resting"},
	{name: "private address in a row", relay: true, env: []string{"RELAY_EGRESS_ALLOW=", "RELAY_BACKOFF=1h"}, seed: func(t *testing.T, f *faulty) {
		f.values["RELAY_EGRESS_ALLOW"] = "loopback"
		sends("insert into relay.outbox (topic, destination) values ('t', 'URL/')")(t, f)
	}, result: "warn", check: "deliveries", what: "RELAY_EGRESS_ALLOW", mend: "set RELAY_EGRESS_ALLOW"},
	{name: "a consumer that cannot acknowledge", relay: true, seed: sends(
		"insert into relay.subscription (name, topics, target, ack) values ('acking', '{t}', 'URL/', 'consumer')"),
		result: "fail", check: "acknowledgement", what: "acking", mend: "relay subscriptions set acking --ack response"},
	{name: "dead default destination", seed: func(t *testing.T, f *faulty) {
		address := harness.FreeAddress(t)
		f.env["RELAY_DEFAULT_DESTINATION"] = "http://" + address + "/in"
		f.begin = f.listener(t, address)
		f.run(t)
	}, result: "fail", check: "destination", what: "/in: dial", mend: "start what listens at 127.0.0.1:"},
}

// sends seeds rows once the relay is ready.
func sends(all ...string) func(*testing.T, *faulty) {
	return func(t *testing.T, f *faulty) {
		f.relay.waitReady()
		for _, statement := range all {
			f.sql(t, strings.ReplaceAll(statement, "URL", f.receiver.URL))
		}
	}
}

// closedEndpoint makes a subscription whose endpoint does not run, and messages for it.
func closedEndpoint(t *testing.T, f *faulty) {
	address := harness.FreeAddress(t)
	sends("insert into relay.subscription (name, topics, target) values ('down', '{t}', 'http://"+address+"/')",
		"insert into relay.outbox (topic) select 't' from generate_series(1, 3)")(t, f)
	f.begin = f.listener(t, address)
}

// listener starts the receiver at an address at which nothing listens yet.
func (f *faulty) listener(t *testing.T, address string) func() {
	return func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		server := &http.Server{Handler: f.receiver}
		go func() { _ = server.Serve(listener) }() // it ends with Close
		t.Cleanup(func() { _ = server.Close() })
	}
}

// failingReceiver makes a message die because the receiver's own logic fails.
func failingReceiver(t *testing.T, f *faulty) {
	var mended atomic.Bool
	f.receiver = newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if !mended.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return mended.Load()
	})
	f.begin = func() { mended.Store(true) }
	sends("insert into relay.subscription (name, topics, target, max_attempts) values ('failing', '{t}', 'URL/', 1)",
		"insert into relay.outbox (topic) values ('t')")(t, f)
}

// brokerFaults concern RabbitMQ.
var brokerFaults = []doctorFault{
	{name: "no variable for the broker", relay: true, seed: func(t *testing.T, f *faulty) {
		f.values["RELAY_AMQP_URL"] = harness.AMQPURL(t)
		sends("insert into relay.subscription (name, topics, target) values ('queued', '{t}', 'amqp:/jobs')")(t, f)
	}, result: "fail", check: "subscriptions", what: "what is for queued waits", mend: "set RELAY_AMQP_URL"},
	{name: "a row for a broker that is not set", relay: true, seed: func(t *testing.T, f *faulty) {
		f.values["RELAY_AMQP_URL"] = harness.AMQPURL(t)
		newBroker(t, f.values["RELAY_AMQP_URL"]).queue(t, "jobs", "", "")
		sends("insert into relay.outbox (topic, destination) values ('t', 'amqp:/jobs')")(t, f)
	}, result: "warn", check: "messages", what: "it needs a broker", mend: "set RELAY_AMQP_URL"},
	{name: "dead broker", seed: func(t *testing.T, f *faulty) {
		broker := harness.AMQPURL(t)
		p := newProxy(t, hostOf(t, broker))
		p.set(proxyRefuse)
		f.env["RELAY_AMQP_URL"] = p.through(t, broker)
		f.begin = func() { p.set(proxyPass) }
		f.run(t)
	}, result: "fail", check: "broker", what: "no connection", mend: "start the broker at"},
	{name: "unroutable", seed: func(t *testing.T, f *faulty) {
		f.broker = harness.AMQPURL(t)
		f.env["RELAY_AMQP_URL"], f.env["RELAY_BACKOFF"] = f.broker, "1h"
		f.values["QUEUE"] = "jobs"
		f.run(t)
		sends("insert into relay.subscription (name, topics, target) values ('events', '{t}', 'amqp:events/k')",
			"insert into relay.outbox (topic) values ('t')")(t, f)
	}, result: "warn", check: "deliveries", what: "no queue is bound", mend: "rabbitmqadmin declare queue name=QUEUE"},
	{name: "wrong password of the broker", seed: func(t *testing.T, f *faulty) {
		right, err := amqp.ParseURI(harness.AMQPURL(t))
		if err != nil {
			t.Fatal(err)
		}
		f.values["RELAY_AMQP_URL"] = right.String()
		right.Password = "wrong"
		f.env["RELAY_AMQP_URL"] = right.String()
		f.run(t)
	}, result: "fail", check: "broker", what: "username or password not allowed", mend: "set user and password in RELAY_AMQP_URL"},
}

// hostOf returns host and port of a URL.
func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
