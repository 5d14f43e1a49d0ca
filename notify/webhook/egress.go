package webhook

import (
	"fmt"
	"net/netip"
	"strings"
)

// Egress says where rows may send messages besides public addresses: RELAY_EGRESS_ALLOW.
// Targets set by the operator are trusted and not bound by it. Metadata addresses are
// denied to both. A nil Egress allows public addresses only.
type Egress struct {
	prefixes []netip.Prefix
	hosts    map[string]bool // lower case, without the root's dot
}

// egressWords are the words that stand for several prefixes.
var egressWords = map[string][]netip.Prefix{
	"private":  prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
	"loopback": prefixes("127.0.0.0/8", "::1/128"),
}

// ParseEgress reads the elements of RELAY_EGRESS_ALLOW, separated by commas or white space:
//
//	10.1.0.0/16, fd12::/48   a prefix (CIDR)
//	10.1.2.3                 an address
//	hooks.internal           a host name, as it stands in the URL, whatever it resolves to
//	private                  10/8, 172.16/12, 192.168/16 (RFC 1918) and fc00::/7 (RFC 4193)
//	loopback                 127/8 and ::1
//
// No element opens a metadata address. Shared address space (100.64/10), link-local and
// the other special ranges are opened by their prefix alone. Its error names the bad element.
func ParseEgress(s string) (*Egress, error) {
	e := &Egress{hosts: make(map[string]bool)}
	for _, element := range strings.FieldsFunc(s, isSeparator) {
		if err := e.add(element); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Egress) add(element string) error {
	if word, ok := egressWords[strings.ToLower(element)]; ok {
		e.prefixes = append(e.prefixes, word...)
		return nil
	}
	if p, err := netip.ParsePrefix(element); err == nil {
		e.prefixes = append(e.prefixes, unmapPrefix(p))
		return nil
	}
	if a, err := netip.ParseAddr(element); err == nil && a.Zone() == "" {
		a = a.Unmap()
		e.prefixes = append(e.prefixes, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	host := foldHost(element)
	if !isHostName(host) {
		return fmt.Errorf("%q is neither a CIDR, an IP address, a host name, nor one of the words private and loopback", element)
	}
	e.hosts[host] = true
	return nil
}

// unmapPrefix turns a prefix of IPv4-mapped addresses into the IPv4 prefix it means.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

func foldHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// isHostName accepts the names that a resolver may be asked for (RFC 1123, and the
// underscore of container networks), and no misspelt address: the last label of a name
// is never a number.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// check judges an address that is about to be dialled for a host. It must be called after
// the name has been resolved, with the very address of the dial, or a changed answer of
// DNS would slip through.
func (e *Egress) check(host string, addr netip.Addr, trusted bool) error {
	addr = addr.WithZone("").Unmap()
	if isMetadata(addr) {
		return &egressError{addr: addr, metadata: true}
	}
	if trusted || isPublic(addr) || e.allows(host, addr) {
		return nil
	}
	return &egressError{addr: addr}
}

func (e *Egress) allows(host string, addr netip.Addr) bool {
	if e == nil {
		return false
	}
	if e.hosts[foldHost(host)] {
		return true
	}
	v4, embedded := routedIPv4(addr)
	for _, p := range e.prefixes {
		if p.Contains(addr) || embedded && p.Contains(v4) {
			return true
		}
	}
	return false
}

// egressError says that an address must not be dialled.
type egressError struct {
	addr     netip.Addr
	metadata bool
}

func (e *egressError) Error() string {
	if e.metadata {
		return fmt.Sprintf("%v is a metadata address of a cloud, to which nothing is ever sent", e.addr)
	}
	return fmt.Sprintf("%v is not a public address, and a row's own destination may lead there only if RELAY_EGRESS_ALLOW names the address or the host", e.addr)
}
