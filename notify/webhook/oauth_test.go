package webhook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// issuer is a token endpoint (RFC 6749, section 4.4), and the endpoint that takes its tokens.
type issuer struct {
	issued atomic.Int32
	good   atomic.Pointer[string] // the token that is accepted; nil: the one issued last
	life   int                    // of a token in seconds

	mu    sync.Mutex
	asked []string // the forms that it was sent
	seen  []string // the headers that the endpoint saw
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "client_credentials" {
		http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
		return
	}
	if id != "relay" || secret != "hunter2" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s is not %s"}`, secret, "right")
		return
	}
	i.mu.Lock()
	i.asked = append(i.asked, r.Form.Encode())
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": fmt.Sprintf("token-%d", i.issued.Add(1)), "token_type": "bearer", "expires_in": i.life,
	})
}

func (i *issuer) endpoint(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	for name, values := range r.Header {
		i.seen = append(i.seen, strings.ToLower(name)+": "+strings.Join(values, ", "))
	}
	i.mu.Unlock()
	want := fmt.Sprintf("Bearer token-%d", i.issued.Load())
	if good := i.good.Load(); good != nil {
		want = *good
	}
	if r.Header.Get("Authorization") != want {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (i *issuer) saw(text string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return strings.Contains(strings.Join(i.seen, "\n"), text)
}

// granted is a subscriber with settings of OAuth2.
func granted(t testing.TB, endpoint, tokens string) *relay.Subscriber {
	t.Helper()
	s := operatorsTarget(t, endpoint)
	s.Name = "billing"
	s.Headers = map[string]string{
		"OAuth2-Token-URL": tokens, "oauth2-client-id": "relay", "oauth2-client-secret": "hunter2", "oauth2-scope": "send read",
		"oauth2-audience": "https://billing.test/", "x-team": "shop",
	}
	return s
}

func TestATokenIsFetchedOnceAndSent(t *testing.T) {
	t.Parallel()
	i := &issuer{life: 3600}
	h := newHTTP(t, webhook.Config{})
	s := granted(t, serve(t, i.endpoint).URL, serve(t, i.token).URL+"/token")
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			d := conformance.NewDelivery(s, []byte("{}"))
			d.Headers = map[string]string{"authorization": "the row's", "x-row": "1"}
			wantClass(t, h.Deliver(t.Context(), d), relay.ClassHandled, "")
		})
	}
	all.Wait()
	if n := i.issued.Load(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
	if form := i.asked[0]; !strings.Contains(form, "scope=send+read") || !strings.Contains(form, "audience=https%3A%2F%2Fbilling.test%2F") {
		t.Errorf("asked for %s", form)
	}
	if i.saw("oauth2") || i.saw("hunter2") || i.saw("the row's") || !i.saw("x-team: shop") || !i.saw("x-row: 1") {
		t.Errorf("the endpoint saw %q", i.seen)
	}
}

// A token that the endpoint refuses although it has not expired, as after a change of keys.
func TestARefusedTokenIsReplacedOnceWithinTheAttempt(t *testing.T) {
	t.Parallel()
	i := &issuer{life: 3600}
	h := newHTTP(t, webhook.Config{})
	s := granted(t, serve(t, i.endpoint).URL, serve(t, i.token).URL+"/token")
	attempt := func() relay.Outcome { return h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))) }
	wantClass(t, attempt(), relay.ClassHandled, "")
	i.issued.Add(1) // the endpoint wants the next token now
	third := "Bearer token-3"
	i.good.Store(&third)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() { wantClass(t, attempt(), relay.ClassHandled, "") })
	}
	all.Wait()
	if n := i.issued.Load(); n != 3 {
		t.Errorf("token %d was issued, want one new token for all that were refused", n)
	}
	never := "Bearer never"
	i.good.Store(&never)
	wantClass(t, attempt(), relay.ClassHandleFailed, "answered 401")
	if n := i.issued.Load(); n != 4 {
		t.Errorf("%d tokens for one attempt", n-3)
	}
}

func TestAnExpiredTokenIsNotSent(t *testing.T) {
	t.Parallel()
	i := &issuer{life: 1} // it counts as expired some seconds before
	h := newHTTP(t, webhook.Config{})
	s := granted(t, serve(t, i.endpoint).URL, serve(t, i.token).URL+"/token")
	for range 3 {
		wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(s, nil)), relay.ClassHandled, "")
	}
	if n := i.issued.Load(); n != 3 {
		t.Errorf("%d tokens", n)
	}
}

func TestWithoutATokenNothingIsSent(t *testing.T) {
	t.Parallel()
	i := &issuer{life: 3600}
	endpoint, tokens := serve(t, i.endpoint), serve(t, i.token)
	for name, c := range map[string]struct {
		change func(map[string]string)
		says   string
	}{
		"a wrong secret":     {func(h map[string]string) { h["oauth2-client-secret"] = "hunter3" }, "invalid_client"},
		"nothing listens":    {func(h map[string]string) { h["OAuth2-Token-URL"] = "http://" + harness.FreeAddress(t) + "/" }, "connection refused"},
		"no token endpoint":  {func(h map[string]string) { h["OAuth2-Token-URL"] = endpoint.URL + "/?hunter2" }, "answered 401"},
		"no client":          {func(h map[string]string) { delete(h, "oauth2-client-id") }, "OAuth2 needs"},
		"an unknown setting": {func(h map[string]string) { h["oauth2-password"] = "hunter2" }, "the settings of OAuth2 are"},
		"two authorizations": {func(h map[string]string) { h["Authorization"] = "x" }, "cannot be set"},
		"no URL":             {func(h map[string]string) { h["OAuth2-Token-URL"] = "login" }, "an http:// or https:// URL"},
		"a metadata address": {func(h map[string]string) { h["OAuth2-Token-URL"] = "http://169.254.169.254/" }, "metadata"},
		"an answer of no use": {func(h map[string]string) {
			h["OAuth2-Token-URL"] = serve(t, func(http.ResponseWriter, *http.Request) {}).URL
		}, "holds no token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, s := newHTTP(t, webhook.Config{}), granted(t, endpoint.URL, tokens.URL)
			c.change(s.Headers)
			out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil))
			wantClass(t, out, relay.ClassPushFailed, c.says)
			if strings.Contains(out.Error, "hunter") {
				t.Errorf("it repeats a secret: %s", out.Error)
			}
			if err := h.CheckToken(t.Context(), s); err == nil || strings.Contains(err.Error(), "hunter") {
				t.Errorf("looked at beforehand: %v", err)
			}
		})
	}
}
