package relay

import (
	"net/netip"
	"strings"
)

// UnreadableTarget stands for a target that cannot be parsed wherever targets are shown: any
// part of it may be a password.
const UnreadableTarget = "(a target that cannot be read)"

const (
	// longSegment is the length in bytes from which a segment of a path counts as secret: hook
	// URLs carry their key there.
	longSegment = 16
	// shownOfSegment is how much of it is shown, so that two of them can be told apart.
	shownOfSegment = 4
)

// ShownTarget returns the text of a target, or of the instance of a delivery, as people may
// see it in logs, errors and commands: see Target.Redacted. One that cannot be parsed is
// UnreadableTarget. The same rule in SQL is relay.shown_target.
func ShownTarget(text string) string {
	if _, err := netip.ParseAddrPort(text); err == nil || text == PlainInstance {
		return text // an instance of a broadcast
	}
	target, err := ParseTarget(text)
	if err != nil {
		return UnreadableTarget
	}
	return target.Redacted()
}

// shownURL is Target.Redacted for a URL.
func shownURL(t Target) string {
	scheme, rest, _ := strings.Cut(t.Raw, "://")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	shown := scheme + "://" + authority + shownPath(path)
	if query != "" {
		shown += "?…"
	}
	return shown
}

// shownPath shortens the segments of a path that are long, and hides those that are not ASCII.
func shownPath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch {
		case strings.ContainsFunc(segment, func(r rune) bool { return r >= 0x7f }):
			segments[i] = "…"
		case len(segment) >= longSegment:
			segments[i] = withoutHalfEscape(segment[:shownOfSegment]) + "…"
		}
	}
	return strings.Join(segments, "/")
}

// withoutHalfEscape cuts off the beginning of a percent-encoded byte at the end.
func withoutHalfEscape(s string) string {
	if at := strings.LastIndexByte(s, '%'); at > len(s)-3 && at >= 0 {
		return s[:at]
	}
	return s
}
