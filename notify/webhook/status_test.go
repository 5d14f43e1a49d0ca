package webhook_test

import (
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

// oddHeaders are answers whose status line is sound and whose header is not.
var oddHeaders = map[string]string{
	"no colon":               "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
	"space before the colon": "HTTP/1.1 201 Created\r\nx-a : b\r\n\r\n",
	"two lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
	"length is no number":    "HTTP/1.1 204 No Content\r\nContent-Length: many\r\n\r\n",
	"unknown encoding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\n",
	"control character":      "HTTP/1.1 200 OK\r\nx-a: b\x00c\r\n\r\n",
	"folded first line":      "HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
	"cut off":                "HTTP/1.1 202 Accepted\r\nx-a: b",
	"too long":               "HTTP/1.1 200 OK\r\nx-a: " + strings.Repeat("b", 100<<10) + "\r\n\r\n",
	"interim with an odd one": "HTTP/1.1 103 Early Hints\r\nnonsense\r\nx: y\r\n\r\nHTTP/1.1 102 Processing\r\nContent-Length: many\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"after an empty line":   "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"no words, old version": "HTTP/1.0 200\n\n",
	"after an interim one":  "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
}

// A receiver that had done its work and wrote a malformed header was sent the message again and
// again.
func TestAStatusLineDecidesWhateverTheHeaderIs(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "test")
	certificate, err := tls.X509KeyPair(pair(ca.issue(t)))
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range oddHeaders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections, requests atomic.Int32
			answerOnce := func(c net.Conn) {
				talk(&connections, &requests, answer)(&closingConn{Conn: c})
			}
			plain := listen(t, answerOnce)
			secure := listen(t, func(c net.Conn) {
				answerOnce(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}}))
			})
			h := newHTTP(t, webhook.Config{RootCAs: ca.pool()})
			for _, target := range []string{"http://" + plain.Addr().String(), "https://" + secure.Addr().String()} {
				for _, size := range []int{2, 100 << 10} {
					d := conformance.NewDelivery(operatorsTarget(t, target), []byte(strings.Repeat("x", size)))
					if out := h.Deliver(t.Context(), d); out.Class != relay.ClassHandled {
						t.Errorf("%s, %d bytes: class %d, code %d: %s", target, size, out.Class, out.Code, out.Error)
					}
				}
			}
		})
	}
}

func pair(certificate, key string) ([]byte, []byte) { return []byte(certificate), []byte(key) }

// closingConn closes after it has written.
type closingConn struct{ net.Conn }

func (c *closingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if _, secure := c.Conn.(*tls.Conn); secure {
		_ = c.Conn.(*tls.Conn).CloseWrite()
	}
	_ = c.Conn.Close()
	return n, err
}

// Where the status line itself is none, nothing is decided.
func TestWhatIsNoStatusLineDecidesNothing(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200", "HTTP/2 200 OK\r\n\r\n", "200 OK\r\n\r\n"} {
		var connections, requests atomic.Int32
		l := listen(t, func(c net.Conn) { talk(&connections, &requests, answer)(&closingConn{Conn: c}) })
		out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "http://"+l.Addr().String()), nil))
		if out.Class != relay.ClassPushFailed {
			t.Errorf("%q: class %d, code %d", answer, out.Class, out.Code)
		}
	}
}
