package admin

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestServeLetsRequestsFinish stops the server while a request is under way.
func TestServeLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	under, release := make(chan struct{}), make(chan struct{})
	addr, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(under)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	stopped := make(chan error, 1)
	go func() {
		<-under
		time.AfterFunc(50*time.Millisecond, func() { close(release) })
		stopped <- stop()
	}()
	if code, body := get(t, addr, "/"); code != 200 || body != "done" {
		t.Errorf("%d %q", code, body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("the address still accepts connections")
	}
}

// TestServeStopsWithinItsGrace has a request that ends only when it is cut off.
func TestServeStopsWithinItsGrace(t *testing.T) {
	t.Parallel()
	under := make(chan struct{})
	addr, stop := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(under)
		<-r.Context().Done()
	}))
	cut := make(chan error, 1)
	go func() {
		_, err := http.Get("http://" + addr)
		cut <- err
	}()
	<-under
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > closeGrace+2*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered, want it cut off")
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	err = Server{Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)}.Serve(t.Context(), ln)
	if err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("error %v, want one that names the address", err)
	}
}

// TestServeRefusesBadClients has one client that never ends its header and one whose
// header is too large.
func TestServeRefusesBadClients(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, handler(0))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: relay\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(2 * readHeaderTimeout)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || strings.Contains(string(answer), "200 OK") {
		t.Errorf("an endless header: %q, %v; want the connection closed", answer, err)
	}

	conn, err = net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		// The server may close before it has read all; the answer below is what counts.
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: relay\r\nX: "+strings.Repeat("x", 2*maxHeaderBytes)+"\r\n\r\n")
	}()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of %d bytes: %d, want 431", 2*maxHeaderBytes, r.StatusCode)
	}
}
