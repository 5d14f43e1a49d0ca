package webhook

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestEgressParse(t *testing.T) {
	t.Parallel()
	bad := map[string]string{
		"10.0.0.0/33":                   "10.0.0.0/33",
		"private, 10.1.2":               "10.1.2",
		"loopback 300.1.1.1":            "300.1.1.1",
		"0x7f000001":                    "0x7f000001",
		"*.internal":                    "*.internal",
		"http://hooks.internal":         "http://hooks.internal",
		"hooks.internal:8080":           "hooks.internal:8080",
		"fe80::1%eth0":                  "fe80::1%eth0",
		"bücher.example":                "bücher.example",
		"-a.example":                    "-a.example",
		"a..example":                    "a..example",
		strings.Repeat("a", 64) + ".de": strings.Repeat("a", 64),
	}
	for text, element := range bad {
		if _, err := ParseEgress(text); err == nil || !strings.Contains(err.Error(), element) {
			t.Errorf("ParseEgress(%q) = %v, want an error that names %q", text, err, element)
		}
	}
	for _, text := range []string{"", " , ", "private", "PRIVATE,loopback", "10.0.0.0/8 fd00::/8", "::1", "hooks.internal.", "my_service", "a1-b.c"} {
		if _, err := ParseEgress(text); err != nil {
			t.Errorf("ParseEgress(%q): %v", text, err)
		}
	}
}

func TestEgressPublicAddresses(t *testing.T) {
	t.Parallel()
	public := []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
		"192.0.1.1", "223.255.255.255", "2606:4700::1111", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1",
	}
	for _, text := range public {
		if err := (*Egress)(nil).check("host", netip.MustParseAddr(text), false); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	denied := []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.1.1",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "5f00::1",
		"100::1", "2001:2::1", "2001:10::1", "2001:20::1", "4000::1",
		"::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "::1.1.1.1", "::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::1.1.1.1", "64:ff9b:1::10.0.0.1",
		"2002:7f00:1::1", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
	}
	for _, text := range denied {
		addr := netip.MustParseAddr(text)
		var got *egressError
		if err := (*Egress)(nil).check("host", addr, false); !errors.As(err, &got) || got.metadata || !strings.Contains(err.Error(), "RELAY_EGRESS_ALLOW") {
			t.Errorf("%s from a row: %v", text, err)
		}
		if err := (*Egress)(nil).check("host", addr, true); err != nil {
			t.Errorf("%s from the operator: %v", text, err)
		}
	}
}

func TestEgressMetadataIsAlwaysDenied(t *testing.T) {
	t.Parallel()
	open, err := ParseEgress("0.0.0.0/0 ::/0 private loopback 169.254.169.254 metadata.google.internal")
	if err != nil {
		t.Fatal(err)
	}
	forms := []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
		"100.100.100.200", "168.63.129.16", "fe80::a9fe:a9fe", "fe80::a9fe:a9fe%eth0",
		"::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::169.254.169.254",
		"64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:ffa9:fe:a9fe::", "64:ff9b:1:ffff:a9:fea9:fe00:0",
		"2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe:8000:63bf:3fff:fdd2", "2001:0:4136:e378:8000:63bf:5601:5601",
		"2a00::5efe:169.254.169.254",
	}
	for _, text := range forms {
		for _, trusted := range []bool{false, true} {
			var got *egressError
			err := open.check("metadata.google.internal", netip.MustParseAddr(text), trusted)
			if !errors.As(err, &got) || !got.metadata {
				t.Errorf("%s, trusted %v: %v", text, trusted, err)
			}
		}
	}
}

func TestEgressAllow(t *testing.T) {
	t.Parallel()
	rows := []struct {
		allow, host, addr string
		allowed           bool
	}{
		{"private", "h", "10.1.2.3", true},
		{"private", "h", "192.168.1.1", true},
		{"private", "h", "fd12::1", true},
		{"private", "h", "::ffff:10.1.2.3", true},
		{"private", "h", "64:ff9b::10.1.2.3", true},
		{"private", "h", "127.0.0.1", false},
		{"private", "h", "100.64.0.1", false},
		{"private", "h", "169.254.1.1", false},
		{"loopback", "h", "127.0.0.2", true},
		{"loopback", "h", "::1", true},
		{"loopback", "h", "10.1.2.3", false},
		{"10.1.0.0/16", "h", "10.1.2.3", true},
		{"10.1.0.0/16", "h", "10.2.2.3", false},
		{"10.1.2.3/16", "h", "10.1.9.9", true},
		{"::ffff:10.1.0.0/112", "h", "10.1.2.3", true},
		{"10.1.2.3", "h", "10.1.2.3", true},
		{"10.1.2.3", "h", "10.1.2.4", false},
		{"Hooks.Internal.", "hooks.internal", "10.1.2.3", true},
		{"hooks.internal", "HOOKS.internal.", "127.0.0.1", true},
		{"hooks.internal", "a.hooks.internal", "10.1.2.3", false},
		{"hooks.internal", "ooks.internal", "10.1.2.3", false},
		{"fe80::/10", "h", "fe80::1%eth0", true},
	}
	for _, row := range rows {
		e, err := ParseEgress(row.allow)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.check(row.host, netip.MustParseAddr(row.addr), false); (err == nil) != row.allowed {
			t.Errorf("%q, %s at %s: %v", row.allow, row.host, row.addr, err)
		}
	}
}

// Whatever is allowed, no metadata address is ever reached, and what is refused names its
// element.
func FuzzParseEgress(f *testing.F) {
	for _, seed := range []string{"private,loopback", "10.0.0.0/8 ::1", "::ffff:0:0/95", "::/0", "hooks.internal", "0/0", "1.2.3.4%a", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEgress(s)
		if err != nil {
			if e != nil || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("ParseEgress(%q) = %v, %v", s, e, err)
			}
			return
		}
		for _, p := range e.prefixes {
			if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() && p.Bits() >= 96 {
				t.Errorf("ParseEgress(%q) holds the prefix %v", s, p)
			}
		}
		for metadata := range metadataAddrs {
			if e.check("metadata.google.internal", metadata, false) == nil {
				t.Errorf("%q opens %v", s, metadata)
			}
		}
	})
}
