package amqp

import (
	"context"
	"net"
	"time"
)

// socket is the TCP connection under the library's. The library writes without a
// deadline: a broker that has stopped reading would hold the writer, and all who wait
// for it, for ever.
type socket struct {
	net.Conn             // nil before dial
	stop     func() bool // ends the watch over the handshake
}

// dial connects. Until established is called, the end of ctx closes the socket.
func (s *socket) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s.Conn = conn
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	// The library clears the deadline when the handshake is over.
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	return s, nil
}

// established says that the handshake is over: from here on close decides.
func (s *socket) established() { s.stop() }

// Write is net.Conn's, with a deadline of its own.
func (s *socket) Write(p []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// Close closes the socket, if it was ever opened.
func (s *socket) Close() error {
	if s.Conn == nil {
		return nil
	}
	s.stop()
	return s.Conn.Close()
}
