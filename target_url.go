package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL is the largest length of an HTTP target in bytes: what RFC 9110, section 4.1,
// advises everyone to support at least.
const MaxURL = 8000

// parseURL reads an HTTP target and brings it into the one form in which it is compared and
// sent, so that no receiver, proxy or pattern can read it in another way:
//
//   - scheme and host in lower case, an address as RFC 5952 writes it, no default port
//   - no dot segments, as browsers and curl remove them too: /a/../b and /a/%2e%2e/b are /b
//   - what a path may not hold, and what is not ASCII in a query, percent-encoded
//
// Its error never quotes the URL, since any part of it may be a password.
func parseURL(s string) (*url.URL, error) {
	switch {
	case len(s) > MaxURL:
		return nil, fmt.Errorf("URL of %d bytes, at most %d are allowed", len(s), MaxURL)
	case strings.Contains(s, " "), strings.ContainsFunc(s, isUnprintable):
		return nil, errors.New("malformed URL: it holds a space, a control character, or another one that cannot be printed")
	case strings.Contains(s, `\`):
		return nil, errors.New("malformed URL: it holds a backslash, which some receivers read as a slash; write %5C if it is meant")
	case strings.Contains(s, "#"):
		return nil, errors.New("malformed URL: a fragment is never sent; write %23 if a number sign is meant")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, urlError(err)
	}
	if u.Host, err = canonicalHost(u); err != nil {
		return nil, fmt.Errorf("malformed URL: %w", err)
	}
	if u.User != nil && u.User.String() == "" {
		u.User = nil
	}
	text, _, _ := strings.Cut(s[len(u.Scheme)+len("://"):], "?")
	if slash := strings.IndexByte(text, '/'); slash >= 0 {
		u.RawPath = removeDotSegments(encode(text[slash:], isPathByte))
		// What encode has written, and what url.Parse has judged, decodes without an error.
		u.Path, _ = url.PathUnescape(u.RawPath)
	}
	u.RawQuery = encode(u.RawQuery, func(c byte) bool { return c < 0x80 })
	return u, nil
}

// urlError says what is wrong with a URL. The text of url.Error repeats the whole URL, and
// what it wraps quotes the part in question.
func urlError(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	text, _, _ := strings.Cut(err.Error(), `"`)
	return fmt.Errorf("malformed URL: %s", strings.TrimRight(text, " :("))
}

// canonicalHost returns the host of a URL, and its port unless that is the scheme's.
func canonicalHost(u *url.URL) (string, error) {
	host, err := canonicalName(u.Hostname(), strings.HasPrefix(u.Host, "["))
	if err != nil {
		return "", err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	text := u.Port()
	if text == "" {
		return host, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return "", errors.New("bad port, not a number from 1 to 65535")
	}
	if text = strconv.FormatUint(port, 10); text == defaultPort(u.Scheme) {
		return host, nil
	}
	return host + ":" + text, nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// canonicalName judges a host name or address, and returns it in lower case.
func canonicalName(host string, bracketed bool) (string, error) {
	switch {
	case host == "":
		return "", errors.New("no host")
	case len(host) > MaxShortString:
		return "", fmt.Errorf("a host name of %d bytes, at most %d are allowed", len(host), MaxShortString)
	case bracketed:
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || strings.ContainsFunc(addr.Zone(), isNoNameByte) {
			return "", errors.New("what stands in brackets is no IPv6 address")
		}
		return addr.String(), nil
	case strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }):
		return "", errors.New("a host name that is not ASCII; write its ASCII form (xn--…)")
	case strings.ContainsFunc(host, isNoNameByte):
		return "", errors.New("invalid character in the host name")
	case strings.Contains("."+host, ".."):
		return "", errors.New("a host name with an empty label")
	}
	return strings.ToLower(host), nil
}

// isNoNameByte accepts for a host what host names hold (RFC 1123, and the underscore of container networks).
func isNoNameByte(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}

// isPathByte reports whether a byte may stand in a path as it is (RFC 3986, section 3.3), a
// percent sign included, with which an encoded one begins.
func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/%-._~!$&'()*+,;=:@", c) >= 0
}

// encode percent-encodes the bytes that may not stay.
func encode(s string, stays func(c byte) bool) string {
	var b strings.Builder
	for i := range len(s) {
		if stays(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// removeDotSegments resolves . and .. in a path that begins with a slash (RFC 3986, section
// 5.2.4), encoded ones too, as the URL standard of WHATWG has it.
func removeDotSegments(path string) string {
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		case ".":
		default:
			kept = append(kept, segment)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// WebOrigin returns the origin of an HTTP target as RFC 6454 writes it: scheme, host and, unless
// it is the scheme's own, port, all in lower case, without the dot of the root. Empty means that
// the target is no HTTP target.
func (t Target) WebOrigin() string {
	if t.URL == nil {
		return ""
	}
	origin := url.URL{Scheme: t.URL.Scheme, Host: t.URL.Host}
	if host := t.URL.Hostname(); strings.HasSuffix(host, ".") {
		origin.Host = strings.TrimSuffix(host, ".")
		if port := t.URL.Port(); port != "" {
			origin.Host += ":" + port
		}
	}
	return origin.String()
}
