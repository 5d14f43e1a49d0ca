package test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay/test/harness"
)

// What is wrong with the broker's address is told in one line with its fix: in the log, on /readyz
// and by doctor. The rest of the relay works meanwhile.
func TestAWrongAddressOfTheBrokerIsExplained(t *testing.T) {
	t.Parallel()
	good := harness.AMQPURL(t)
	with := func(change func(u *url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	management := with(func(u *url.URL) { u.Host = harness.Rabbit(t).ManagementAddress() })
	vhost := with(func(u *url.URL) { u.Path, u.RawPath = "/nowhere", "" })
	s := newSystem(t, "RELAY_AMQP_URL="+management+","+vhost)
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	words := []string{"speaks HTTP", "to mend it: write the broker's AMQP port", `the vhost "nowhere" is not there`, `rabbitmqctl add_vhost "nowhere"`}
	s.relay.says("broker: failed: no connection to the broker: ", words...)
	log := s.relay.log.String()
	for line := range strings.Lines(log) {
		if strings.Contains(line, "no connection to the broker; trying again") {
			for _, w := range words {
				if !strings.Contains(strings.ReplaceAll(line, `\"`, `"`), w) {
					t.Errorf("the log does not say %s: %s", w, line)
				}
			}
		}
	}
	env := []string{"RELAY_SLOT=" + s.db.Name, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL}
	// The relay reports within half a second what its log says.
	harness.Eventually(t, 20*time.Second, "doctor tells of both addresses", func() bool {
		out := diagnose(t, s.db.URL, env...).output
		return strings.Contains(out, "speaks HTTP") && strings.Contains(out, "is not there")
	})
	d := diagnose(t, s.db.URL, env...)
	d.names(t, "fail", "broker", "speaks HTTP", "write the broker's AMQP port")
	d.names(t, "fail", "broker", `the vhost "nowhere" is not there`, `rabbitmqctl add_vhost "nowhere"`)
	// The running relay knows what its own addresses gave. Without one, doctor tries those of its shell.
	s.relay.stop(30 * time.Second)
	s.relay = start(t, s.db, append(env, "RELAY_AMQP_URL="+vhost+","+good)...)
	harness.Eventually(t, 20*time.Second, "the relay is connected", func() bool { return strings.Contains(s.relay.readyz(), "connected to ") })
	harness.Eventually(t, 20*time.Second, "doctor tells of the new relay", func() bool {
		return strings.Contains(diagnose(t, s.db.URL, env...).output, "another address answers")
	})
	d = diagnose(t, s.db.URL, env...)
	d.names(t, "warn", "broker", "another address answers", `rabbitmqctl add_vhost "nowhere"`)
	d.names(t, "ok", "broker", "connected to ", "")
	s.relay.stop(30 * time.Second)
	d = diagnose(t, s.db.URL, append(env, "RELAY_AMQP_URL="+vhost+","+good)...)
	d.names(t, "warn", "broker", "another address answers", `rabbitmqctl add_vhost "nowhere"`)
	d.names(t, "ok", "broker", "RabbitMQ 3", "")
	user, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := user.User.Password()
	if strings.Contains(log+d.output+s.relay.log.String(), password) {
		t.Error("the broker's password is shown")
	}
}

// What a row asks of the broker arrives there as properties, and over HTTP not at all. A row that
// asks for what there is not is rejected before it is sent.
func TestARowAsksTheBroker(t *testing.T) {
	t.Parallel()
	broker := harness.AMQPURL(t)
	s := newSystem(t, "RELAY_AMQP_URL="+broker)
	conn, err := amqp091.Dial(broker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("urgent", true, false, false, false, amqp091.Table{"x-max-priority": 10}); err != nil {
		t.Fatal(err)
	}
	for _, priority := range []string{"1", "9"} {
		id := s.send(t, "topic, destination, headers", "'t', 'amqp:/urgent', jsonb_build_object('amqp-priority', $1::text, 'amqp-expiration', '3600000', 'amqp-x-delay', '5', 'tenant', 'acme')", priority)
		s.waitStatus(t, id, "done")
	}
	got, ok, err := ch.Get("urgent", true)
	if err != nil || !ok || got.Priority != 9 || got.Expiration != "3600000" || got.Headers["x-delay"] != int32(5) || got.Headers["tenant"] != "acme" {
		t.Errorf("received %v %v: priority %d, expiration %q, headers %v", ok, err, got.Priority, got.Expiration, got.Headers)
	}
	id := s.send(t, "topic, headers", `'t', '{"amqp-priority": "9", "tenant": "acme"}'`)
	s.waitStatus(t, id, "done")
	if h := s.receiver.requests(id)[0].header; h.Get("tenant") != "acme" || h.Get("amqp-priority") != "" {
		t.Errorf("over HTTP: %v", h)
	}
	for headers, why := range map[string]string{
		`{"amqp-priority": "256"}`: "from 0 to 255", `{"amqp-expiration": "1h"}`: "from 0 to 4294967295", `{"amqp-x-delay": "-5"}`: "from 0 to 2147483647",
	} {
		for _, destination := range []string{"amqp:/urgent", s.receiver.URL} {
			id := s.send(t, "topic, destination, headers", "'t', $1, $2::text::jsonb", destination, headers)
			s.waitStatus(t, id, "rejected")
			if got := s.text(t, "select last_error from relay.outbox where id = $1", id); !strings.Contains(got, why) {
				t.Errorf("%s: %s", headers, got)
			}
		}
	}
	if q, err := ch.QueueDeclarePassive("urgent", true, false, false, false, nil); err != nil || q.Messages != 1 {
		t.Errorf("%d messages are left in the queue, error %v", q.Messages, err)
	}
}

// A queue has neither placeholders nor a query, wherever its name is written.
func TestAQueueHasNoPlaceholders(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_AMQP_URL="+harness.AMQPURL(t))
	for target, why := range map[string]string{
		"amqp:/jobs.{topic}": "a queue has no placeholders", "amqp:/jobs?durable=false": "a queue takes no query", "amqp:{key}/x": "an exchange has neither placeholders nor a query",
	} {
		if code, _, errs := s.subscriptions(t, "set", "jobs", "--topics", "job.*", "--target", target); code == 0 || !strings.Contains(errs, why) {
			t.Errorf("relay subscriptions set takes %s: %s", target, errs)
		}
		for _, variable := range []string{"RELAY_DEFAULT_DESTINATION", "RELAY_ROW_DESTINATIONS"} {
			diagnose(t, s.db.URL, variable+"="+target, "RELAY_AMQP_URL=amqp://broker").names(t, "fail", "configuration", why, "")
		}
		s.rejects(t, target, why)
	}
}
