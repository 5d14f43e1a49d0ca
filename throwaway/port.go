package throwaway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
)

// Ports are taken from below the ranges that systems give to outgoing connections, so that
// a server which is stopped for a while finds its port free when it starts again.
const (
	firstPort = 18000
	lastPort  = 32000
)

// port is a TCP port of 127.0.0.1 that no other process using this package will take.
type port struct {
	number int
	claim  net.Listener // nil where the system has no abstract Unix sockets
}

// takePort finds a free port and claims it until release or the end of this process.
func takePort() (*port, error) {
	for range 200 {
		n := firstPort + rand.IntN(lastPort-firstPort)
		claim, err := claimPort(n)
		if err != nil {
			continue
		}
		p := &port{number: n, claim: claim}
		if isFree(n) {
			return p, nil
		}
		p.release()
	}
	return nil, fmt.Errorf("no free port found between %d and %d", firstPort, lastPort)
}

// FreeAddress returns an address of 127.0.0.1 on which no process listens. It stays free for a
// server of the caller's: until release is called, no outgoing connection gets its port, and no
// other call returns it.
func FreeAddress() (address string, release func(), err error) {
	p, err := takePort()
	if err != nil {
		return "", nil, err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)), p.release, nil
}

// claimPort binds an abstract Unix socket named after the port. It stands in the same
// network namespace as the port and vanishes with the process, which no lock file does.
func claimPort(n int) (net.Listener, error) {
	if runtime.GOOS != "linux" {
		return nil, nil
	}
	l, err := net.Listen("unix", "@relay-throwaway-port-"+strconv.Itoa(n))
	if err != nil {
		return nil, fmt.Errorf("claim port %d: %w", n, err)
	}
	return l, nil
}

func isFree(n int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (p *port) release() {
	if p.claim != nil {
		p.claim.Close()
	}
}

// takePorts takes n ports, or none.
func takePorts(n int) ([]*port, error) {
	var ports []*port
	for range n {
		p, err := takePort()
		if err != nil {
			releaseAll(ports)
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

func releaseAll(ports []*port) {
	for _, p := range ports {
		p.release()
	}
}
