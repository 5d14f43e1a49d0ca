package test

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// A stream that shows no insert, for a reason that no catalogue tells, is convicted by the relay's own canary. It does
// not matter what is inserted meanwhile: sweeps find rows with a key, delayed ones are found by their time, and there
// may be none.
func TestABlindStreamIsRebuiltWhateverTheTraffic(t *testing.T) {
	t.Parallel()
	for name, insert := range map[string]string{
		"keyed":   "insert into relay.outbox (topic, key) values ('t', 'k' || (random() * 5)::int)",
		"delayed": "insert into relay.outbox (topic, deliver_at) values ('t', now() + interval '300 ms')",
		"none":    "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, fold := newBlindfolded(t)
			s.waitStatus(t, s.send(t, "topic", "'seen'"), "done")
			fold.On.Store(true)
			sent := 1
			harness.Eventually(t, 40*time.Second, "the relay finds out", func() bool {
				if insert != "" {
					s.exec(t, insert)
					sent++
				}
				log := s.relay.log.String()
				return strings.Contains(log, "the stream seems to be blind and is rebuilt") && strings.Contains(log, "slot is replaced")
			})
			fold.On.Store(false)
			s.settled(t, time.Minute)
			if n := s.receiver.distinct(); n != sent {
				t.Errorf("%d messages arrived, want %d", n, sent)
			}
		})
	}
}

// newBlindfolded starts a relay whose stream can be made blind.
func newBlindfolded(t *testing.T) (*system, *harness.Blindfold) {
	t.Helper()
	s := &system{db: migrated.Database(t), receiver: newReceiver(t, nil)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	server := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.db.Server.Port()))
	fold := harness.NewBlindfold(t, server)
	s.relay = start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL, "RELAY_DATABASE_URL="+strings.Replace(s.db.URL, server, fold.Addr, 1))
	s.relay.says("stream: ok", "streaming")
	return s, fold
}

// People and subscribers see nothing of the canaries, although every subscription matches their topic.
func TestCanariesStayUnseen(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_RETENTION=1s")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('all', '{#}', $1), ('own', '{relay.#}', $1)", s.receiver.URL)
	s.relay.says("stream: ok", "streaming")
	beats := s.relay.metric("relay_cdc_heartbeats_total")
	harness.Eventually(t, 40*time.Second, "three canaries have sung", func() bool { return s.relay.metric("relay_cdc_heartbeats_total") >= beats+3 })
	if ever := s.text(t, "select (nextval('relay.outbox_seq_seq') > 3)::text"); ever != "true" {
		t.Error("no canary was inserted")
	}
	if _, out, _ := s.messages(t, "list", "--json"); strings.Contains(out, "canary") {
		t.Errorf("a list shows %s", out)
	}
	if code, out, _ := run(t, "", []string{"status", "--json"}, "RELAY_DATABASE_URL="+s.db.URL); code != 0 || strings.Contains(out, "canary") {
		t.Errorf("the status is %s", out)
	}
	for _, metric := range []string{"relay_reconcile_rung_messages_total", "relay_reconcile_swept_messages_total", "relay_cdc_rings_total"} {
		if n := s.relay.metric(metric); n != 0 {
			t.Errorf("%s is %v", metric, n)
		}
	}
	if rows := s.text(t, "select ((select count(*) from relay.outbox) + (select count(*) from relay.delivery))::text"); rows != "0" || s.receiver.distinct() != 0 {
		t.Errorf("%s rows are in the table, %d messages arrived", rows, s.receiver.distinct())
	}
}
