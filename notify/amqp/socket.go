package amqp

import (
	"cmp"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// socket is the TCP connection under the library's. The library writes without a deadline: a
// broker that has stopped reading would hold the writer, and all calls that wait for it, for ever.
type socket struct {
	net.Conn                        // nil before dial
	limit    time.Duration          // of the dial. Zero: dialTimeout
	stop     func() bool            // ends the watch over the handshake
	first    atomic.Pointer[string] // the first bytes that came; nil: none

	mu      sync.Mutex
	holding int    // calls of hold without release
	held    []byte // what was written meanwhile
}

// dial connects. Until established is called, the end of ctx closes the socket.
func (s *socket) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cmp.Or(s.limit, dialTimeout)}
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

// firstBytes is how many of the first bytes are kept: they tell what the peer speaks.
const firstBytes = 4

// Read is net.Conn's, and keeps the first bytes.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 && s.first.Load() == nil {
		first := string(p[:min(n, firstBytes)])
		s.first.Store(&first)
	}
	return n, err
}

// heldMost is how many bytes are held at most; more are written at once.
const heldMost = 64 << 10

// hold has what is written held back until release is called. Each call of hold needs one of release.
func (s *socket) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding++
}

// release writes what is held. If that fails, the socket is closed: half a message may have gone.
func (s *socket) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding--
	if err := s.flush(); err != nil {
		s.Close() // its reader tells why
	}
}

// Write is net.Conn's, with a deadline of its own. What is held back is written later, and counts as written.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding > 0 && len(s.held)+len(p) <= heldMost {
		s.held = append(s.held, p...)
		return len(p), nil
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	return s.writeNow(p)
}

// flush writes what is held. The caller holds mu.
func (s *socket) flush() error {
	if len(s.held) == 0 {
		return nil
	}
	_, err := s.writeNow(s.held)
	s.held = s.held[:0]
	return err
}

func (s *socket) writeNow(p []byte) (int, error) {
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
