package examples

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

// broker stands between a consumer and RabbitMQ. It counts what the consumer says of its
// messages, and can withhold the acks: what the broker never hears of when a consumer
// crashes after its work.
type broker struct {
	url string // for the consumer

	acked, requeued, dropped, withheld atomic.Int64
	withhold                           atomic.Bool
}

// openBroker listens on a port of its own until the end of the test.
func openBroker(t *testing.T, amqpURL string) *broker {
	t.Helper()
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	u.Host = l.Addr().String()
	b := &broker{url: u.String()}
	go func() {
		for {
			consumer, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			go b.serve(consumer, target)
		}
	}()
	return b
}

// serve connects a consumer with RabbitMQ until either goes.
func (b *broker) serve(consumer net.Conn, target string) {
	defer consumer.Close()
	rabbit, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer rabbit.Close()
	go func() {
		defer consumer.Close()
		_, _ = io.Copy(consumer, rabbit) // an error says that one of them has gone
	}()
	if _, err := io.CopyN(rabbit, consumer, int64(len("AMQP\x00\x00\x09\x01"))); err != nil {
		return
	}
	for b.forward(rabbit, consumer) == nil {
	}
}

// forward passes one frame on, unless it is withheld. A frame has its type, channel and
// size in 7 bytes, then its payload and one byte that ends it (AMQP 0-9-1, 4.2.3).
func (b *broker) forward(to io.Writer, from io.Reader) error {
	var header [7]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return err
	}
	rest := make([]byte, binary.BigEndian.Uint32(header[3:])+1)
	if _, err := io.ReadFull(from, rest); err != nil {
		return err
	}
	const method = 1
	if header[0] == method && b.note(rest) {
		return nil
	}
	_, err := to.Write(append(header[:], rest...))
	return err
}

// note counts a method of class basic and reports whether it is withheld. A method has its
// class and its number, then here the delivery's tag, and but for an ack's the requeue bit.
func (b *broker) note(method []byte) (withheld bool) {
	const basic, ack, reject, nack = 60, 80, 90, 120
	if binary.BigEndian.Uint16(method) != basic {
		return false
	}
	switch number := binary.BigEndian.Uint16(method[2:]); {
	case number == ack && b.withhold.Load():
		b.withheld.Add(1)
		return true
	case number == ack:
		b.acked.Add(1)
	case number == reject && method[12]&1 != 0, number == nack && method[12]&2 != 0:
		b.requeued.Add(1)
	case number == reject, number == nack:
		b.dropped.Add(1)
	}
	return false
}
