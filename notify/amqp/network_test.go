package amqp_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// brokerProxy stands between a destination and its broker. It can cut what runs
// through it, or let it freeze.
type brokerProxy struct {
	url    string
	target string

	mu     sync.Mutex
	left   int           // bytes towards the broker until the cut; below zero: no cut
	frozen chan struct{} // closed: bytes flow
	conns  []net.Conn
}

func newBrokerProxy(t *testing.T, url string) *brokerProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return serveBrokerProxy(t, url, l)
}

func serveBrokerProxy(t *testing.T, url string, l net.Listener) *brokerProxy {
	t.Helper()
	parsed, err := neturl.Parse(url)
	must(t, err)
	p := &brokerProxy{target: parsed.Host, left: -1, frozen: make(chan struct{})}
	close(p.frozen)
	parsed.Host = l.Addr().String()
	p.url = parsed.String()
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); p.cut(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(conn) })
		}
	})
	return p
}

func (p *brokerProxy) serve(client net.Conn) {
	defer client.Close()
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer broker.Close()
	p.mu.Lock()
	p.conns = append(p.conns, client, broker)
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(client, broker); client.Close() })
	buf := make([]byte, 1000)
	for {
		n, err := client.Read(buf)
		if err != nil || !p.pass(broker, buf[:n]) {
			break
		}
	}
	broker.Close()
	wg.Wait()
}

// pass writes to the broker, up to the byte where the cut is due.
func (p *brokerProxy) pass(broker net.Conn, b []byte) bool {
	p.mu.Lock()
	frozen := p.frozen
	cut := p.left >= 0 && p.left < len(b)
	if cut {
		b, p.left = b[:p.left], -1
	} else if p.left >= 0 {
		p.left -= len(b)
	}
	p.mu.Unlock()
	<-frozen
	_, err := broker.Write(b)
	return err == nil && !cut
}

func (p *brokerProxy) cutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

func (p *brokerProxy) freeze() (thaw func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frozen := make(chan struct{})
	p.frozen = frozen
	return func() { close(frozen) }
}

func (p *brokerProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

func TestAMQPConnectionCutInMidFrame(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	proxy := newBrokerProxy(t, url)
	a := startAMQP(t, amqp.Config{URL: proxy.url})
	s := subscriberOf(t, "amqp:/orders")
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
	body := bytes.Repeat([]byte("x"), 10_000)
	for _, after := range []int{3, 500, 5_000, 50_000, 250_000} {
		proxy.cutAfter(after)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				switch out := a.Deliver(t.Context(), conformance.NewDelivery(s, body)); out.Class {
				case relay.ClassDelivered, relay.ClassUnknown, relay.ClassPushFailed:
				default:
					t.Errorf("cut after %d bytes: class %d: %s", after, out.Class, out.Error)
				}
			})
		}
		wg.Wait()
		eventuallyUp(t, a)
		before := depth(t, ch, "orders")
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, body)), relay.ClassDelivered, "")
		if n := depth(t, ch, "orders"); n != before+1 {
			t.Errorf("%d messages more after a delivery", n-before)
		}
	}
}

// A broker that neither reads nor answers must hold no caller beyond its time limit.
func TestAMQPFrozenConnection(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	proxy := newBrokerProxy(t, url)
	a := startAMQP(t, amqp.Config{URL: proxy.url})
	s := subscriberOf(t, "amqp:/orders")
	s.Timeout = 2 * time.Second
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
	thaw := proxy.freeze()
	body := bytes.Repeat([]byte("x"), 1<<20)
	began := time.Now()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			switch out := a.Deliver(t.Context(), conformance.NewDelivery(s, body)); out.Class {
			case relay.ClassUnknown, relay.ClassPushFailed:
			default:
				t.Errorf("class %d: %s", out.Class, out.Error)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > s.Timeout+time.Second {
		t.Errorf("the last attempt returned after %v, its time was %v", took, s.Timeout)
	}
	thaw()
	harness.Eventually(t, 30*time.Second, "delivery after the thaw", func() bool {
		return a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))).Class == relay.ClassDelivered
	})
}

func TestAMQPOverTLS(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	issuer := httptest.NewUnstartedServer(nil) // for its certificate
	issuer.StartTLS()
	defer issuer.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: issuer.TLS.Certificates})
	must(t, err)
	proxy := serveBrokerProxy(t, strings.Replace(url, "amqp://", "amqps://", 1), l)
	s := subscriberOf(t, "amqp:/orders")

	// The system does not know the authority that signed the certificate.
	stranger := runAMQP(t, amqp.Config{URL: proxy.url})
	wantClass(t, stranger.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassPushFailed, "no connection")
	harness.Eventually(t, 10*time.Second, "the certificate is refused", func() bool {
		_, text := stranger.State()
		return strings.Contains(text, "certificate")
	})

	roots := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}), 0o600))
	a := startAMQP(t, amqp.Config{URL: proxy.url + "?cacertfile=" + roots})
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, bytes.Repeat([]byte("x"), 1<<20))), relay.ClassDelivered, "")
}
