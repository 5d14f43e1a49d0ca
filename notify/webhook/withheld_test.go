package webhook_test

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

// The answer to whether a message may be sent counts when there is a connection, be it a new
// one or one that lay idle. Not one byte goes out otherwise, with or without a body.
func TestHTTPSendsNothingThatIsNoLongerItsOwn(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*httptest.Server){
		"HTTP/1.1":     (*httptest.Server).Start,
		"HTTP/1.1 TLS": (*httptest.Server).StartTLS,
		"HTTP/2":       func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
			begin(server)
			defer server.Close()
			var owned atomic.Bool
			cfg := webhook.Config{Allowed: func(shard int16) bool { return owned.Load() && shard == 7 }}
			if certificate := server.Certificate(); certificate != nil {
				cfg.RootCAs = x509.NewCertPool()
				cfg.RootCAs.AddCert(certificate)
			}
			h, s := newHTTP(t, cfg), operatorsTarget(t, server.URL)
			attempt := func(body string) relay.Outcome {
				d := conformance.NewDelivery(s, []byte(body))
				d.Message.Shard = 7
				return h.Deliver(t.Context(), d)
			}
			for round := range 100 {
				owned.Store(true)
				wantClass(t, attempt("{}"), relay.ClassHandled, "") // it leaves an idle connection
				owned.Store(false)
				for _, body := range []string{"{}", ""} {
					out := attempt(body)
					wantClass(t, out, relay.ClassParked, "")
					if out.Reason != relay.ReasonNone {
						t.Errorf("parked for %q", out.Reason)
					}
				}
				if n := requests.Load(); int(n) != round+1 {
					t.Errorf("%d requests arrived, %d were allowed", n, round+1)
				}
			}
		})
	}
}

// The quick retry is one more request, and the first may have arrived.
func TestHTTPDoesNotRetryWhatIsNoLongerItsOwn(t *testing.T) {
	t.Parallel()
	var requests, asked atomic.Int32
	l := listen(t, onceThen(&requests, func(net.Conn) {}))
	h := newHTTP(t, webhook.Config{Allowed: func(int16) bool { return asked.Add(1) <= 2 }})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassHandled, "")
	wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassUnknown, "no longer this relay's")
	if n := requests.Load(); n != 2 || asked.Load() != 3 {
		t.Errorf("%d requests, asked %d times", n, asked.Load())
	}
}
