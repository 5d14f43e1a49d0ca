package webhook_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

// onceThen answers the first request of every connection and treats the second with
// after; it counts requests.
func onceThen(requests *atomic.Int32, after func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		if !exchange(c, in) {
			return
		}
		requests.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if exchange(c, in) {
			requests.Add(1)
			after(c)
		}
	}
}

// A server whose idle time-out crosses a request must not cost the message an attempt.
func TestHTTPRetriesOnceAfterAnIdleConnectionWasClosed(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func(net.Conn){"closed": func(net.Conn) {}, "reset": reset} {
		var requests atomic.Int32
		l := listen(t, onceThen(&requests, after))
		h := newHTTP(t, webhook.Config{})
		s := operatorsTarget(t, "http://"+l.Addr().String())
		for i := range 2 {
			if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
				t.Errorf("%s, message %d: %+v", name, i+1, out)
			}
		}
		if n := requests.Load(); n != 3 {
			t.Errorf("%s: %d requests, want 3", name, n)
		}
	}
}

func TestHTTPRetriesNoMoreThanOnce(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	l := listen(t, func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		for exchange(c, in) {
			if requests.Add(1) > 1 {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
		t.Fatalf("first: %+v", out)
	}
	if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassPushFailed {
		t.Errorf("second: %+v", out)
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

// When one idle connection is dead the others are too, as after a restart of the server:
// the retry must not try its luck with the next of them.
func TestHTTPRetriesOnAFreshConnection(t *testing.T) {
	t.Parallel()
	const idle = 4
	all := newRendezvous(idle)
	var requests atomic.Int32
	l := listen(t, func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		if !exchange(c, in) {
			return
		}
		if requests.Add(1) <= idle {
			all.wait()
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		exchange(c, in)
	})
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	var wg sync.WaitGroup
	for range idle {
		wg.Go(func() { h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))) })
	}
	wg.Wait()
	if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
		t.Errorf("outcome %+v", out)
	}
}

// A server that closes each connection after its answer, without saying so, crosses the
// next request at every possible moment.
func TestHTTPServerThatClosesAfterEachAnswer(t *testing.T) {
	t.Parallel()
	l := listen(t, answering(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}))
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	for range 300 {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
			t.Fatalf("outcome %+v", out)
		}
	}
}

func TestHTTPDoesNotRetryOnAFreshConnection(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	l := listen(t, answering(func(c net.Conn) { requests.Add(1); reset(c) }))
	out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "http://"+l.Addr().String()), []byte("{}")))
	if out.Class != relay.ClassPushFailed || requests.Load() != 1 {
		t.Errorf("%d requests, outcome %+v", requests.Load(), out)
	}
}

// One endpoint that fails must not close the connections of another.
func TestHTTPFailureLeavesOtherOriginsConnected(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	good := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	good.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	good.Start()
	t.Cleanup(good.Close)
	bad := listen(t, answering(reset))
	h := newHTTP(t, webhook.Config{})
	for range 10 {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, good.URL), nil)); out.Class != relay.ClassHandled {
			t.Errorf("good: %+v", out)
		}
		if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "http://"+bad.Addr().String()), nil)); out.Class != relay.ClassPushFailed {
			t.Errorf("bad: %+v", out)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections to the good endpoint, want 1", n)
	}
}

// A connection counts as idle a moment before its answer is handed over. The failure of another
// request to the same origin must not close it then: the message would go twice.
func TestHTTPFailureLeavesIdleConnectionsOfTheSameOrigin(t *testing.T) {
	t.Parallel()
	both := newRendezvous(2)
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/both":
			both.wait()
		case "/hang":
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice a client that leaves
			<-r.Context().Done()
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	h := newHTTP(t, webhook.Config{Timeout: time.Second})
	send := func(path string, want relay.Class) {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL+path), []byte("{}"))); out.Class != want {
			t.Errorf("%s: %+v", path, out)
		}
	}
	var two sync.WaitGroup
	for range 2 {
		two.Go(func() { send("/both", relay.ClassHandled) })
	}
	two.Wait()
	before := opened.Load()
	send("/hang", relay.ClassPushFailed)
	send("/", relay.ClassHandled)
	if n := opened.Load(); n != before {
		t.Errorf("%d connections were opened after the failure, want none: one of %d was idle", n-before, before)
	}
}

// The quick retry neither uses nor closes the connections that are idle.
func TestHTTPRetryLeavesIdleConnections(t *testing.T) {
	t.Parallel()
	both := newRendezvous(2)
	var connections, requests atomic.Int32
	var last atomic.Int32 // the connection of the last answer
	l := listen(t, func(c net.Conn) {
		defer c.Close()
		connection := connections.Add(1)
		in := bufio.NewReader(c)
		for exchange(c, in) {
			switch requests.Add(1) {
			case 1, 2:
				both.wait()
			case 3:
				return
			}
			last.Store(connection)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	h := newHTTP(t, webhook.Config{})
	s := operatorsTarget(t, "http://"+l.Addr().String())
	send := func() {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))); out.Class != relay.ClassHandled {
			t.Errorf("outcome %+v", out)
		}
	}
	var two sync.WaitGroup
	for range 2 {
		two.Go(send)
	}
	two.Wait()
	send()
	if n := last.Load(); n != 3 {
		t.Errorf("the retry went over connection %d, want a third one", n)
	}
	send()
	if n := last.Load(); n > 2 {
		t.Errorf("after the retry connection %d was used, want one of the two that were there before", n)
	}
}
