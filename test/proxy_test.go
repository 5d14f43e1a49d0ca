package test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxyMode is what a proxy does with connections.
type proxyMode int

const (
	proxyPass   proxyMode = iota
	proxyRefuse           // new connections are reset
	proxyStall            // nothing passes, and neither side is told: half open
	proxySlow             // each piece of an answer comes 300 ms late
	proxyReset            // what asks passes, and its answer is a reset
)

// proxy stands between the relay and one server and does to their connections what a bad
// network does.
type proxy struct {
	addr, to string
	tapped   atomic.Bool // what clients send is kept in sent
	sent     logBuffer

	mu      sync.Mutex
	mode    proxyMode
	changed chan struct{} // closed when the mode changes
	lost    chan struct{} // closed when the connections there are get lost
	pairs   map[*net.TCPConn]*net.TCPConn
}

// newProxy listens on an address of its own and connects to another.
func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: listener.Addr().String(), to: to, changed: make(chan struct{}), lost: make(chan struct{}), pairs: make(map[*net.TCPConn]*net.TCPConn)}
	t.Cleanup(func() { listener.Close(); p.set(proxyPass); p.cut() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn.(*net.TCPConn))
		}
	}()
	return p
}

// through returns a URL with the proxy's address in place of the server's.
func (p *proxy) through(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.addr
	return u.String()
}

func (p *proxy) set(mode proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) state() (proxyMode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.changed
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.pairs {
		reset(client)
		reset(server)
	}
	clear(p.pairs)
}

// lose lets the connections there are be half open for ever: what comes over them is swallowed,
// and neither side is told. New ones are passed on.
func (p *proxy) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.lost)
	p.lost = make(chan struct{})
}

// reset closes a connection without a farewell.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	conn.Close()
}

func (p *proxy) serve(client *net.TCPConn) {
	if mode, _ := p.state(); mode == proxyRefuse {
		reset(client)
		return
	}
	conn, err := net.DialTimeout("tcp", p.to, 5*time.Second)
	if err != nil {
		reset(client)
		return
	}
	server := conn.(*net.TCPConn)
	p.mu.Lock()
	p.pairs[client] = server
	lost := p.lost
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.carry(server, client, lost, false) })
	both.Go(func() { p.carry(client, server, lost, true) })
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, client)
	p.mu.Unlock()
}

// carry copies one direction until either end is closed, and closes both.
func (p *proxy) carry(to, from *net.TCPConn, lost <-chan struct{}, answer bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-lost:
			io.Copy(io.Discard, from)
			return
		default:
		}
		if n > 0 && !p.pass(answer) {
			reset(to)
			return
		}
		if !answer && p.tapped.Load() {
			p.sent.Write(buffer[:n])
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

// pass waits until a piece may go on; false: it is to be answered by a reset.
func (p *proxy) pass(answer bool) bool {
	for {
		mode, changed := p.state()
		switch {
		case mode == proxyStall:
			<-changed
			continue
		case mode == proxySlow && answer:
			<-time.After(300 * time.Millisecond)
		case mode == proxyReset && answer:
			return false
		}
		return true
	}
}
