package webhook

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// route is the way to one origin: at its address, or by the proxy.
type route struct {
	key    poolKey
	cfg    *Config
	proxy  *url.URL // nil: none
	dialer func(judge func(addr netip.Addr) error) *net.Dialer
}

// routeTo returns the way to the origin of a pool. An instance is dialled at its address even
// where the origin's host has a proxy: only that host would know another one by its name.
func (c *connections) routeTo(key poolKey) route {
	r := route{key: key, cfg: &c.cfg}
	if origin, err := url.Parse(key.origin); err == nil && key.instance == "" {
		r.proxy = c.cfg.Proxies.of(origin.Hostname())
	}
	r.dialer = func(judge func(netip.Addr) error) *net.Dialer {
		return &net.Dialer{
			Timeout: connectTimeout, Resolver: c.cfg.Resolver,
			ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
				addr, err := netip.ParseAddrPort(resolved)
				if err != nil {
					return err
				}
				return judge(addr.Addr())
			},
		}
	}
	return r
}

// proxyForPlain is for net/http, which asks the proxy for a URL without TLS by its whole text. For
// one with TLS dialTLS asks the proxy for a tunnel.
func (r route) proxyForPlain(req *http.Request) (*url.URL, error) {
	if req.URL.Scheme != "http" {
		return nil, nil
	}
	return r.proxy, nil
}

// dial connects to the endpoint. It judges each address at the last moment, after the name has been
// resolved and before a packet is sent. An instance is dialled at its address; the name stays
// what the request and TLS are about.
func (r route) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !canBeHost(host) {
		return nil, errHostName
	}
	if r.key.instance != "" {
		address = r.key.instance
	}
	judge := func(addr netip.Addr) error { return r.cfg.Egress.check(host, addr, r.key.trusted) }
	return r.dialer(judge).DialContext(ctx, network, address)
}

// dialPlain is dial for net/http. With a proxy, the address is the proxy's.
func (r route) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &statusConn{Conn: conn}, nil
}

func (r route) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if r.proxy == nil {
		return r.dial(ctx, network, address)
	}
	origin, err := url.Parse(r.key.origin)
	if err != nil {
		return nil, err
	}
	return r.dialProxy(ctx, network, origin.Hostname())
}

// dialTLS connects to the endpoint, through a tunnel of the proxy if there is one, and shakes hands.
// net/http sees by the type of the connection that it speaks HTTP/2.
func (r route) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := r.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if r.proxy != nil {
		if err := openTunnel(ctx, conn, r.proxy, address); err != nil {
			conn.Close()
			return nil, err
		}
	}
	secure := tls.Client(conn, r.cfg.tlsFor(host, r.key.trusted))
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		return secure, nil
	}
	return &statusConn{Conn: secure}, nil
}

// dialProxy connects to the proxy, after it has judged where the proxy will be asked to lead. That is
// less than without one: the proxy resolves the name itself, and may find another address.
func (r route) dialProxy(ctx context.Context, network, host string) (net.Conn, error) {
	if !canBeHost(host) {
		return nil, errHostName
	}
	if err := r.judgeBehindProxy(ctx, host); err != nil {
		return nil, err
	}
	dialer := r.dialer(func(netip.Addr) error { return nil })
	conn, err := dialer.DialContext(ctx, network, withPort(r.proxy))
	if err != nil {
		return nil, &proxyError{proxy: r.proxy.Host, err: err}
	}
	return conn, nil
}

// judgeBehindProxy checks an address in the URL, and for a row every address of a name. A
// row's name that cannot be resolved here is refused, since nothing would be known of it.
func (r route) judgeBehindProxy(ctx context.Context, host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return r.cfg.Egress.check(host, addr, r.key.trusted)
	}
	if r.key.trusted || r.cfg.Egress.names(host) {
		return nil
	}
	resolver := r.cfg.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	for _, addr := range found {
		if err := r.cfg.Egress.check(host, addr, false); err != nil {
			return err
		}
	}
	return nil
}

func withPort(proxy *url.URL) string {
	if proxy.Port() != "" {
		return proxy.Host
	}
	return net.JoinHostPort(proxy.Hostname(), "80")
}

// proxyError is a failure of the proxy. Its text holds no password.
type proxyError struct {
	proxy string
	code  int // of its answer; zero: there was none
	err   error
}

// Error says what the proxy did.
func (e *proxyError) Error() string {
	switch {
	case e.code == http.StatusProxyAuthRequired:
		return fmt.Sprintf("the proxy %s of RELAY_HTTP_PROXY wants a user and a password, or others than those that the variable holds (407)", e.proxy)
	case e.code != 0:
		return fmt.Sprintf("the proxy %s of RELAY_HTTP_PROXY opens no tunnel to this host: it answered %d %s; allow it there, or exempt the host (HOST=direct)", e.proxy, e.code, http.StatusText(e.code))
	case isTimeout(e.err):
		return fmt.Sprintf("the proxy %s of RELAY_HTTP_PROXY did not answer in time", e.proxy)
	case errors.Is(e.err, connRefused):
		return fmt.Sprintf("the proxy %s of RELAY_HTTP_PROXY is not there: connection refused", e.proxy)
	}
	return fmt.Sprintf("the proxy %s of RELAY_HTTP_PROXY was not reached", e.proxy)
}

// Unwrap returns the error of the network, if any.
func (e *proxyError) Unwrap() error { return e.err }

// openTunnel asks a proxy for a tunnel (RFC 9110, section 9.3.6).
func openTunnel(ctx context.Context, conn net.Conn, proxy *url.URL, address string) error {
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	defer release()
	header := make(http.Header)
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	header.Set("User-Agent", userAgent)
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: header}
	if err := request.Write(conn); err != nil {
		return &proxyError{proxy: proxy.Host, err: err}
	}
	// The endpoint says nothing before the relay does, so that nothing of its is read here.
	in := bufio.NewReader(&limitedConn{Conn: conn, left: maxAnswerHeader})
	answer, err := http.ReadResponse(in, request)
	switch {
	case err != nil:
		return &proxyError{proxy: proxy.Host, err: err}
	case answer.StatusCode != http.StatusOK:
		return &proxyError{proxy: proxy.Host, code: answer.StatusCode}
	case in.Buffered() > 0:
		return &proxyError{proxy: proxy.Host, err: errors.New("it sent more than an answer")}
	}
	return nil
}

// limitedConn is read to a limit.
type limitedConn struct {
	net.Conn
	left int
}

// Read is net.Conn's as long as something is left.
func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errLongHeader
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
