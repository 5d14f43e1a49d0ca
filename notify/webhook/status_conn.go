package webhook

import (
	"bytes"
	"net"
	"sync"
)

// maxStatusLine is how much of a line is kept while its end has not come, in bytes.
const maxStatusLine = 4 << 10

// statusConn is a connection that net/http reads answers of HTTP/1.1 from, and that keeps the status
// of the latest: net/http tells nothing of an answer whose header it cannot read.
type statusConn struct {
	net.Conn

	mu     sync.Mutex
	line   []byte // what has come of the line that is being read
	inside bool   // of the header of an interim answer, whose end is an empty line
	code   int    // of the answer; zero: its status line has not come yet
}

// begin says that the next answer is awaited.
func (c *statusConn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line, c.inside, c.code = nil, false, 0
}

// status returns the code of the answer. Zero means that no status line has come.
func (c *statusConn) status() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code
}

// Read is net.Conn's, and looks for the status line in what it returns.
func (c *statusConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := p[:n]; c.code == 0 && len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		part := rest[:max(end, 0)]
		if end < 0 {
			part = rest
		}
		c.line = append(c.line, part[:min(len(part), maxStatusLine-len(c.line))]...)
		if end < 0 {
			return n, err
		}
		rest = rest[end+1:]
		c.take()
	}
	return n, err
}

// take judges a whole line. The caller holds the mutex.
func (c *statusConn) take() {
	line := bytes.TrimRight(c.line, "\r")
	c.line = c.line[:0]
	switch code := statusOf(line); {
	case c.inside:
		c.inside = len(line) > 0
	case code >= 200:
		c.code = code
	case code >= 100:
		c.inside = true
	}
}
