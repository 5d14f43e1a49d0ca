package notify

import (
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"relay"
)

// LackError is an error that is known to be a lack of the relay's own.
type LackError struct{ Lack relay.Resource }

// Error says what is missing and what mends it.
func (e LackError) Error() string { return lackRemedies[e.Lack] }

// lackingError is an error by which the operating system says that the relay's own machine has
// too little of something. lackingErrors lists them, for each system in a file of its own.
type lackingError struct {
	err  syscall.Errno
	lack relay.Resource
}

// LackOf returns what the relay's own machine has too little of, so that an attempt failed.
// ResourceNone means nothing: the failure is then the destination's. rootless says that there are
// no certificates of authorities by which to judge an endpoint's.
func LackOf(err error, rootless bool) relay.Resource {
	var known LackError
	var dns *net.DNSError
	var stranger x509.UnknownAuthorityError
	var roots x509.SystemRootsError
	if err == nil {
		return relay.ResourceNone
	}
	for _, l := range lackingErrors {
		if errors.Is(err, l.err) {
			return l.lack
		}
	}
	switch {
	case errors.As(err, &known):
		return known.Lack
	case errors.As(err, &dns):
		return lackOfResolver(dns)
	case errors.Is(err, noAddress) && portsExhausted(err):
		return relay.ResourcePorts
	case errors.As(err, &roots), rootless && errors.As(err, &stranger):
		return relay.ResourceCertificates
	}
	return relay.ResourceNone
}

// lackOfResolver is LackOf for a name that was not resolved. The resolvers keep the texts of
// errors alone, and the C library's says that a name does not exist where it could not open
// a file.
func lackOfResolver(dns *net.DNSError) relay.Resource {
	for _, l := range lackingErrors {
		if strings.Contains(dns.Err, l.err.Error()) {
			return l.lack
		}
	}
	if !descriptorsLeft() {
		return relay.ResourceDescriptors
	}
	if !dns.IsNotFound && slices.ContainsFunc(unreachable, func(e syscall.Errno) bool { return strings.Contains(dns.Err, e.Error()) }) {
		return relay.ResourceResolver
	}
	return relay.ResourceNone
}

// descriptorsLeft reports whether two file descriptors can be had, which every look-up needs.
func descriptorsLeft() bool {
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	r.Close()
	w.Close()
	return true
}

// portsExhausted reports whether a local address could not be assigned because all ports are
// in use. A machine without IPv6 gives the same error for every address of that kind, which
// speaks against the address.
func portsExhausted(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return false
	}
	remote, parsed := netip.ParseAddrPort(op.Addr.String())
	if parsed != nil {
		return false
	}
	to := remote.Addr().Unmap()
	locals, listed := net.InterfaceAddrs()
	return listed == nil && slices.ContainsFunc(locals, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		from := prefix.Addr().Unmap()
		return err == nil && from.Is4() == to.Is4() && (to.IsLoopback() || !from.IsLoopback() && from.IsLinkLocalUnicast() == to.IsLinkLocalUnicast())
	})
}

// Lacking is the outcome of an attempt that was not made because the relay itself lacked
// something. Where an earlier try within it may have arrived, the outcome is unknown.
func Lacking(lack relay.Resource, sent bool, text string) relay.Outcome {
	out := relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonNoResources, Lack: lack, Blame: relay.BlameNone, Error: text}
	if sent {
		out.Class, out.Reason = relay.ClassUnknown, relay.ReasonNone
	}
	return out
}

// lackRemedies say what is missing and what mends it.
var lackRemedies = map[relay.Resource]string{
	relay.ResourceDescriptors:  "the relay has no free file descriptor; raise its limit (ulimit -n, LimitNOFILE) or the machine's (fs.file-max)",
	relay.ResourceMemory:       "the relay's machine has no memory left for a connection; give it more, or run less beside it",
	relay.ResourcePorts:        "the relay's machine has no free local port; widen net.ipv4.ip_local_port_range",
	relay.ResourceResolver:     "the relay's machine cannot reach its name server; mend /etc/resolv.conf",
	relay.ResourceCertificates: "the relay's machine has no certificates of authorities by which to judge an endpoint; install them (package ca-certificates) and start the relay again",
}

// ExplainLack says in words what is missing, what mends it, and that the attempt does not count.
func ExplainLack(lack relay.Resource) string {
	return lackRemedies[lack] + ". This attempt does not count"
}
