package test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"relay/test/harness"
)

// No secret and no payload stands in what the relay logs, answers, measures or records as
// an error, whatever fails.
func TestNothingSecretLeaks(t *testing.T) {
	t.Parallel()
	const (
		payload  = "payload-hush"
		user     = "user-hush"
		password = "password-hush"
		token    = "token-hush"
		query    = "query-hush"
		broker   = "broker-hush"
	)
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of more than 24 bytes"))
	db := harness.Database(t)
	prepare(t, db)
	answering := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	withPassword, err := url.Parse(answering.URL)
	if err != nil {
		t.Fatal(err)
	}
	withPassword.User = url.UserPassword(user, password)
	withPassword.RawQuery = "key=" + query
	p := start(t, db, "RELAY_DEFAULT_DESTINATION="+withPassword.String(), "RELAY_HTTP_SECRET="+secret,
		"RELAY_AMQP_URL=amqp://"+user+":"+broker+"@"+freeAddr(t)+"/", "RELAY_ADMIN_TOKEN="+token,
		"RELAY_LOG_LEVEL=debug", "RELAY_BACKOFF=50ms", "RELAY_MAX_ATTEMPTS=2", "RELAY_HTTP_TIMEOUT=1s")
	app := db.App(t)
	refusing := "http://" + user + ":" + password + "@" + freeAddr(t) + "/?k=" + query
	insert := func(destination, headers string) {
		insertRow(t, app, "topic, payload, destination, headers", "'t', to_json($1::text)::text, nullif($2, ''), $3::jsonb", payload, destination, headers)
	}
	for range 12 {
		insert(refusing, "{}")
		insert("amqp:/queue", "{}")
	}
	insert("", "{}")
	insert("http://"+user+":"+password+"@%zz/", "{}")
	insert("http://"+user+":"+password+"@169.254.169.254/?k="+query, "{}")
	insert("http://"+user+":"+password+"@10.0.0.1/?k="+query, "{}")
	insert("", `{"webhook-signature": "`+token+`"}`)
	s := &system{db: db, app: app, admin: db.Admin(t), relay: p}
	harness.Eventually(t, 30e9, "the ones over HTTP have ended", func() bool {
		return s.text(t, "select (count(*) >= 17)::text from relay.outbox where status in ('dead', 'rejected')") == "true"
	})
	_, metrics := get(t, "http://"+p.metrics+"/metrics")
	_, ready := get(t, "http://"+p.admin+"/readyz")
	places := map[string]string{
		"the log": p.log.String(), "/metrics": metrics, "/readyz": ready,
		"the errors in the tables": s.text(t, `select string_agg(e, ' ') from (
			select last_error from relay.outbox union all select last_error from relay.delivery union all select error from relay.attempt) x (e)`),
	}
	for place, text := range places {
		if len(text) < 50 {
			t.Errorf("%s holds next to nothing: %q", place, text)
		}
		for _, word := range []string{payload, password, token, query, broker, secret, user} {
			if strings.Contains(text, word) {
				t.Errorf("%s holds %q:\n%s", place, word, text)
			}
		}
	}
}
