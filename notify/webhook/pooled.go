package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
)

// errRefused ends an exchange that net/http would repeat after a pause.
var errRefused = errors.New("the connection refused the request before the endpoint looked at it")

// overPool makes an exchange over a connection of the pool.
//
// A server that ends an HTTP/2 connection (GOAWAY, RFC 9113, section 6.8) has not looked at the requests
// that it does not name, nor at a refused stream. net/http sends them again, the first time at once,
// then after a second, two, four: on a server that ends each connection after a few requests the
// requests that share one lose their race several times, and wait longer than an attempt may take.
// Hence its repetition is broken off before it has written anything, and the request goes out again
// over a connection that no other request shares.
func (t transport) overPool(req *http.Request) (*http.Response, error) {
	p := progressOf(req.Context())
	if p == nil {
		return t.pooled.RoundTrip(req)
	}
	once, giveUp := context.WithCancelCause(req.Context())
	p.begin(giveUp)
	resp, err := t.pooled.RoundTrip(req.WithContext(once))
	p.begin(nil)
	if err == nil || context.Cause(once) != errRefused {
		return p.answerOr(resp, err, req) // its body is read under the context, which ends with the attempt
	}
	if req, err = rewound(req); err != nil {
		return nil, err
	}
	return t.alone(req)
}

// alone makes an exchange over a connection of its own, which is closed afterwards. A transport
// shares connections with HTTP/2 among its requests even if it keeps none, so each such exchange has
// one.
func (t transport) alone(req *http.Request) (*http.Response, error) {
	single := t.pooled.Clone()
	single.DisableKeepAlives = true
	resp, err := single.RoundTrip(req)
	return progressOf(req.Context()).answerOr(resp, err, req)
}

// answerOr returns the answer, or the status alone of one whose status line has come, and then a
// header that net/http could not read.
func (p *progress) answerOr(resp *http.Response, err error, req *http.Request) (*http.Response, error) {
	if err == nil || p == nil || !p.answered.Load() {
		return resp, err
	}
	if conn := p.conn.Load(); conn != nil && conn.status() != 0 {
		return statusAlone(conn.status(), req), nil
	}
	return resp, err
}

// rewound returns the request with its body from the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := req.WithContext(req.Context())
	again.Body = body
	return again, nil
}

// begin says that an exchange begins. refuse ends it when net/http would repeat the request over
// HTTP/2. Nil lets net/http repeat it.
func (p *progress) begin(refuse context.CancelCauseFunc) {
	p.exchange.Store(&exchange{refuse: refuse})
}

// repeats reports whether a connection is for a repetition of the exchange, which it then ends.
// The first connection is none.
func (p *progress) repeats(conn net.Conn) bool {
	e := p.exchange.Load()
	if e == nil || e.connections.Add(1) == 1 || e.refuse == nil || !speaksHTTP2(conn) {
		return false
	}
	e.refuse(errRefused)
	return true
}

// speaksHTTP2 reports whether a connection is shared by requests, and looks at their contexts before it
// writes.
func speaksHTTP2(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}
