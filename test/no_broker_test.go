package test

import (
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// What was taken up while there was a broker died at the first look of a relay that was
// started without the variable.
func TestWithoutTheBrokersURLOpenMessagesWait(t *testing.T) {
	t.Parallel()
	s := &system{db: migrated.Database(t)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{t}', 'amqp:/of-a-subscription')")
	s.relay = start(t, s.db, "RELAY_BACKOFF=200ms", "RELAY_AMQP_URL=amqp://"+harness.FreeAddress(t))
	own, subscribed := s.send(t, "topic, destination", "'t', 'amqp:/of-its-own'"), s.send(t, "topic", "'t'")
	s.waitStatus(t, own, "open")
	s.waitStatus(t, subscribed, "open")
	if err := s.relay.stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}

	s.relay = start(t, s.db, "RELAY_BACKOFF=200ms", "RELAY_MAX_ATTEMPTS=1000")
	harness.Eventually(t, 20*time.Second, "both say what they wait for", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where status = 'push_failed' and last_error like '%RELAY_AMQP_URL%'") == "2"
	})
	attempts := s.text(t, "select sum(attempts)::text from relay.delivery")
	<-time.After(2500 * time.Millisecond)
	if now := s.text(t, "select sum(attempts)::text from relay.delivery"); now != attempts {
		t.Errorf("%s attempts were counted before, now %s", attempts, now)
	}
	if n := strings.Count(s.relay.log.String(), "destination is down"); n != 2 {
		t.Errorf("it is said %d times, want once for each destination", n)
	}
	if err := s.relay.stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}

	url := harness.AMQPURL(t)
	newBroker(t, url).queue(t, "of-its-own", "", "")
	s.relay = start(t, s.db, "RELAY_AMQP_URL="+url)
	s.waitStatus(t, own, "done")
	s.waitStatus(t, subscribed, "done")
}
