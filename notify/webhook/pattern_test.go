package webhook

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"relay"
	"relay/notify"
)

// What a pattern lets through leads to its host and below its path, however often a receiver
// decodes the path before it resolves it.
func FuzzPattern(f *testing.F) {
	var patterns []notify.RowPattern
	for _, element := range []string{"https://api.example/hooks", "https://*.api.example/hooks"} {
		pattern, err := parsePattern(element)
		if err != nil {
			f.Fatal(err)
		}
		patterns = append(patterns, pattern)
	}
	for _, seed := range []string{
		"https://api.example/hooks/a", "https://api.example/hooks/../b", "https://api.example/hooks/%252e%252e/b", "https://user@api.example./hooks%2f",
		"https://a.api.example:443/hooks/..;/x?y", "https://api.example@evil/hooks", "https://api.example/hooks/..%5cx", "HTTPS://API.EXAMPLE/%68ooks//..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, destination string) {
		target, err := relay.ParseTarget(destination)
		matches := func(p notify.RowPattern) bool { return p.Matches(target, &relay.Message{Topic: "t"}) }
		if err != nil || !slices.ContainsFunc(patterns, matches) {
			return
		}
		if host := "." + hostOf(target); !strings.HasSuffix(host, ".api.example") || target.URL.Port() != "" || target.URL.Scheme != "https" {
			t.Errorf("%q leads to %s", destination, target.URL)
		}
		read := target.URL.EscapedPath()
		for range 6 {
			if read, err = url.PathUnescape(read); err != nil {
				return
			}
			if clean := path.Clean(strings.ReplaceAll(read, `\`, "/")); clean != "/hooks" && !strings.HasPrefix(clean, "/hooks/") {
				t.Errorf("%q can be read as %q", destination, read)
			}
		}
	})
}
