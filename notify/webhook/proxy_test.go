package webhook_test

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// forwarder is an HTTP proxy that opens tunnels and forwards requests, and keeps what it was asked for.
type forwarder struct {
	user, password string // empty: everything is allowed

	mu    sync.Mutex
	asked []string
}

func startProxy(t testing.TB, f *forwarder) (address string) {
	t.Helper()
	return serve(t, f.ServeHTTP).Listener.Addr().String()
}

func (f *forwarder) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, " ")
}

func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.RequestURI)
	f.mu.Unlock()
	wanted := "Basic " + base64.StdEncoding.EncodeToString([]byte(f.user+":"+f.password))
	if f.user != "" && r.Header.Get("Proxy-Authorization") != wanted {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		f.tunnel(w, r.Host)
		return
	}
	r.RequestURI = ""
	r.Header.Del("Proxy-Authorization")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func (f *forwarder) tunnel(w http.ResponseWriter, address string) {
	there, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(there, buffered); there.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(here, there); here.(*net.TCPConn).CloseWrite() })
	both.Wait()
}

func parseProxies(t testing.TB, setting string) *webhook.Proxies {
	t.Helper()
	p, err := webhook.ParseProxies(setting)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRequestsGoByTheProxy(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*httptest.Server){
		"http":   (*httptest.Server).Start,
		"https":  (*httptest.Server).StartTLS,
		"HTTP/2": func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var leaked string
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = r.Header.Get("Proxy-Authorization") }))
			begin(server)
			t.Cleanup(server.Close)
			f := &forwarder{user: "relay", password: "p w:1"}
			address := startProxy(t, f)
			cfg := webhook.Config{Proxies: parseProxies(t, "http://relay:p%20w%3A1@"+address)}
			if server.Certificate() != nil {
				cfg.RootCAs = newAuthority(t, "unused").pool()
				cfg.RootCAs.AddCert(server.Certificate())
			}
			h := newHTTP(t, cfg)
			for _, body := range []string{"", "{}", strings.Repeat("x", 100<<10)} {
				wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, server.URL+"/in?a=b"), []byte(body))), relay.ClassHandled, "")
			}
			want := "CONNECT " + server.Listener.Addr().String()
			if name == "http" {
				want = "POST " + server.URL + "/in?a=b"
			}
			if asked := f.requests(); !strings.Contains(asked, want) || leaked != "" {
				t.Errorf("the proxy was asked for %q, want %q; the endpoint saw %q", asked, want, leaked)
			}
		})
	}
}

func TestTheFirstRuleThatMatchesAHostDecidesAboutItsProxy(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	for setting, want := range map[string]relay.Class{
		"127.0.0.1=direct http://" + harness.FreeAddress(t): relay.ClassHandled,
		"*.test=http://" + harness.FreeAddress(t):           relay.ClassHandled,
		"*=direct": relay.ClassHandled,
		"http://" + harness.FreeAddress(t) + ", 127.0.0.1=direct": relay.ClassPushFailed,
	} {
		out := newHTTP(t, webhook.Config{Proxies: parseProxies(t, setting)}).Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, server.URL), nil))
		if out.Class != want {
			t.Errorf("%s: class %d: %s", setting, out.Class, out.Error)
		}
	}
}

// The relay's own look-up judges where a row may lead; the proxy resolves the name once more.
func TestRowsReachNothingMoreByAProxy(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	f := &forwarder{}
	cfg := webhook.Config{
		Proxies:  parseProxies(t, "http://"+startProxy(t, f)),
		Resolver: resolver(t, func() []string { return []string{"10.0.0.1"} }),
	}
	h := newHTTP(t, cfg)
	for target, says := range map[string]string{
		server.URL:                   "not a public address",
		"https://workers.test/":      "not a public address",
		"http://workers.test/":       "not a public address",
		"http://169.254.169.254/":    "metadata",
		"https://169.254.169.254/":   "metadata",
		"http://[::ffff:127.0.0.1]/": "not a public address",
	} {
		out := h.Deliver(t.Context(), conformance.NewDelivery(rowsTarget(t, target), nil))
		if out.Class.Accepted() || !strings.Contains(out.Error, says) {
			t.Errorf("%s: class %d: %s, want it to say %q", target, out.Class, out.Error, says)
		}
	}
	wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "https://169.254.169.254/"), nil)), relay.ClassDead, "metadata")
	if asked := f.requests(); asked != "" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestAFailureOfTheProxyNamesIt(t *testing.T) {
	t.Parallel()
	dead := "http://relay:hunter2@" + harness.FreeAddress(t)
	closed := "http://relay:hunter2@" + startProxy(t, &forwarder{user: "other", password: "word"})
	for setting, says := range map[string]string{dead: "is not there", closed: "wants a user and a password"} {
		h := newHTTP(t, webhook.Config{Proxies: parseProxies(t, setting)})
		out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "https://endpoint.test/"), nil))
		if out.Class != relay.ClassPushFailed || !strings.Contains(out.Error, says) || !strings.Contains(out.Error, "RELAY_HTTP_PROXY") || strings.Contains(out.Error, "hunter2") {
			t.Errorf("class %d: %s", out.Class, out.Error)
		}
		if _, err := h.Reach(t.Context(), operatorsTarget(t, "https://endpoint.test/").Target); !webhook.IsProxy(err) {
			t.Errorf("it is reached with %v", err)
		}
	}
}

func TestParseProxiesRefuses(t *testing.T) {
	t.Parallel()
	for setting, says := range map[string]string{
		"proxy:3128":                     "neither http://",
		"https://proxy":                  "http:// alone",
		"socks5://user:hunter2@proxy":    "http:// alone",
		"http://user:hunter2@proxy/x":    "neither path",
		"a..b=direct":                    "rule 1 of 1",
		"http://proxy, *.x=":             "rule 2 of 2",
		"http://user:hunter%zz2@proxy:1": "percent-encoded",
	} {
		if _, err := webhook.ParseProxies(setting); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v, want an error that says %q", setting, err, says)
		}
	}
}
