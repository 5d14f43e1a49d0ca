package harness

import (
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// Blindfold stands between a relay and a PostgreSQL server. While it is on, the inserts that replication
// connections carry are lost on the way, and everything else passes: a stream that is blind for a reason that no
// catalogue shows.
type Blindfold struct {
	Addr string // host:port to connect to
	On   atomic.Bool

	to string
}

// NewBlindfold listens on an address of its own and connects to another, without TLS.
func NewBlindfold(t testing.TB, to string) *Blindfold {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	b := &Blindfold{Addr: listener.Addr().String(), to: to}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	return b
}

func (b *Blindfold) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", b.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	for b.pass(client, server) == nil {
	}
}

// pass passes one message of the server on: its type, its length with these four bytes, its body.
func (b *Blindfold) pass(client io.Writer, server io.Reader) error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		return err
	}
	message := append(head, make([]byte, binary.BigEndian.Uint32(head[1:])-4)...)
	if _, err := io.ReadFull(server, message[5:]); err != nil {
		return err
	}
	if b.On.Load() && isInsert(message) {
		return nil
	}
	_, err := client.Write(message)
	return err
}

// isInsert reports whether a message is CopyData that holds XLogData (24 bytes of header) of an Insert.
func isInsert(message []byte) bool {
	return len(message) > 30 && message[0] == 'd' && message[5] == 'w' && message[30] == 'I'
}
