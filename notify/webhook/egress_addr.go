package webhook

import "net/netip"

// metadataAddrs are addresses that hand out credentials to every program on a machine of a cloud.
var metadataAddrs = addrs(
	"169.254.169.254", // AWS, Azure, Google (metadata.google.internal), OpenStack and most others
	"169.254.170.2",   // AWS ECS task credentials
	"169.254.170.23",  // AWS EKS pod identity
	"fd00:ec2::254",   // AWS
	"fd00:ec2::23",    // AWS EKS pod identity
	"fd20:ce::254",    // Google
	"100.100.100.200", // Alibaba
	"168.63.129.16",   // Azure's wire server, a public address in form only
	"169.254.42.42",   // Scaleway
	"fd00:42::42",     // Scaleway
	"169.254.0.23",    // Tencent
	"192.0.0.192",     // Oracle
	"fe80::a9fe:a9fe", // OpenStack
)

// notPublic holds what the IANA registries of special-purpose addresses (RFC 6890 and its
// updates) do not call globally reachable. For IPv6 it lists only what lies within
// 2000::/3, the one range that IANA gives out; all else is not public anyway.
var notPublic = prefixes(
	"0.0.0.0/8",       // this network, unspecified
	"10.0.0.0/8",      // private (RFC 1918)
	"100.64.0.0/10",   // shared address space (CGNAT, RFC 6598)
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays (RFC 7526)
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
	"2001::/23",       // protocol assignments: Teredo, benchmarks, ORCHID
	"2001:db8::/32",   // documentation
	"3fff::/20",       // documentation (RFC 9637)
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local    = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour     = netip.MustParsePrefix("2002::/16")
	teredo        = netip.MustParsePrefix("2001::/32")
)

func addrs(texts ...string) map[netip.Addr]bool {
	set := make(map[netip.Addr]bool, len(texts))
	for _, text := range texts {
		set[netip.MustParseAddr(text)] = true
	}
	return set
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// isPublic reports whether addr, not an IPv4-mapped one, is globally reachable. An address
// that a translator turns into IPv4 (NAT64, 6to4) is as public as that one.
func isPublic(addr netip.Addr) bool {
	if v4, ok := routedIPv4(addr); ok {
		return isPublic(v4)
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}

// routedIPv4 returns the IPv4 address to which a packet for addr goes in the end, where
// the form of addr settles that: NAT64's well-known prefix (RFC 6052) and 6to4 (RFC 3056).
func routedIPv4(addr netip.Addr) (netip.Addr, bool) {
	switch b := addr.As16(); {
	case nat64.Contains(addr):
		return ipv4(b[12:16]), true
	case sixToFour.Contains(addr):
		return ipv4(b[2:6]), true
	}
	return netip.Addr{}, false
}

// isMetadata reports whether addr is a metadata address or holds one in any known way of
// putting IPv4 into IPv6, also those that are not public whatever they hold.
func isMetadata(addr netip.Addr) bool {
	if metadataAddrs[addr] {
		return true
	}
	if addr.Is4() {
		return false
	}
	for _, v4 := range embeddedIPv4(addr) {
		if metadataAddrs[v4] {
			return true
		}
	}
	return false
}

// embeddedIPv4 returns the IPv4 addresses that an IPv6 address may hold.
func embeddedIPv4(addr netip.Addr) []netip.Addr {
	b := addr.As16()
	// The last four bytes: IPv4-compatible (RFC 4291), IPv4-translated (RFC 7915), ISATAP
	// (RFC 5214), NAT64 with any prefix of 96 bits (RFC 6052).
	found := []netip.Addr{ipv4(b[12:16])}
	switch {
	case sixToFour.Contains(addr):
		found = append(found, ipv4(b[2:6]))
	case teredo.Contains(addr): // its server, and its client with every bit turned (RFC 4380)
		found = append(found, ipv4(b[4:8]), ipv4([]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	case nat64Local.Contains(addr): // prefixes of 48, 56 and 64 bits skip byte 8 (RFC 6052)
		found = append(found, ipv4([]byte{b[6], b[7], b[9], b[10]}),
			ipv4([]byte{b[7], b[9], b[10], b[11]}), ipv4(b[9:13]))
	}
	return found
}

func ipv4(b []byte) netip.Addr {
	return netip.AddrFrom4([4]byte(b))
}
