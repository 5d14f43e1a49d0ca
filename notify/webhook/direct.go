package webhook

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// maxDirectBody is the longest body that a direct exchange sends, in bytes. A shorter body fits
// into the buffers of both kernels, so that an endpoint that answers before it has read the
// request cannot make both sides wait for each other. net/http reads and writes at the same time;
// longer bodies go through it.
const maxDirectBody = 32 << 10

// direct makes HTTP/1.1 exchanges (RFC 9112) with one origin over connections without TLS. The
// goroutine that calls RoundTrip writes the request and reads the answer itself. net/http hands
// both to two more goroutines for each connection, which costs more than the rest of a delivery.
//
// The exchange has the deadline of the request's context, and ends early if the context ends.
// A connection is used again if its answer was read to the end. direct is safe for concurrent use.
type direct struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	maxIdle int

	mu     sync.Mutex
	idle   []*directConn // the one that was used last is at the end
	closed bool
	reaper *time.Timer // runs while idle is not empty
}

func newDirect(dial func(context.Context, string, string) (net.Conn, error), maxIdle int) *direct {
	d := &direct{dial: dial, maxIdle: maxIdle}
	d.reaper = time.AfterFunc(idleTimeout, d.closeOld)
	d.reaper.Stop()
	return d
}

// takes reports whether direct can make the exchange.
func (d *direct) takes(req *http.Request) bool {
	return req.URL.Scheme == "http" && req.ContentLength >= 0 && req.ContentLength <= maxDirectBody
}

// RoundTrip makes one exchange. A request with Close set gets a connection of its own, which is
// closed afterwards. The caller reads the answer's body to its end or closes it.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	ctx := req.Context()
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(req.URL.Host)
	}
	c, reused, err := d.connection(req)
	if err != nil {
		return nil, err
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.conn, Reused: reused, WasIdle: reused})
	}
	resp, err := c.exchange(req)
	if err != nil {
		c.conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return resp, nil
}

// connection returns an idle connection that the peer has not closed, or else a new one. It has
// the deadline of the request's context.
func (d *direct) connection(req *http.Request) (c *directConn, reused bool, err error) {
	deadline, _ := req.Context().Deadline() // the zero time is no deadline
	if !req.Close {
		for c := d.takeIdle(); c != nil; c = d.takeIdle() {
			// quiet does not look at a connection whose old deadline has passed.
			if time.Since(c.idleSince) < idleTimeout && c.conn.SetDeadline(deadline) == nil && quiet(c.conn) {
				return c, true, nil
			}
			c.conn.Close()
		}
	}
	address := req.URL.Host
	if req.URL.Port() == "" {
		address = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	conn, err := d.dial(req.Context(), "tcp", address)
	if err != nil {
		return nil, false, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, false, err
	}
	return newDirectConn(conn, d), false, nil
}

func (d *direct) takeIdle() *directConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := len(d.idle) - 1
	if last < 0 {
		return nil
	}
	c := d.idle[last]
	d.idle[last] = nil
	d.idle = d.idle[:last]
	return c
}

// keep takes back a connection for later exchanges, or closes it if there are enough.
func (d *direct) keep(c *directConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.idle) >= d.maxIdle {
		c.conn.Close()
		return
	}
	c.idleSince = time.Now()
	if len(d.idle) == 0 {
		d.reaper.Reset(idleTimeout)
	}
	d.idle = append(d.idle, c)
}

// closeOld closes the connections that have been idle for idleTimeout.
func (d *direct) closeOld() {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := 0
	for old < len(d.idle) && time.Since(d.idle[old].idleSince) >= idleTimeout {
		d.idle[old].conn.Close()
		old++
	}
	d.idle = append(d.idle[:0], d.idle[old:]...)
	if len(d.idle) > 0 {
		d.reaper.Reset(max(idleTimeout-time.Since(d.idle[0].idleSince), time.Millisecond))
	}
}

// CloseIdleConnections closes what is idle now and, as each exchange ends, what is busy.
func (d *direct) CloseIdleConnections() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.reaper.Stop()
	for _, c := range d.idle {
		c.conn.Close()
	}
	d.idle = nil
}
