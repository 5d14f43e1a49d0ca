package webhook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// errLongHeader says that an answer's status line and header exceed maxAnswerHeader.
var errLongHeader = errors.New("the header of the answer is too long")

// past is a deadline that ends reads and writes at once.
var past = time.Unix(1, 0)

// directConn is a connection of direct. One exchange uses it at a time.
type directConn struct {
	conn      net.Conn
	owner     *direct
	in        *bufio.Reader
	out       *bufio.Writer
	limit     int // bytes of the header that may still be read; negative: no limit
	idleSince time.Time
}

func newDirectConn(conn net.Conn, owner *direct) *directConn {
	c := &directConn{conn: conn, owner: owner, limit: -1}
	c.in = bufio.NewReader(limitedReader{c})
	c.out = bufio.NewWriter(conn)
	return c
}

// limitedReader reads from a connection as long as its limit allows.
type limitedReader struct{ c *directConn }

func (r limitedReader) Read(p []byte) (int, error) {
	if r.c.limit < 0 {
		return r.c.conn.Read(p)
	}
	if r.c.limit == 0 {
		return 0, errLongHeader
	}
	n, err := r.c.conn.Read(p[:min(len(p), r.c.limit)])
	r.c.limit -= n
	return n, err
}

// exchange writes the request and reads the header of the answer. After an error the connection
// is of no further use.
func (c *directConn) exchange(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	release := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(past) })
	if err := ctx.Err(); err != nil {
		release()
		return nil, err
	}
	written := c.write(req)
	resp, err := c.readHeader(req)
	if err != nil {
		release()
		return nil, errors.Join(written, err)
	}
	resp.Body = &directBody{c: c, content: resp.Body, release: release,
		reusable: written == nil && !req.Close && !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols}
	return resp, nil
}

// write sends the request. Its error is not the end of the exchange: an endpoint may have
// answered, and closed the connection, before it had read everything.
func (c *directConn) write(req *http.Request) error {
	c.out.Reset(c.conn)
	err := req.Write(c.out)
	if err == nil {
		err = c.out.Flush()
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	return err
}

// readHeader reads the status line and the header of the answer, and skips interim answers
// (RFC 9110, section 15.2) but for a switch of the protocol, whatever their header is. One limit holds for all of
// them. Where a status line has come, but no header that can be read, the answer is the status alone.
func (c *directConn) readHeader(req *http.Request) (*http.Response, error) {
	c.limit = maxAnswerHeader
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	status := c.peekStatus()
	for status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if err := c.skipHeader(); err != nil {
			return nil, err
		}
		status = c.peekStatus()
	}
	resp, err := http.ReadResponse(c.in, req)
	switch {
	case err != nil && status >= 200:
		return statusAlone(status, req), nil
	case err != nil:
		return nil, err
	}
	c.limit = -1
	return resp, nil
}

// skipHeader reads up to the empty line that ends a header.
func (c *directConn) skipHeader() error {
	for began := false; ; {
		part, err := c.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		ended := err == nil
		if ended && !began && len(bytes.TrimRight(part, "\r\n")) == 0 {
			return nil
		}
		began = !ended // the rest of a line that the buffer does not hold
	}
}

// peekStatus waits for the status line and returns its code. It takes nothing from the connection but empty lines
// before it, which some servers leave behind from their last answer.
// Zero means that what comes is no status line, or one that the buffer does not hold.
func (c *directConn) peekStatus() int {
	for {
		line, _ := c.in.Peek(c.in.Buffered()) // what is buffered is there
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			if len(bytes.TrimRight(line[:end], "\r")) > 0 {
				return statusOf(line[:end])
			}
			_, _ = c.in.Discard(end + 1) // it is buffered
			continue
		}
		if _, err := c.in.Peek(len(line) + 1); err != nil {
			return 0
		}
	}
}

// directBody is the body of an answer. It gives the connection back when all has been read,
// and closes it if the reader leaves before. One goroutine uses it.
type directBody struct {
	c        *directConn
	content  io.Reader
	release  func() bool // of the context's hold on the connection
	reusable bool
	done     bool
}

// Read reads the body within the deadline of the request's context.
func (b *directBody) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.content.Read(p)
	if err != nil {
		b.finish(err == io.EOF)
	}
	return n, err
}

// Close ends the exchange. What has not been read costs the connection.
func (b *directBody) Close() error {
	b.finish(false)
	return nil
}

// finish lets go of the connection. It is kept only if the peer sent nothing beyond the answer
// and the context has not touched its deadline.
func (b *directBody) finish(whole bool) {
	if b.done {
		return
	}
	b.done = true
	untouched := b.release()
	if whole && b.reusable && untouched && b.c.in.Buffered() == 0 {
		b.c.owner.keep(b.c)
		return
	}
	b.c.conn.Close()
}
