package webhook

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"relay/crash"
)

// progress is how far an attempt has come. Goroutines of net/http write it.
type progress struct {
	asked     atomic.Bool // a connection was asked for: the request is one that can be made
	connected atomic.Bool // there was a connection: bytes may have been sent
	idle      atomic.Bool // it had been lying idle
	answered  atomic.Bool // the first byte of an answer came
	again     atomic.Bool // this is the quick retry
	// withheld says that there was a connection when the message was no longer to be sent.
	withheld atomic.Bool

	conn     atomic.Pointer[statusConn] // that net/http uses, with HTTP/1.1; nil: none
	exchange atomic.Pointer[exchange]   // that is under way; nil: nothing watches over it

	allowed func() bool        // asked before a byte is sent
	stop    context.CancelFunc // of the attempt
}

// exchange is one request that net/http makes, and repeats if it sees fit.
type exchange struct {
	connections atomic.Int32 // the number of connections it has got
	refuse      context.CancelCauseFunc
}

type progressKey struct{}

// progressOf returns what watches over a request. It is nil if nothing does.
func progressOf(ctx context.Context) *progress {
	p, _ := ctx.Value(progressKey{}).(*progress)
	return p
}

// watch returns ctx with hooks that record how far the request comes, and with p itself
// for mayRetry and the transport.
func (p *progress) watch(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, progressKey{}, p)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			if p.repeats(info.Conn) {
				return
			}
			if conn, ok := info.Conn.(*statusConn); ok {
				conn.begin()
				p.conn.Store(conn)
			}
			if !p.allowed() {
				p.withhold(info.Conn)
				return
			}
			p.idle.Store(info.Reused && info.WasIdle)
			p.connected.Store(true)
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { crash.At(crash.AfterSend) },
		GotFirstResponseByte: func() { p.answered.Store(true) },
	})
}

// withhold breaks the attempt off before a byte of it is sent. HTTP/2 looks at the context before
// it writes; HTTP/1 does not, and its connection, which carries nothing else, refuses to write.
func (p *progress) withhold(conn net.Conn) {
	p.withheld.Store(true)
	p.stop()
	if !speaksHTTP2(conn) {
		_ = conn.SetWriteDeadline(time.Unix(1, 0)) // a closed one refuses anyway
	}
}

// mayRetry allows the one quick retry: the peer closed a connection that had been lying
// idle before a byte of an answer came, as it does when its idle time-out crosses the
// request on the wire. net/http repeats by itself only what it has not begun to write.
func mayRetry(ctx context.Context, _ *http.Response, err error) (bool, error) {
	p := progressOf(ctx)
	retry := p != nil && err != nil && ctx.Err() == nil && p.idle.Load() && !p.answered.Load() && closedByPeer(err)
	return retry, nil
}

// noteRetry notes that the request is made once more.
func noteRetry(req *http.Request) error {
	if p := progressOf(req.Context()); p != nil {
		p.again.Store(true)
	}
	return nil
}

// closedByPeer reports whether err says that the other side closed or reset the
// connection. net/http does not export its error for an idle one.
func closedByPeer(err error) bool {
	return errors.Is(err, connReset) || errors.Is(err, connClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "server closed idle connection")
}
