package webhook

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes dials connections whose other ends answer every request with 200 and end with their
// client's. It counts those that are open.
func pipes(open *atomic.Int32) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		open.Add(1)
		go func() {
			in := bufio.NewReader(there)
			for {
				req, err := http.ReadRequest(in)
				if err != nil {
					open.Add(-1)
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}()
		return here, nil
	}
}

func postTo(t *testing.T, d *direct, ctx context.Context) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

func TestDirectClosesWhatLiesIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int32
		d := newDirect(pipes(&open), 2)
		for range 3 {
			if err := postTo(t, d, t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(idleTimeout / 2)
		}
		synctest.Wait()
		if open.Load() != 1 {
			t.Errorf("%d connections are open after three exchanges in turn, want 1", open.Load())
		}
		time.Sleep(idleTimeout)
		synctest.Wait()
		if open.Load() != 0 || len(d.idle) != 0 {
			t.Errorf("%d connections are open and %d kept after %v, want none", open.Load(), len(d.idle), idleTimeout)
		}
	})
}

func TestDirectCloseEndsWhatComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int32
		d := newDirect(pipes(&open), 2)
		if err := postTo(t, d, t.Context()); err != nil {
			t.Fatal(err)
		}
		d.CloseIdleConnections()
		if err := postTo(t, d, t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if open.Load() != 0 {
			t.Errorf("%d connections are open after the close, want none", open.Load())
		}
	})
}

// An exchange ends with its context, even if the context has no deadline.
func TestDirectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirect(func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			return here, nil
		}, 2)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := postTo(t, d, ctx); err != context.Canceled {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	})
}
