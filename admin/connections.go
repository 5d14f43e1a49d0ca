package admin

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections is a listener with a bound on its open connections. Above the bound one of
// those that wait for their client is closed: clients that connect and stay silent, or that
// send or read slowly, lock out no other client.
type connections struct {
	net.Listener
	most    int
	onClose func() // called for each connection that is closed to make room

	mu   sync.Mutex
	open map[*connection]struct{}
}

// connection is one open connection.
type connection struct {
	net.Conn
	owner *connections
	host  string

	// The mutex of owner guards what follows.
	since   time.Time // since when it has waited for a request
	working bool      // a handler works, and the client is not waited for
}

func boundConnections(ln net.Listener, most int, onClose func()) *connections {
	return &connections{Listener: ln, most: most, onClose: onClose, open: make(map[*connection]struct{})}
}

// Accept implements net.Listener. A connection for which there is no room is closed at once.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, owner: l, host: hostOf(conn), since: time.Now()}
		victim := l.admit(c)
		if victim != nil {
			l.onClose()
			_ = victim.Conn.Close() // its server learns of it by its next read or write
		}
		if victim != c {
			return c, nil
		}
	}
}

// admit adds a connection and returns the one to be closed for it, if there are too many:
// perhaps the connection itself.
func (l *connections) admit(c *connection) (victim *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most {
		if victim = l.victim(); victim == nil {
			return c
		}
		delete(l.open, victim)
	}
	l.open[c] = struct{}{}
	return victim
}

// victim returns the connection that has waited for its client the longest, among those of the
// remote host with the most of these. Nil means that no connection waits. The caller holds the
// mutex.
func (l *connections) victim() (oldest *connection) {
	count := make(map[string]int)
	for c := range l.open {
		if !c.working {
			count[c.host]++
		}
	}
	for c := range l.open {
		switch {
		case c.working:
		case oldest == nil, count[c.host] > count[oldest.host],
			count[c.host] == count[oldest.host] && c.since.Before(oldest.since):
			oldest = c
		}
	}
	return oldest
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// work notes whether a handler works or the client is waited for.
func (c *connection) work(working bool) {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.working = working
}

// rest notes that the connection waits for its next request.
func (c *connection) rest() {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.working, c.since = false, time.Now()
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}

// connectionKey is the key of a request's connection in its context.
type connectionKey struct{}

func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// connectionOf returns the connection of a request that came through a connections.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}
