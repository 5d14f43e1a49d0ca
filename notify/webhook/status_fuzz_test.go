package webhook

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
)

// pieces is a connection that brings a text in pieces of a given size.
type pieces struct {
	net.Conn
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// FuzzStatusConn: what the connection tells of an answer is what net/http reads, however the
// bytes arrive, and never a status where there is no status line.
func FuzzStatusConn(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 204 No\n\n", "HTTP/1.0 500\r\n", "HTTP/1.1 20", "\r\n\r\nHTTP/1.1 200 OK\r\n", "HTTP/1.1 099 x\r\n\r\n",
	} {
		f.Add([]byte(seed), 1)
		f.Add([]byte(seed), 7)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 || size > 1<<16 {
			return
		}
		conn := &statusConn{Conn: &pieces{rest: text, size: size}}
		in := bufio.NewReader(conn)
		for {
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				break
			}
			if answer.StatusCode < 200 {
				continue
			}
			if code := conn.status(); code != 0 && code != answer.StatusCode {
				t.Errorf("%q is read as %d, and told as %d", text, answer.StatusCode, code)
			}
			break
		}
		if conn.status() != 0 && !bytes.Contains(text, []byte("HTTP/1.")) {
			t.Errorf("%q has the status %d", text, conn.status())
		}
	})
}
