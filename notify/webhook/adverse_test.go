package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// exchange reads one request to its end and reports whether one came.
func exchange(c net.Conn, in *bufio.Reader) bool {
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// answering handles one request per connection: it is read, answer writes what it likes,
// and the connection is closed.
func answering(answer func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		if exchange(c, bufio.NewReader(c)) {
			answer(c)
		}
	}
}

// reset makes Close send RST instead of FIN.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
}

// forEver writes chunk until the other side closes, pausing in between.
func forEver(c net.Conn, chunk string, pause time.Duration) {
	tick := time.NewTicker(max(pause, 1))
	defer tick.Stop()
	bytes := []byte(chunk)
	for {
		if _, err := c.Write(bytes); err != nil {
			return
		}
		if pause > 0 {
			<-tick.C
		}
	}
}

// misbehaviours is every way of not answering well, with the class it is given.
var misbehaviours = []struct {
	name   string
	handle func(net.Conn)
	class  relay.Class
	says   string // in the error
}{
	{"hangs before reading", func(net.Conn) {}, relay.ClassPushFailed, "no answer within 1s"},
	{"hangs after reading", silence, relay.ClassPushFailed, "no answer within 1s"},
	{"closes at once", func(c net.Conn) { c.Close() }, relay.ClassPushFailed, "closed"},
	{"resets at once", func(c net.Conn) { reset(c); c.Close() }, relay.ClassPushFailed, "closed"},
	{"closes before the answer", answering(func(c net.Conn) {}), relay.ClassPushFailed, "closed before the whole answer"},
	{"resets before the answer", answering(reset), relay.ClassPushFailed, "closed before the whole answer"},
	{"closes in the header", answering(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n") }), relay.ClassHandled, ""},
	{"closes in the status line", answering(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK") }), relay.ClassPushFailed, "closed before the whole answer"},
	{"resets after 200", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		reset(c)
	}), relay.ClassHandled, ""},
	{"resets in the body of 200", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
		reset(c)
	}), relay.ClassHandled, ""},
	{"resets in the body of 500", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\nabc")
		reset(c)
	}), relay.ClassHandleFailed, "answered 500"},
	{"malformed chunks after 200", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	}), relay.ClassHandled, ""},
	{"endless body of 200", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		forEver(c, strings.Repeat("x", 32<<10), 0)
	}), relay.ClassHandled, ""},
	{"endless body of 503", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 503 No\r\n\r\n")
		forEver(c, strings.Repeat("x", 32<<10), 0)
	}), relay.ClassPushFailed, "answered 503"},
	{"endless header", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		forEver(c, "x-more: "+strings.Repeat("x", 1000)+"\r\n", 0)
	}), relay.ClassHandled, ""},
	{"endless header of an interim answer", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n")
		forEver(c, "x-more: "+strings.Repeat("x", 1000)+"\r\n", 0)
	}), relay.ClassPushFailed, "header is longer than 64 KB"},
	{"endless line", answering(func(c net.Conn) { forEver(c, strings.Repeat("x", 32<<10), 0) }), relay.ClassPushFailed, "not HTTP"},
	{"one byte a moment of a body of 200", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		forEver(c, "x", 20*time.Millisecond)
	}), relay.ClassHandled, ""},
	{"one byte a moment of a body of 500", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\n\r\n")
		forEver(c, "x", 20*time.Millisecond)
	}), relay.ClassHandleFailed, "answered 500"},
	{"one byte a moment of a header", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nx-slow: ")
		forEver(c, "x", 20*time.Millisecond)
	}), relay.ClassHandled, ""},
	{"one byte a moment of a status line", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 ")
		forEver(c, "x", 20*time.Millisecond)
	}), relay.ClassPushFailed, "no answer within 1s"},
	{"endless informational answers", answering(func(c net.Conn) { forEver(c, "HTTP/1.1 102 Wait\r\n\r\n", 20*time.Millisecond) }), relay.ClassPushFailed, ""},
	{"switches protocols and hangs", answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
		silence(c)
	}), relay.ClassHandleFailed, "answered 101"},
	{"echoes the request", func(c net.Conn) { _, _ = io.Copy(c, c) }, relay.ClassPushFailed, "not HTTP"},
	{"speaks SMTP", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n"); silence(c) }, relay.ClassPushFailed, ""},
}

func TestHTTPMisbehaviour(t *testing.T) {
	t.Parallel()
	for _, row := range misbehaviours {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, row.handle)
			s := operatorsTarget(t, "http://"+l.Addr().String()+"/hook")
			s.Timeout = time.Second
			out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(s, []byte(`{"n":1}`)))
			if out.Class != row.class || !strings.Contains(out.Error, row.says) {
				t.Errorf("class %d, want %d; error %q, want it to say %q", out.Class, row.class, out.Error, row.says)
			}
			if out.Duration > 5*time.Second {
				t.Errorf("took %v, far beyond its deadline", out.Duration)
			}
			if len(out.Response) > relay.MaxResponse {
				t.Errorf("%d bytes of the answer are kept", len(out.Response))
			}
		})
	}
}

func TestHTTPRefused(t *testing.T) {
	t.Parallel()
	address := harness.FreeAddress(t)
	out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "http://"+address+"/hook?a=b"), nil))
	want := "POST http://" + address + "/hook?…: connection refused: nothing listens there"
	if out.Class != relay.ClassPushFailed || out.Error != want {
		t.Errorf("class %d, error %q, want %q", out.Class, out.Error, want)
	}
}

func TestHTTPRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, code) })
		out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), []byte("{}")))
		if out.Class != relay.ClassHandleFailed || !strings.Contains(out.Error, "redirects are never followed") {
			t.Errorf("%d: %+v", code, out)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestHTTPEndlessAnswersKeepMemoryFlat(t *testing.T) {
	l := listen(t, answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\n\r\n")
		forEver(c, strings.Repeat("x", 32<<10), 0)
	}))
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const messages = 100
	for range messages {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil)); out.Class != relay.ClassHandleFailed {
			t.Fatalf("%+v", out)
		}
	}
	runtime.ReadMemStats(&after)
	// All that was allocated, also by the server and what was freed since.
	if each := (after.TotalAlloc - before.TotalAlloc) / messages; each > 256<<10 {
		t.Errorf("%d KB allocated for each endless answer", each>>10)
	}
}

// serveTLS starts an HTTPS server, with configure's changes, and returns the certificates
// that judge it.
func serveTLS(t testing.TB, configure func(*httptest.Server), handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	configure(srv)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv, roots
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		srv, roots := serveTLS(t, func(srv *httptest.Server) { srv.EnableHTTP2 = http2 }, func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(got, body) || (r.ProtoMajor == 2) != http2 {
				http.Error(w, fmt.Sprintf("%s, %d bytes, %v", r.Proto, len(got), err), http.StatusBadRequest)
			}
		})
		h := newHTTP(t, webhook.Config{RootCAs: roots})
		for range 3 {
			if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), body)); out.Class != relay.ClassHandled {
				t.Errorf("http2 %v: %+v %s", http2, out, out.Response)
			}
		}
	}
}

func TestHTTPSFailures(t *testing.T) {
	t.Parallel()
	ok := func(http.ResponseWriter, *http.Request) {}
	modern, roots := serveTLS(t, func(*httptest.Server) {}, ok)
	old, oldRoots := serveTLS(t, func(srv *httptest.Server) {
		srv.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	}, ok)
	plain := serve(t, ok)
	mute := listen(t, silence)
	closing := listen(t, func(c net.Conn) { c.Close() })
	rows := []struct {
		name, target, says string
		roots              *x509.CertPool
	}{
		{"unknown authority", modern.URL, "the certificate is not trusted: x509: certificate signed by unknown authority", nil},
		{"another name", strings.Replace(modern.URL, "127.0.0.1", "localhost", 1), "the certificate is not trusted: x509: certificate is valid for", roots},
		{"TLS 1.1", old.URL, "the exchange failed: remote error: tls: protocol version not supported", oldRoots},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), "no TLS is spoken there", nil},
		{"silent", "https://" + mute.Addr().String(), "within 1s", nil},
		{"closed", "https://" + closing.Addr().String(), "closed before a request could be sent", nil},
	}
	for _, row := range rows {
		s := operatorsTarget(t, row.target)
		s.Timeout = time.Second
		out := newHTTP(t, webhook.Config{RootCAs: row.roots}).Deliver(t.Context(), conformance.NewDelivery(s, nil))
		if out.Class != relay.ClassPushFailed || !strings.Contains(out.Error, row.says) {
			t.Errorf("%s: class %d, error %q, want it to say %q", row.name, out.Class, out.Error, row.says)
		}
	}
}

// When the relay stops, what may have arrived is unknown and counts no attempt.
func TestHTTPBrokenOffByTheRelay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l := listen(t, answering(func(c net.Conn) { cancel(); silence(c) }))
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	out := h.Deliver(ctx, conformance.NewDelivery(s, []byte("{}")))
	if out.Class != relay.ClassUnknown || !strings.Contains(out.Error, "the relay stops") {
		t.Errorf("in flight: %+v", out)
	}
	if out := h.Deliver(ctx, conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassPushFailed {
		t.Errorf("before it began: %+v", out)
	}
}
