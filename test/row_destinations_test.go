package test

import (
	"strings"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// rejects checks that a row is rejected for a reason that says why.
func (s *system) rejects(t *testing.T, destination, says string) {
	t.Helper()
	id := s.send(t, "topic, destination", "'t', $1", destination)
	s.waitStatus(t, id, "rejected")
	if reason := s.text(t, "select last_error from relay.outbox where id = $1", id); !strings.Contains(reason, says) {
		t.Errorf("%s: reason %q does not say %q", destination, reason, says)
	}
}

func TestRowsSendWhereTheSettingLetsThem(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, nil)
	const variable = "RELAY_ROW_DESTINATIONS"
	s := newSystem(t, variable+"="+receiver.URL+"/hooks http://10.0.0.1", "RELAY_BACKOFF=1h")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('stock', '{x}', $1)", receiver.URL+"/stock")
	for _, destination := range []string{receiver.URL + "/hooks", " " + receiver.URL + "/hooks/a/%2e%2e/b?c \n", "stock"} {
		s.waitStatus(t, s.send(t, "topic, destination", "'t', $1", destination), "done")
	}
	for _, path := range []string{"", "/hooksevil", "/hooks/../admin", "/hooks/%2e%2e/admin", "/hooks/%252e%252e/admin", "/hooks%2f..%2fadmin"} {
		s.rejects(t, receiver.URL+path, variable)
	}
	s.rejects(t, "https://elsewhere.example/hooks", variable)
	s.rejects(t, receiver.URL+"/hooks?q=a HTTP/1.0", "a space")
	if n := receiver.distinct(); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
	// A pattern opens no address.
	id := s.send(t, "topic, destination", "'t', 'http://10.0.0.1/'")
	s.waitStatus(t, id, "open")
	if reason := s.text(t, "select last_error from relay.delivery where message_id = $1", id); !strings.Contains(reason, "RELAY_EGRESS_ALLOW") {
		t.Errorf("a private address: %q", reason)
	}
	diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, variable+"="+receiver.URL+"/hooks").names(t, "ok", "rows", receiver.URL+"/…", "")
}

func TestRowsNameNoDestination(t *testing.T) {
	t.Parallel()
	const none = "RELAY_ROW_DESTINATIONS=none"
	s := newSystem(t, none)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('stock', '{x}', $1)", s.receiver.URL)
	for _, destination := range []string{s.receiver.URL, "stock", "amqp:/queue"} {
		s.rejects(t, destination, "RELAY_ROW_DESTINATIONS is none")
	}
	s.waitStatus(t, s.send(t, "topic", "'x'"), "done")
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	code, out, errs := s.subscriptions(t, "test", "stock")
	if code != 1 || !strings.Contains(out+errs, "RELAY_ROW_DESTINATIONS is none") {
		t.Errorf("relay subscriptions test: exit code %d\n%s%s", code, out, errs)
	}
	diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, none).names(t, "ok", "rows", "is rejected", "")
}

// The receiver of a row's own destination checks with what relay secret prints. It cannot
// check, or forge, what the operator's receivers get.
func TestRelaySecretPrintsWhatReceiversOfRowsNeed(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_HTTP_SECRET="+testSecret)
	foreign := newReceiver(t, nil)
	code, out, errs := run(t, "", []string{"secret", foreign.URL + "/any/path"}, "RELAY_HTTP_SECRET="+testSecret)
	derived := strings.TrimSpace(out)
	if code != 0 || !strings.HasPrefix(derived, "whsec_") || derived == testSecret {
		t.Fatalf("exit code %d, printed %q\n%s", code, out, errs)
	}
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('stock', '{x}', $1)", s.receiver.URL)
	for _, row := range []struct {
		destination, secret, other string
		at                         *receiver
	}{
		{foreign.URL, derived, testSecret, foreign},
		{"", testSecret, derived, s.receiver},
		{"stock", testSecret, derived, s.receiver},
	} {
		id := s.send(t, "topic, payload, destination", "'t', '{}', nullif($1, '')", row.destination)
		s.waitStatus(t, id, "done")
		request := row.at.requests(id)[0]
		for secret, want := range map[string]bool{row.secret: true, row.other: false} {
			verifier, err := webhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(request.body, request.header); (err == nil) != want {
				t.Errorf("destination %q: %v, want it verified: %v", row.destination, err, want)
			}
		}
	}
}
