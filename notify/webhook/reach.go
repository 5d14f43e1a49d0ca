package webhook

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"relay"
)

// Reach connects to the endpoint of a target that the operator set, with TLS, certificates and the
// proxy as a delivery would, and returns the address that answered: the endpoint's, or the
// proxy's. Of a server that wants to see a certificate it learns that only after the handshake (RFC 8446,
// section 4.4.2), and waits a moment for its word. It sends no request.
func (h *Destination) Reach(ctx context.Context, target relay.Target) (address string, err error) {
	way := h.connections.routeTo(poolKey{origin: target.Origin(), trusted: true})
	host := strings.TrimPrefix(strings.TrimPrefix(target.Origin(), "https://"), "http://")
	dial := way.dialPlain
	if strings.EqualFold(target.URL.Scheme, "https") {
		dial = way.dialTLS
	}
	conn, err := dial(ctx, "tcp", host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.RemoteAddr().String(), refusalOf(conn)
}

// IsProxy reports whether an error is the proxy's.
func IsProxy(err error) bool {
	var proxy *proxyError
	return errors.As(err, &proxy)
}

// WantsCertificate reports whether an endpoint has refused the relay for want of a certificate, or
// for one that it does not accept: an alert of its TLS.
func WantsCertificate(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err != nil && strings.Contains(op.Err.Error(), "certificate")
}

// refusalTime is how long the endpoint's word on the relay's certificate is awaited.
const refusalTime = 300 * time.Millisecond

// refusalOf returns why the endpoint does not accept the relay's certificate, or that there is
// none. Nil means that it says nothing of that kind.
func refusalOf(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(refusalTime)); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); WantsCertificate(err) {
		return err
	}
	return nil
}
