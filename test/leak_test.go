package test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"relay/test/harness"
)

// Secrets that a target and a message hold and no page may show. Of a long segment of a path the
// first four characters are shown.
const (
	hushPayload  = "payload-hush"
	hushUser     = "user-hush"
	hushPassword = "password-hush"
	hushToken    = "token-hush"
	hushQuery    = "query-hush"
	hushBroker   = "broker-hush"
	hushHeader   = "header-hush" // but messages show shows the headers of a message
	hushHook     = "hook-hush-0123456789"
)

// showMessages is where the output of relay messages show stands.
const showMessages = "relay messages show"

// hushed is a target at an address with a user, the key of a hook, and a query.
func hushed(address string) string {
	return "http://" + hushUser + ":" + hushPassword + "@" + address + "/services/T0/" + hushHook + "?k=" + hushQuery
}

// unreadable are targets that no parser reads, with a secret in each place.
var unreadable = []string{
	hushed("%zz"), hushed("h x"), hushed("h") + " HTTP/1.0", hushed("h:http"), hushed("h") + "#x", hushed("größe.example"), hushed(`h\`),
	strings.Replace(hushed("h"), "http:", "ftp:", 1), strings.Replace(hushed("h"), "http://", "http:/", 1), "hooks.example/" + hushHook,
	"amqp://" + hushUser + ":" + hushPassword + "@h/", "amqp:" + hushUser + ":" + hushPassword + "@h/vhost", "amqp:" + hushHook,
}

// No secret and no payload stands in what the relay logs, answers, measures, publishes or records as
// an error, whatever fails, nor in what its commands print.
func TestNothingSecretLeaks(t *testing.T) {
	t.Parallel()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of more than 24 bytes"))
	db := migrated.Database(t)
	answering := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	receiver, err := url.Parse(answering.URL)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"RELAY_DEFAULT_DESTINATION=" + hushed(receiver.Host), "RELAY_HTTP_SECRET=" + secret,
		"RELAY_AMQP_URL=amqp://" + hushUser + ":" + hushBroker + "@" + harness.FreeAddress(t) + "/", "RELAY_ADMIN_TOKEN=" + hushToken,
		"RELAY_LOG_LEVEL=debug", "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=2", "RELAY_HTTP_TIMEOUT=1s",
		"RELAY_ROW_DESTINATIONS=http://*:*, amqp:#/, amqp:/#",
	}
	p := start(t, db, env...)
	s := &system{db: db, app: db.App(t), admin: db.Admin(t), relay: p}
	s.exec(t, `insert into relay.subscription (name, topics, target, on_dead) values
		('alerts', '{relay.dead}', $1, 'continue'), ('sub', '{s}', $2, 'block'), ('bad', '{b}', $3, 'continue')`,
		hushed(harness.FreeAddress(t)), hushed(receiver.Host), hushed("h x"))
	rows := s.leakingRows(t, harness.FreeAddress(t))
	harness.Eventually(t, 60e9, "those over HTTP have ended", func() bool {
		return s.text(t, `select (count(*) >= $1)::text from relay.outbox where status in ('dead', 'rejected') and topic <> 'relay.dead'`, rows) == "true"
	})
	_, metrics := get(t, "http://"+p.metrics+"/metrics")
	_, ready := get(t, "http://"+p.admin+"/readyz")
	places := map[string]string{
		"the log": p.log.String(), "/metrics": metrics, "/readyz": ready,
		"the errors in the tables": s.text(t, `select string_agg(e, ' ') from (
			select last_error from relay.outbox union all select last_error from relay.delivery union all select error from relay.attempt) x (e)`),
		"relay.dead": s.text(t, "select string_agg(payload, ' ') from relay.outbox where topic = 'relay.dead'"),
	}
	s.leakingCommands(t, places, env)
	for place, text := range places {
		if len(text) < 50 {
			t.Errorf("%s holds next to nothing: %q", place, text)
		}
		for _, word := range []string{hushPayload, hushPassword, hushToken, hushQuery, hushBroker, secret, hushUser, hushHook[:9]} {
			if strings.Contains(text, word) {
				t.Errorf("%s holds %q:\n%s", place, word, text)
			}
		}
		if strings.Contains(text, hushHeader) && place != showMessages {
			t.Errorf("%s holds %q:\n%s", place, hushHeader, text)
		}
	}
}

// leakingRows inserts messages that fail in every way, and returns how many end.
func (s *system) leakingRows(t *testing.T, nobody string) (ending int) {
	t.Helper()
	insert := func(topic, destination, headers string) {
		s.send(t, "topic, key, payload, destination, headers", "$1, 'k', to_json($2::text)::text, nullif($3, ''), $4::jsonb", topic, hushPayload, destination, headers)
		ending++
	}
	for range 12 {
		insert("t", hushed(nobody), "{}")
		insert("t", "amqp:/queue", "{}")
		ending-- // it waits for the broker
	}
	for _, destination := range unreadable {
		insert("t", destination, "{}")
	}
	for _, address := range []string{"169.254.169.254", "10.0.0.1", "nowhere.invalid", "h:0"} {
		insert("t", hushed(address), "{}")
	}
	insert("t", "https"+hushed("elsewhere.example")[len("http"):], "{}") // RELAY_ROW_DESTINATIONS
	insert("t", "", "{}")
	insert("s", "", "{}")
	insert("b", "", "{}")
	insert("t", "", `{"webhook-signature": "`+hushHeader+`"}`)
	return ending
}

// leakingCommands runs the commands that show targets.
func (s *system) leakingCommands(t *testing.T, places map[string]string, env []string) {
	t.Helper()
	env = append([]string{"RELAY_DATABASE_URL=" + s.db.URL, "RELAY_SLOT=" + s.db.Name, "RELAY_EGRESS_ALLOW=loopback"}, env...)
	for _, args := range []string{
		"status", "status --json", "doctor", "doctor --json", "messages list", "messages list --json", "subscriptions list", "subscriptions list --json",
		"keys list", "keys list --json", "send t --wait 5s --json --destination " + hushed(harness.FreeAddress(t)), "send t --destination " + hushed("%zz"),
		"subscriptions set x --topics t --target " + hushed("%zz"), "subscriptions test sub --wait 5s",
	} {
		_, out, errs := run(t, "", strings.Fields(args), env...)
		places["relay "+strings.ReplaceAll(args, hushHook, "")] = out + errs
	}
	ids := s.text(t, "select string_agg(id::text, ' ') from relay.outbox where status in ('dead', 'rejected')")
	var shown strings.Builder
	for id := range strings.FieldsSeq(ids) {
		for _, more := range []string{"--json=false", "--json"} {
			_, out, errs := run(t, "", []string{"messages", "show", id, more}, env...)
			shown.WriteString(out + errs)
		}
	}
	places[showMessages] = shown.String()
}
