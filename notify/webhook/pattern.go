package webhook

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"relay"
	"relay/notify"
)

// urlPattern is a pattern for URLs.
type urlPattern struct {
	text    string // as it was written, without the path
	scheme  string
	host    string // as a URL of that host has it, without the root's dot
	anyHost bool
	below   bool   // the hosts below host, and not host itself
	port    string // empty: the scheme's own
	anyPort bool
	path    []string // decoded segments; none: every path
}

// parsePattern reads an element of RELAY_ROW_DESTINATIONS that is about URLs.
func parsePattern(element string) (notify.RowPattern, error) {
	scheme, rest, _ := strings.Cut(element, "://")
	authority, path, hasPath := strings.Cut(rest, "/")
	p := urlPattern{text: scheme + "://" + authority}
	authority, p.anyPort = strings.CutSuffix(authority, ":*")
	authority, p.below = strings.CutPrefix(authority, "*.")
	if port, found := strings.CutPrefix(authority, "*"); found && !p.below && (port == "" || port[0] == ':') {
		p.anyHost, authority = true, "any"+port
	}
	if hasPath {
		path = "/" + path
	}
	target, err := relay.ParseTarget(scheme + "://" + authority + path)
	switch {
	case err != nil:
		return nil, err
	case target.URL.User != nil, target.URL.RawQuery != "", target.URL.ForceQuery:
		return nil, errors.New("a pattern has neither user nor query")
	}
	p.scheme, p.host, p.port = target.URL.Scheme, hostOf(target), target.URL.Port()
	if path := target.URL.EscapedPath(); path != "" && path != "/" {
		p.text += "/…"
		p.path = segmentsOf(path)
	}
	return &p, nil
}

// String is the pattern without its path.
func (p *urlPattern) String() string { return p.text }

func hostOf(target relay.Target) string { return foldHost(target.URL.Hostname()) }

// Matches compares scheme, host, port and path.
func (p *urlPattern) Matches(target relay.Target, _ *relay.Message) bool {
	return target.URL != nil && target.URL.Scheme == p.scheme &&
		(p.anyPort || target.URL.Port() == p.port) &&
		p.matchesHost(hostOf(target)) && p.matchesPath(target.URL.EscapedPath())
}

func (p *urlPattern) matchesHost(host string) bool {
	switch {
	case p.anyHost:
		return true
	case p.below:
		return strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

// matchesPath compares segment by segment. The path is the one that is sent: relay.ParseTarget has
// removed its dot segments.
func (p *urlPattern) matchesPath(path string) bool {
	if len(p.path) == 0 {
		return true
	}
	segments := segmentsOf(path)
	last := len(p.path) - 1
	if len(segments) <= last || isDisguised(path) {
		return false
	}
	for i, segment := range p.path {
		if segments[i] != segment && (i < last || segment != "") {
			return false
		}
	}
	return true
}

// segmentsOf returns the decoded segments of a path that relay.ParseTarget has accepted.
func segmentsOf(path string) []string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		if decoded, err := url.PathUnescape(segment); err == nil {
			segments[i] = decoded
		}
	}
	return segments
}

var escapedByte = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// maxDecodings is how often a path is decoded to see what it hides.
const maxDecodings = 4

// isDisguised reports whether a path holds dot segments for a receiver that decodes it more
// than once, decodes before it looks for slashes, takes a backslash for one, or cuts
// parameters off (/..;x/). One that is encoded again and again counts as such.
func isDisguised(path string) bool {
	for range maxDecodings {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				return true
			}
		}
		decoded := escapedByte.ReplaceAllStringFunc(path, func(escaped string) string {
			text, _ := url.PathUnescape(escaped) // it is a percent sign and two digits
			return text
		})
		if decoded == path {
			return false
		}
		path = decoded
	}
	return true
}
