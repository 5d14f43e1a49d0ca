package admin

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// open opens n connections and writes the same bytes to each.
func open(t *testing.T, addr string, n int, text string) (all []net.Conn) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil && text == "" {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	return all
}

// Clients that stay silent, or never finish what they send, held their connections until the
// time-out while others had to wait.
func TestClientsThatAreWaitedForMakeRoom(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"silent":            "",
		"half a header":     "GET /healthz HTTP/1.1\r\nHost: relay\r\n",
		"half a body":       "POST /healthz HTTP/1.1\r\nHost: relay\r\nContent-Length: 100\r\n\r\nx",
		"idle":              "GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n",
		"half a chunk":      "POST /healthz HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx",
		"waits to be asked": "POST /healthz HTTP/1.1\r\nHost: relay\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := start(t, handler(0))
			others := open(t, addr, 4*DefaultConnections, text)
			begun := time.Now()
			for range 20 {
				r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}).Get("http://" + addr + "/healthz")
				if err != nil {
					t.Fatal(err)
				}
				r.Body.Close()
			}
			if took := time.Since(begun); took > readHeaderTimeout/2 {
				t.Errorf("20 requests took %v", took)
			}
			if err := others[0].SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, others[0]); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the oldest connection is open: %v", err)
			}
		})
	}
}

// A connection whose handler works is not closed for another one.
func TestARequestUnderWayIsNotClosed(t *testing.T) {
	t.Parallel()
	under, release := make(chan struct{}, 1), make(chan struct{})
	addr, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		under <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	body := make(chan string, 1)
	go func() {
		_, got := get(t, addr, "/")
		body <- got
	}()
	<-under
	open(t, addr, 4*DefaultConnections, "")
	close(release)
	if got := <-body; got != "done" {
		t.Errorf("answered %q", got)
	}
}

// Where every connection works, one more is closed at once.
func TestAConnectionTooManyIsClosed(t *testing.T) {
	t.Parallel()
	closed := prometheus.NewCounter(prometheus.CounterOpts{Name: "closed"})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	under := make(chan struct{}, 2)
	server := Server{Connections: 2, Closed: closed, Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		under <- struct{}{}
		<-release
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(t.Context(), ln) }()
	addr := ln.Addr().String()
	open(t, addr, 2, "GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
	<-under
	<-under
	third := open(t, addr, 1, "")[0]
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes were read", n)
	}
	close(release)
	var counted dto.Metric
	if err := closed.Write(&counted); err != nil || counted.GetCounter().GetValue() != 1 {
		t.Errorf("%v connections were counted, want 1: %v", counted.GetCounter().GetValue(), err)
	}
}

// The host that holds most of the connections loses one of its own first.
func TestTheHostWithMostConnectionsMakesRoom(t *testing.T) {
	t.Parallel()
	l := boundConnections(nil, 4, func() {})
	first := &connection{host: "probe", since: time.Now().Add(-time.Hour)}
	l.admit(first)
	for i := range 20 {
		if victim := l.admit(&connection{host: "flood", since: time.Now()}); victim == first || i >= 3 && victim == nil {
			t.Fatalf("connection %d: the victim is %+v", i, victim)
		}
	}
	if len(l.open) != 4 {
		t.Errorf("%d are open", len(l.open))
	}
}

func TestALargeBodyIsRefused(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	for size, want := range map[int]int{0: 200, DefaultBody: 200, DefaultBody + 1: 413, 50 << 20: 413} {
		// Without a length, so that no look at the header spares the reading.
		r, err := http.Post("http://"+addr, "text/plain", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if err != nil && want == 413 && size > 1<<20 {
			continue // the connection was closed before all was sent
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("a body of %d bytes: %d, want %d", size, r.StatusCode, want)
		}
	}
}

// Hosts, names of databases and errors were shown to every client of the metrics address.
func TestBriefNamesOnlyTheParts(t *testing.T) {
	t.Parallel()
	health := NewHealth(0,
		Probe{"database", true, ill("dial tcp db.internal:5432: connection refused")},
		Probe{"stream", false, ill("no stream: slot of database shop")},
		Probe{"shards", true, well("owns 64 of 64")})
	addr, _ := start(t, NewHandler(health.Brief(), NewRegistry("v"), slog.New(slog.DiscardHandler)))
	const want = "not ready\ndatabase: failed\nstream: failed (does not decide readiness)\nshards: ok\n"
	if code, body := get(t, addr, "/readyz"); code != 503 || body != want {
		t.Errorf("%d %q, want %q", code, body, want)
	}
}
