package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A subscription names its secrets, and shows a token that it fetches.
func TestASubscriptionWithATokenHoldsNoSecretInItsRow(t *testing.T) {
	t.Parallel()
	var issued atomic.Int32
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "relay" || secret != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 3600}`, issued.Add(1))
	}))
	t.Cleanup(tokens.Close)
	var accepted atomic.Value
	accepted.Store("Bearer token-1")
	endpoint := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != accepted.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		return true
	})
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "secret"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{"HOOK_SIGNS=" + testSecret, "RELAY_SUBSCRIPTION_SECRETS=env:HOOK_* file:" + folder + "/", "RELAY_BACKOFF=1h"}
	s := newSystem(t, environment...)
	s.exec(t, `insert into relay.subscription (name, topics, target, secrets, headers) values ('billing', '{order.#}', $1, '{env:HOOK_SIGNS}',
		jsonb_build_object('oauth2-token-url', $2::text, 'oauth2-client-id', 'relay', 'oauth2-client-secret', $3::text))`,
		endpoint.URL, tokens.URL+"/token", "file:"+folder+"/secret")
	id := s.send(t, "topic", "'order.created'")
	s.waitStatus(t, id, "done")
	if header := endpoint.requests(id)[0].header; header.Get("Webhook-Signature") == "" || header.Get("oauth2-client-secret") != "" {
		t.Errorf("header %v", header)
	}
	accepted.Store("Bearer token-2")
	id = s.send(t, "topic", "'order.created'")
	s.waitStatus(t, id, "done")
	if attempts := s.text(t, "select attempts::text from relay.delivery where message_id = $1", id); attempts != "1" || len(endpoint.requests(id)) != 2 {
		t.Errorf("%s attempts count, %d requests were made", attempts, len(endpoint.requests(id)))
	}
	database := []string{"RELAY_SLOT=" + s.db.Name}
	if d := diagnose(t, s.db.URL, append(database, environment...)...); !d.OK {
		t.Errorf("nothing is wrong, and doctor says\n%s", d.output)
	}
	diagnose(t, s.db.URL, database...).names(t, "fail", "subscriptions", "RELAY_SUBSCRIPTION_SECRETS=", "")
	if err := os.WriteFile(filepath.Join(folder, "secret"), []byte("hunter3"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := diagnose(t, s.db.URL, append(database, environment...)...)
	wrong.names(t, "fail", "oauth2", "answered 401", "relay subscriptions set billing")
	if strings.Contains(wrong.output, "hunter") {
		t.Errorf("a secret is shown: %s", wrong.output)
	}
}
