package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// death is the payload of a relay.dead message.
type death struct {
	ID           string `json:"message_id"`
	Topic, Key   string
	Source       string
	Subscription string
	Instance     string
	Target       string
	Status       string
	LastError    string `json:"last_error"`
	Attempts     int
	Code         int       `json:"response_code"`
	CreatedAt    time.Time `json:"created_at"`
	DeadAt       time.Time `json:"dead_at"`
}

// deaths are what was published of a message.
func (s *system) deaths(t testing.TB, id string) (all []death, raw string) {
	t.Helper()
	raw = s.text(t, "select '[' || coalesce(string_agg(payload, ','), '') || ']' from relay.outbox where topic = 'relay.dead' and payload::json->>'message_id' = $1", id)
	if err := json.Unmarshal([]byte(raw), &all); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return all, raw
}

func TestEveryDeathIsPublishedToWhoWantsIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=20ms", "RELAY_MAX_ATTEMPTS=2", "RELAY_GIVE_UP_AFTER=100h")
	alerts := newReceiver(t, nil)
	failing := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch r.Header.Get("ce-type") {
		case "gone":
			w.WriteHeader(http.StatusGone)
		case "never":
			w.Header().Set("relay-retry", "false")
			w.WriteHeader(500)
		default:
			w.WriteHeader(500)
		}
		return false
	})
	s.exec(t, `insert into relay.subscription (name, topics, target) values ('alerts', '{relay.dead}', $1)`, alerts.URL)
	target := strings.Replace(failing.URL, "//", "//user:hunter2@", 1) + "/in?token=hunter2"
	dead := map[string]string{}
	for _, topic := range []string{"last", "gone", "never"} {
		dead[topic] = s.send(t, "topic, key, source, destination, payload", "$1, 'k' || $1, 'shop', $2, '\"hunter2\"'", topic, target)
	}
	dead["metadata"] = s.send(t, "topic, destination", "'metadata', 'http://169.254.169.254/latest'")
	dead["late"] = insertRow(t, s.admin, "topic, destination, created_at", "'late', $1, now() - interval '200 hours'", target)
	for topic, id := range dead {
		s.waitStatus(t, id, "dead")
		all, raw := s.deaths(t, id)
		if len(all) != 1 || strings.Contains(raw, "hunter2") || all[0].Topic != topic || all[0].Status != "dead" || all[0].Subscription != "direct" || all[0].LastError == "" ||
			all[0].DeadAt.Before(all[0].CreatedAt) {
			t.Errorf("%s: %s", topic, raw)
		}
	}
	d, _ := s.deaths(t, dead["last"])
	if got := d[0]; got.Key != "klast" || got.Source != "shop" || got.Attempts != 2 || got.Code != 500 || got.Target != failing.URL+"/in?…" || got.Instance != got.Target {
		t.Errorf("%+v", got)
	}
	rejected := s.send(t, "topic, destination", "'t', 'amqp:/queue'")
	s.waitStatus(t, rejected, "rejected")
	if all, raw := s.deaths(t, rejected); len(all) != 1 || all[0].Status != "rejected" || all[0].Target != "amqp:/queue" || !strings.Contains(all[0].LastError, "RELAY_AMQP_URL") {
		t.Errorf("rejected: %s", raw)
	}
	cancelled := s.send(t, "topic, destination, deliver_at", "'t', $1, now() + interval '1 hour'", target)
	if code, _, errs := s.messages(t, "cancel", cancelled, dead["gone"]); code != 0 {
		t.Error(errs)
	}
	harness.Eventually(t, 20*time.Second, "all of them arrive", func() bool { return alerts.distinct() == len(dead)+1 })
	for _, r := range alerts.requests("") {
		if r.header.Get("ce-type") != "relay.dead" || r.header.Get("content-type") != "application/json" {
			t.Errorf("an alert came as %v", r.header)
		}
	}
	if n := s.text(t, "select count(*)::text from relay.outbox where topic = 'relay.dead'"); n != "6" {
		t.Errorf("%s were published, want 6", n)
	}
}

func TestEachSubscribersDeathIsPublishedAndNoneOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=20ms", "RELAY_MAX_ATTEMPTS=1")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	s.exec(t, `insert into relay.subscription (name, topics, target) values
		('a', '{order.#}', $1), ('b', '{order.#}', $1), ('all', '{#}', $2), ('alerts', '{relay.*}', $1)`, failing.URL, s.receiver.URL)
	id := s.send(t, "topic", "'order.created'")
	s.waitStatus(t, id, "dead")
	harness.Eventually(t, 20*time.Second, "both alerts have died", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where topic = 'relay.dead' and status = 'dead'") == "2"
	})
	all, raw := s.deaths(t, id)
	if len(all) != 2 || all[0].Subscription+all[1].Subscription != "ab" && all[0].Subscription+all[1].Subscription != "ba" {
		t.Errorf("published: %s", raw)
	}
	s.settled(t, 20*time.Second)
	if n := s.text(t, "select count(*)::text from relay.outbox where topic = 'relay.dead'"); n != "2" {
		t.Errorf("%s were published: a death of an alert is none", n)
	}
	if n := s.receiver.distinct(); n != 1 {
		t.Errorf("a subscription to everything received %d messages, want the order alone", n)
	}
}
