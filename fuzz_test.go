package relay

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// What ParseTarget accepts can be used without another look; what it refuses, it refuses
// without quoting the text, which may hold a password.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"http://user:password@example.com:8080/a?b=c", "https://[fe80::1%25eth0]/", "HTTP://h", "http://u:p/x@h/",
		"amqp:events/{topic}.{key}", "amqp:/queue", "amqp:", "billing", "http://h/%zz", "http://h:99999/", "http://h/\x7f", "http://[]",
		" http://h/a/%2e%2e/b ", "http://h./0123456789abcdef/12%2067890123456?x", "http://h\\@i/", "http://größe/", "http://h/größe|", "amqp:u:p@h/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\"\r\n\x00") || len(err.Error()) > 200 {
				t.Errorf("ParseTarget(%q): %v", s, err)
			}
			return
		}
		if target.Raw != strings.TrimFunc(s, isMargin) || target.Kind == TargetNone || strings.ContainsAny(target.Raw, "\r\n\x00") {
			t.Fatalf("ParseTarget(%q) = %+v", s, target)
		}
		if again, err := ParseTarget(target.Raw); err != nil || again.Raw != target.Raw {
			t.Errorf("%q is not %q: %v", again.Raw, target.Raw, err)
		}
		target.RoutingKeyFor(&Message{Topic: s, Key: s})
		if target.Kind == TargetHTTP {
			checkURL(t, target)
		}
	})
}

// checkURL: a URL has one form, its origin is that of the form, and what is shown of it holds
// neither user nor query nor long segments.
func checkURL(t *testing.T, target Target) {
	if target.URL.Hostname() == "" || !strings.Contains(target.WebOrigin(), "://") {
		t.Errorf("%q: host %q, origin %q", target.Raw, target.URL.Hostname(), target.WebOrigin())
	}
	again, err := ParseTarget(target.URL.String())
	if err != nil || again.URL.String() != target.URL.String() || again.WebOrigin() != target.WebOrigin() {
		t.Errorf("%q: its form %s becomes %s: %v", target.Raw, target.URL, again.URL, err)
	}
	if origin, err := ParseTarget(target.WebOrigin()); err != nil || origin.WebOrigin() != target.WebOrigin() {
		t.Errorf("%q: origin %q: %v", target.Raw, target.WebOrigin(), err)
	}
	shown := target.Redacted()
	rest, query, _ := strings.Cut(shown[strings.Index(shown, "://")+len("://"):], "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(authority, "@") || query != "" && query != "…" {
		t.Errorf("%q is shown as %q", target.Raw, shown)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if len(segment) >= 16 {
			t.Errorf("%q is shown as %q, with the segment %q", target.Raw, shown, segment)
		}
	}
}

// What ParseHeaders accepts cannot end a header or begin another one, nor stand for one
// that the relay sets.
func FuzzParseHeaders(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"x": "y"}`, `{"X": "1", "x": "2"}`, `{"a": 1}`, `[]`, `{"ce-id": ""}`, `{"a\r\nb": "\u0000"}`, `{"x": "\ud83d"}`, `{"x_a": "1", "X-A": "2"}`, `{"webhook_id": "1"}`, `{"CONTENT_LENGTH": "1"}`, ` {"x":"y"} {}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		headers, err := ParseHeaders(raw)
		if err != nil {
			if !errors.Is(err, ErrRejected) || headers != nil || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("ParseHeaders(%q) = %v, %v", raw, headers, err)
			}
			return
		}
		if len(raw) > 0 && !json.Valid(raw) {
			t.Errorf("ParseHeaders(%q) accepts what is no JSON", raw)
		}
		seen := map[string]bool{}
		for name, value := range headers {
			folded := FoldHeader(name)
			if seen[folded] {
				t.Errorf("ParseHeaders(%q) accepts two headers %q", raw, folded)
			}
			seen[folded] = true
			if name == "" || strings.ContainsAny(name, " \t\r\n\x00:") || strings.ContainsAny(value, "\r\n\x00") ||
				strings.HasPrefix(folded, "ce-") || strings.HasPrefix(folded, "webhook-") || folded == "host" || folded == "content-length" {
				t.Errorf("ParseHeaders(%q) accepts %q: %q", raw, name, value)
			}
		}
	})
}
