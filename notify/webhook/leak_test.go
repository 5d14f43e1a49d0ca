package webhook_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// confidential is what a delivery carries and no error or log may repeat.
var confidential = []string{
	"leak-user", "leak-password", "leak-query", "leak-payload", "leak-header", "leak-location", "leak-path",
	strings.TrimPrefix(testSecret, "whsec_"), "v1,",
}

func confidentialDelivery(t *testing.T, base string) *relay.Delivery {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("leak-user", "leak-password")
	u.RawQuery = "token=leak-query"
	u.Path += "/services/T0/leak-path-0123456789"
	s := operatorsTarget(t, u.String())
	s.Timeout = 300 * time.Millisecond
	s.Headers = map[string]string{"authorization": "Bearer leak-header"}
	d := conformance.NewDelivery(s, []byte(`{"card":"leak-payload"}`))
	d.Headers = map[string]string{"x-row": "leak-header"}
	return d
}

func TestHTTPLeaksNothing(t *testing.T) {
	t.Parallel()
	targets := map[string]string{
		"refused":      "http://" + harness.FreeAddress(t) + "/hook",
		"metadata":     "http://169.254.169.254/latest",
		"no such name": "http://nowhere.invalid/hook",
		"no TLS":       "https://" + listen(t, silence).Addr().String() + "/hook",
		"TLS to HTTP":  "https://" + serve(t, http.NotFound).Listener.Addr().String() + "/hook",
		"redirect":     serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/leak-location", http.StatusFound) }).URL,
		"bad redirect": serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://[leak-location")
			w.WriteHeader(http.StatusFound)
		}).URL,
		"says it again": serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.RequestURI, http.StatusInternalServerError)
		}).URL,
	}
	certified, _ := serveTLS(t, func(*httptest.Server) {}, http.NotFound)
	targets["unknown authority"] = certified.URL
	for _, m := range misbehaviours {
		targets[m.name] = "http://" + listen(t, m.handle).Addr().String() + "/hook"
	}
	var logged lockedBuffer
	h := newHTTP(t, webhook.Config{
		Secrets: []string{testSecret}, Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	var wg sync.WaitGroup
	for name, target := range targets {
		for _, trusted := range []bool{true, false} {
			wg.Go(func() {
				d := confidentialDelivery(t, target)
				d.Subscriber.Trusted = trusted
				out := h.Deliver(t.Context(), d)
				checkConfidential(t, name, out.Error)
				if !out.Class.Accepted() && out.Error == "" {
					t.Errorf("%s: no error", name)
				}
			})
		}
	}
	wg.Wait()
	checkConfidential(t, "log", logged.String())
}

func checkConfidential(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range confidential {
		if strings.Contains(text, secret) {
			t.Errorf("%s repeats %q: %s", what, secret, text)
		}
	}
}
