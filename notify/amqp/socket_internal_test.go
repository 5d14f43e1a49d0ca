package amqp

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// countingConn counts the writes to a connection.
type countingConn struct {
	net.Conn
	writes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// heldSocket returns a socket over TCP and what its peer has read when it is closed.
func heldSocket(t *testing.T) (*socket, *countingConn, func() []byte) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte, 1)
	go func() {
		defer listener.Close()
		peer, err := listener.Accept()
		if err != nil {
			read <- nil
			return
		}
		defer peer.Close()
		all, _ := io.ReadAll(peer)
		read <- all
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingConn{Conn: conn}
	s := &socket{Conn: counting, stop: func() bool { return true }}
	return s, counting, func() []byte {
		s.Close()
		return <-read
	}
}

// TestWhatIsHeldGoesOutInOneWrite: in its order, and what exceeds the bound before its time.
func TestWhatIsHeldGoesOutInOneWrite(t *testing.T) {
	t.Parallel()
	s, conn, received := heldSocket(t)
	var want []byte
	write := func(p []byte) {
		t.Helper()
		if n, err := s.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		want = append(want, p...)
	}
	write([]byte("at once"))
	s.hold()
	s.hold() // another channel's
	for range 10 {
		write([]byte("held"))
	}
	if conn.writes != 1 {
		t.Errorf("%d writes while it is held, want 1", conn.writes)
	}
	s.release()
	write([]byte("held by the other"))
	s.release()
	if conn.writes != 3 {
		t.Errorf("%d writes after both were released, want 3", conn.writes)
	}
	s.hold()
	write([]byte("before"))
	write(bytes.Repeat([]byte("x"), heldMost))
	if conn.writes != 5 {
		t.Errorf("%d writes after one above the bound, want 5", conn.writes)
	}
	s.release()
	write([]byte("after"))
	if got := received(); !bytes.Equal(got, want) {
		t.Errorf("the peer read %d bytes, want %d in their order", len(got), len(want))
	}
}

// TestAFailedReleaseClosesTheSocket: nothing else would tell of it, since what was held counts as written.
func TestAFailedReleaseClosesTheSocket(t *testing.T) {
	t.Parallel()
	s, conn, received := heldSocket(t)
	s.hold()
	if _, err := s.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	s.release()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the socket is open")
	}
	received()
}
