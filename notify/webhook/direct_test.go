package webhook_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// talk answers every request of a connection with text, until the peer leaves, and counts
// connections and requests.
func talk(connections, requests *atomic.Int32, text string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		connections.Add(1)
		in := bufio.NewReader(c)
		for exchange(c, in) {
			requests.Add(1)
			_, _ = io.WriteString(c, text)
		}
	}
}

// deliverTwice sends two messages to a server and returns how many connections it saw.
func deliverTwice(t *testing.T, answer string, want relay.Class) int32 {
	t.Helper()
	var connections, requests atomic.Int32
	l := listen(t, talk(&connections, &requests, answer))
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	for range 2 {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != want {
			t.Errorf("outcome %+v, want class %d", out, want)
		}
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests for two messages", n)
	}
	return connections.Load()
}

// A connection is used again only if the answer ended it nowhere and nothing followed it.
func TestHTTPConnectionAfterAnAnswer(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, answer string
		class        relay.Class
		connections  int32
	}{
		{"length", okAnswer, relay.ClassHandled, 1},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", relay.ClassHandled, 1},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", relay.ClassHandled, 1},
		{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + okAnswer, relay.ClassHandled, 1},
		{"failure with a body", "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nabc", relay.ClassHandleFailed, 1},
		{"connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", relay.ClassHandled, 2},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", relay.ClassHandled, 2},
		{"HTTP/1.0 that stays", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", relay.ClassHandled, 1},
		{"more than one answer", okAnswer + okAnswer, relay.ClassHandled, 2},
		{"a body longer than is read", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), relay.ClassHandled, 2},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if n := deliverTwice(t, row.answer, row.class); n != row.connections {
				t.Errorf("%d connections, want %d", n, row.connections)
			}
		})
	}
}

// What a server says on an idle connection, as some do before they close it, must not be taken
// for the answer to the next request, nor cost that request its one retry.
func TestHTTPIgnoresWhatAnIdleConnectionSays(t *testing.T) {
	t.Parallel()
	for name, idleText := range map[string]string{
		"408 and close": "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "close": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests, connections atomic.Int32
			said := make(chan struct{}, 2)
			l := listen(t, func(c net.Conn) {
				defer func() { said <- struct{}{} }()
				defer c.Close()
				connections.Add(1)
				if exchange(c, bufio.NewReader(c)) {
					requests.Add(1)
					_, _ = io.WriteString(c, okAnswer)
				}
				<-said // the client has its answer
				_, _ = io.WriteString(c, idleText)
			})
			h := newHTTP(t, webhook.Config{})
			s := operatorsTarget(t, "http://"+l.Addr().String())
			if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
				t.Fatalf("first: %+v", out)
			}
			said <- struct{}{}
			<-said
			if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
				t.Errorf("second: %+v", out)
			}
			if r, c := requests.Load(), connections.Load(); r != 2 || c != 2 {
				t.Errorf("%d requests on %d connections, want 2 on 2", r, c)
			}
			said <- struct{}{}
		})
	}
}

// An endpoint may refuse a message before it has read the body, and then leave the rest unread.
func TestHTTPAnswerBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 30 << 10, 1 << 20} {
		l := listen(t, func(c net.Conn) {
			defer c.Close()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		})
		h := newHTTP(t, webhook.Config{})
		out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "http://"+l.Addr().String()), bytes.Repeat([]byte("x"), size)))
		if out.Class != relay.ClassHandleFailed || out.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d bytes: %+v", size, out)
		}
	}
}
