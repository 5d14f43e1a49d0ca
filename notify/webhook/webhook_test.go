package webhook_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// testSecret is 32 bytes of base64.
const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwZzY2MDAwMDA="

func newHTTP(t testing.TB, cfg webhook.Config) *webhook.Destination {
	t.Helper()
	h, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// operatorsTarget is a subscriber whose target the operator set.
func operatorsTarget(t testing.TB, target string) *relay.Subscriber {
	t.Helper()
	parsed, err := relay.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	return &relay.Subscriber{Name: relay.SubscriptionDefault, Target: parsed, Trusted: true}
}

// rowsTarget is a subscriber whose target stands in a row.
func rowsTarget(t testing.TB, target string) *relay.Subscriber {
	t.Helper()
	s := operatorsTarget(t, target)
	s.Name, s.Trusted = relay.SubscriptionDirect, false
	return s
}

// serve starts an HTTP server on loopback.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv
}

// listen returns a listener on loopback that handles each connection in a goroutine; all
// have ended, their connections closed, when the test ends.
func listen(t testing.TB, handle func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { handle(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l
}

// silence reads and never writes.
func silence(c net.Conn) {
	_, _ = io.Copy(io.Discard, c)
}

// inboxHandler keeps every request as a conformance.Message.
type inboxHandler struct {
	mu       sync.Mutex
	messages map[string]conformance.Message
}

func (in *inboxHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	attempt, _ := strconv.Atoi(r.Header.Get("relay-attempt"))
	at, _ := time.Parse(time.RFC3339, r.Header.Get("ce-time"))
	m := conformance.Message{
		ID: r.Header.Get("webhook-id"), Topic: unescape(r.Header.Get("ce-type")), Key: unescape(r.Header.Get("ce-subject")),
		Source: unescape(r.Header.Get("ce-source")), Time: at, ContentType: r.Header.Get("Content-Type"),
		Attempt: attempt, Headers: make(map[string]string), Body: body,
	}
	for name, values := range r.Header {
		m.Headers[strings.ToLower(name)] = unescape(strings.Join(values, ", "))
	}
	in.mu.Lock()
	in.messages[m.ID] = m
	in.mu.Unlock()
}

func unescape(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return "undecodable " + s
	}
	return decoded
}

// received looks only once: the message is kept before the answer is sent.
func (in *inboxHandler) received(t *testing.T, id relay.ID) conformance.Message {
	t.Helper()
	in.mu.Lock()
	defer in.mu.Unlock()
	m, ok := in.messages[id.String()]
	if !ok {
		t.Fatalf("message %v did not arrive", id)
	}
	return m
}

func TestHTTPConformance(t *testing.T) {
	t.Parallel()
	conformance.Test(t, func(t *testing.T) conformance.Case {
		const userinfo = "conformance-user:conformance-password@"
		in := &inboxHandler{messages: make(map[string]conformance.Message)}
		accepting := serve(t, in.ServeHTTP)
		failing := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		silent := listen(t, silence)
		h := newHTTP(t, webhook.Config{Secrets: []string{testSecret}})
		at := func(address string) conformance.Endpoint {
			return conformance.Endpoint{Destination: h, Subscriber: operatorsTarget(t, "http://"+userinfo+address+"/hook?token=conformance-query")}
		}
		return conformance.Case{
			Accepting:   at(accepting.Listener.Addr().String()),
			Received:    in.received,
			Accepted:    relay.ClassHandled,
			Failing:     at(failing.Listener.Addr().String()),
			Failed:      relay.ClassHandleFailed,
			Unreachable: at(harness.FreeAddress(t)),
			Silent:      at(silent.Addr().String()),
			Secrets:     []string{"conformance-user", "conformance-password", "conformance-query", testSecret},
		}
	})
}

func TestHTTPAnswerClasses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		code          int
		header, value string
		class         relay.Class
		retryAfter    time.Duration
	}{
		{200, "", "", relay.ClassHandled, 0},
		{201, "", "", relay.ClassHandled, 0},
		{202, "", "", relay.ClassHandled, 0},
		{204, "", "", relay.ClassHandled, 0},
		{299, "Relay-Retry", "false", relay.ClassHandled, 0},
		{301, "Location", "/elsewhere", relay.ClassHandleFailed, 0},
		{302, "Location", "http://[malformed", relay.ClassHandleFailed, 0},
		{303, "", "", relay.ClassHandleFailed, 0},
		{304, "", "", relay.ClassHandleFailed, 0},
		{307, "Location", "/elsewhere", relay.ClassHandleFailed, 0},
		{308, "Location", "/elsewhere", relay.ClassHandleFailed, 0},
		{400, "", "", relay.ClassHandleFailed, 0},
		{401, "Www-Authenticate", "Basic", relay.ClassHandleFailed, 0},
		{404, "", "", relay.ClassHandleFailed, 0},
		{408, "", "", relay.ClassHandleFailed, 0},
		{410, "", "", relay.ClassDead, 0},
		{413, "", "", relay.ClassHandleFailed, 0},
		{422, "Relay-Retry", "true", relay.ClassHandleFailed, 0},
		{422, "Relay-Retry", "False", relay.ClassDead, 0},
		{429, "", "", relay.ClassPushFailed, 0},
		{429, "Retry-After", "7", relay.ClassPushFailed, 7 * time.Second},
		{429, "Retry-After", "99999999999999999999", relay.ClassPushFailed, time.Hour},
		{429, "Retry-After", "soon", relay.ClassPushFailed, 0},
		{500, "Retry-After", "7", relay.ClassHandleFailed, 0},
		{500, "Relay-Retry", "false", relay.ClassDead, 0},
		{501, "", "", relay.ClassHandleFailed, 0},
		{502, "", "", relay.ClassPushFailed, 0},
		{503, "Retry-After", "3601", relay.ClassPushFailed, time.Hour},
		{503, "Relay-Retry", "false", relay.ClassDead, 0},
		{504, "", "", relay.ClassPushFailed, 0},
		{599, "", "", relay.ClassHandleFailed, 0},
		{999, "", "", relay.ClassHandleFailed, 0},
	}
	h := newHTTP(t, webhook.Config{})
	for _, row := range rows {
		t.Run(fmt.Sprintf("%d %s %s", row.code, row.header, row.value), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if row.header != "" {
					w.Header().Set(row.header, row.value)
				}
				w.WriteHeader(row.code)
				_, _ = io.WriteString(w, "because")
			})
			out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL+"/hook"), []byte("{}")))
			if out.Class != row.class || out.Code != row.code || out.Push {
				t.Errorf("outcome %+v, want class %d", out, row.class)
			}
			if out.RetryAfter != row.retryAfter {
				t.Errorf("retry after %v, want %v", out.RetryAfter, row.retryAfter)
			}
			if bodyless := row.code == 204 || row.code == 304; !bodyless && string(out.Response) != "because" {
				t.Errorf("response %q", out.Response)
			}
			if !out.Class.Accepted() && !strings.HasPrefix(out.Error, fmt.Sprintf("POST %s/hook: answered %d", srv.URL, row.code)) {
				t.Errorf("error %q", out.Error)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestHTTPRetryAfterDate(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(30*time.Minute).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), nil))
	if off := out.RetryAfter - 30*time.Minute; off.Abs() > time.Minute {
		t.Errorf("retry after %v, want about 30 minutes", out.RetryAfter)
	}
}

func TestHTTPKeepsTheBeginningOfAnAnswer(t *testing.T) {
	t.Parallel()
	answer := bytes.Repeat([]byte("0123456789"), 1000)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(answer)
	})
	h := newHTTP(t, webhook.Config{})
	out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), nil))
	if !bytes.Equal(out.Response, answer[:relay.MaxResponse]) {
		t.Errorf("response of %d bytes, want the first %d", len(out.Response), relay.MaxResponse)
	}
}

func TestHTTPRejectsWhatNoRequestCanCarry(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, webhook.Config{})
	d := conformance.NewDelivery(operatorsTarget(t, "http://127.0.0.1:1/"), nil)
	d.Message.ContentType = "text/plain\r\nx-smuggled: 1"
	if out := h.Deliver(t.Context(), d); out.Class != relay.ClassRejected || out.Error == "" {
		t.Errorf("content type with CR LF: %+v", out)
	}
	d = conformance.NewDelivery(operatorsTarget(t, "amqp:/orders"), nil)
	if out := h.Deliver(t.Context(), d); out.Class != relay.ClassRejected || out.Error == "" {
		t.Errorf("target of another technology: %+v", out)
	}
}

// The answer's body must be drained and as many connections kept as are used at a time, or
// most messages would open one.
func TestHTTPReusesConnections(t *testing.T) {
	t.Parallel()
	const atOnce = 8
	all := newRendezvous(atOnce)
	var opened atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.wait()
		_, _ = w.Write(bytes.Repeat([]byte("x"), 20<<10))
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	h := newHTTP(t, webhook.Config{Concurrency: atOnce})
	for range 10 {
		var wg sync.WaitGroup
		for range atOnce {
			wg.Go(func() {
				if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), []byte("{}"))); out.Class != relay.ClassHandled {
					t.Errorf("outcome %+v", out)
				}
			})
		}
		wg.Wait()
	}
	// net/http may open one too many while others are on their way back.
	if n := opened.Load(); n > 2*atOnce {
		t.Errorf("%d connections for 10 times %d messages", n, atOnce)
	}
}

// rendezvous lets callers go on by the group.
type rendezvous struct {
	mu     sync.Mutex
	group  int
	here   int
	gather chan struct{}
}

func newRendezvous(group int) *rendezvous {
	return &rendezvous{group: group, gather: make(chan struct{})}
}

func (r *rendezvous) wait() {
	r.mu.Lock()
	gather := r.gather
	if r.here++; r.here == r.group {
		close(gather)
		r.here, r.gather = 0, make(chan struct{})
	}
	r.mu.Unlock()
	<-gather
}

// Rows may name any number of origins; the connections kept must not grow with them.
func TestHTTPKeepsConnectionsToABoundedNumberOfOrigins(t *testing.T) {
	t.Parallel()
	var open atomic.Int32
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Listener.Close()
	srv.Listener = l
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	h := newHTTP(t, webhook.Config{})
	port := l.Addr().(*net.TCPAddr).Port
	for i := range 300 {
		target := fmt.Sprintf("http://127.0.%d.%d:%d/", 1+i/200, 1+i%200, port)
		if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, target), nil)); out.Class != relay.ClassHandled {
			t.Fatalf("%s: %+v", target, out)
		}
	}
	eventually(t, func() bool { return open.Load() <= 256 })
	h.Close()
	eventually(t, func() bool { return open.Load() == 0 })
}

// eventually polls for what happens at the other end of a socket.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("did not come about within 5 s")
		}
	}
}

func wantClass(t testing.TB, out relay.Outcome, class relay.Class, words string) {
	t.Helper()
	if out.Class != class || !strings.Contains(out.Error, words) {
		t.Errorf("class %d with error %q, want %d with %q", out.Class, out.Error, class, words)
	}
}
