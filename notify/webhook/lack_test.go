package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"relay/notify"
	"strings"
	"syscall"
	"testing"

	"relay"
)

// dialed wraps an error as a dial over the network does.
func dialed(address string, err error) error {
	addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
	return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: os.NewSyscallError("connect", err)}
}

func unresolved(text string) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: text, Name: "one", Server: "10.0.0.2:53"}}
}

func TestFailuresAreBlamedOnWhatCausedThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err       error
		connected bool
		rootless  bool
		class     relay.Class
		blame     relay.Blame
		lack      relay.Resource
	}{
		"refused":                   {err: dialed("127.0.0.1:1", syscall.ECONNREFUSED), class: relay.ClassPushFailed, blame: relay.BlameOrigin},
		"no route":                  {err: dialed("192.0.2.1:1", syscall.EHOSTUNREACH), class: relay.ClassPushFailed, blame: relay.BlameOrigin},
		"no such name":              {err: &net.DNSError{Err: "no such host", IsNotFound: true}, class: relay.ClassPushFailed, blame: relay.BlameOrigin},
		"the name's server fails":   {err: unresolved("server misbehaving"), class: relay.ClassPushFailed, blame: relay.BlameOrigin},
		"what cannot be written":    {err: errors.New("net/http: invalid header field value"), class: relay.ClassPushFailed, blame: relay.BlameNone},
		"no name that can be":       {err: errHostName, class: relay.ClassPushFailed, blame: relay.BlameNone},
		"an address of no row's":    {err: &egressError{}, class: relay.ClassPushFailed, blame: relay.BlameNone},
		"a metadata address":        {err: &egressError{metadata: true}, class: relay.ClassDead, blame: relay.BlameNone},
		"closed before the answer":  {err: syscall.ECONNRESET, connected: true, class: relay.ClassPushFailed, blame: relay.BlameTarget},
		"a strange certificate":     {err: x509.UnknownAuthorityError{}, class: relay.ClassPushFailed, blame: relay.BlameOrigin},
		"no authorities":            {err: x509.UnknownAuthorityError{}, rootless: true, class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceCertificates},
		"no roots":                  {err: x509.SystemRootsError{Err: errors.New("x")}, class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceCertificates},
		"no descriptor":             {err: dialed("127.0.0.1:1", syscall.EMFILE), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceDescriptors},
		"none on the machine":       {err: dialed("127.0.0.1:1", syscall.ENFILE), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceDescriptors},
		"none for the second try":   {err: dialed("127.0.0.1:1", syscall.EMFILE), connected: true, class: relay.ClassUnknown, blame: relay.BlameNone, lack: relay.ResourceDescriptors},
		"none for the look-up":      {err: unresolved("dial udp 10.0.0.2:53: socket: too many open files"), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceDescriptors},
		"no memory":                 {err: dialed("127.0.0.1:1", syscall.ENOMEM), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceMemory},
		"no buffers":                {err: dialed("127.0.0.1:1", syscall.ENOBUFS), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceMemory},
		"no port":                   {err: dialed("127.0.0.1:1", syscall.EADDRNOTAVAIL), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourcePorts},
		"an address that cannot be": {err: dialed("[fe80::1]:1", syscall.EADDRNOTAVAIL), class: relay.ClassPushFailed, blame: relay.BlameOrigin},
		"no name server":            {err: unresolved("read udp 10.0.0.1:4711->10.0.0.2:53: read: connection refused"), class: relay.ClassParked, blame: relay.BlameNone, lack: relay.ResourceResolver},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(name, "that cannot be") && hasLinkLocal() {
				c.class, c.blame, c.lack = relay.ClassParked, relay.BlameNone, relay.ResourcePorts
			}
			p := &progress{}
			p.asked.Store(name != "what cannot be written")
			p.connected.Store(c.connected)
			target, err := relay.ParseTarget("http://one/")
			if err != nil {
				t.Fatal(err)
			}
			err = &url.Error{Op: "Post", URL: "http://one/", Err: c.err}
			o := failure{target: target, parent: t.Context(), attempt: context.Background(), progress: p, err: err, lack: notify.LackOf(err, c.rootless)}.outcome()
			if o.Class != c.class || o.Blame != c.blame || o.Lack != c.lack {
				t.Errorf("class %d, blame %d, lack %q: %s", o.Class, o.Blame, o.Lack, o.Error)
			}
			if (o.Class == relay.ClassParked) != (o.Reason == relay.ReasonNoResources) || o.Error == "" {
				t.Errorf("reason %q, error %q", o.Reason, o.Error)
			}
		})
	}
}

// hasLinkLocal reports whether this machine has a link-local address of IPv6.
func hasLinkLocal() bool {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if strings.HasPrefix(a.String(), "fe80:") {
			return true
		}
	}
	return err != nil
}

func TestNamesThatNoHostCanHaveAreNotLookedUp(t *testing.T) {
	t.Parallel()
	for host, can := range map[string]bool{
		"example.com": true, "example.com.": true, "my_service": true, "xn--bcher-kva.example": true, "127.0.0.1": true, "fe80::1%eth0": true, "::1": true,
		"a..b": false, "-a.example": false, "a b": false, "2130706433": false, "0x7f000001": false, strings.Repeat("a", 64) + ".example": false,
		strings.Repeat("a.", 127) + "example": false, "a*b": false,
	} {
		if canBeHost(host) != can {
			t.Errorf("canBeHost(%q) is %v", host, !can)
		}
	}
}

// What rows name took the connections that were kept open to operators' destinations.
func TestRowsTakeNoConnectionsFromOperators(t *testing.T) {
	t.Parallel()
	c := newConnections(Config{})
	own := poolKey{origin: "http://one:80", trusted: true}
	client := c.client(own)
	for n := range 2 * maxPools {
		c.client(poolKey{origin: fmt.Sprintf("http://h%d:80", n)})
	}
	if c.client(own) != client || len(c.pools) != 1+maxPools {
		t.Errorf("%d pools, and the operator's was let go of", len(c.pools))
	}
}
