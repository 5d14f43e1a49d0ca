package relay

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
)

// What ParseTarget accepts can be used without another look; what it refuses, it refuses
// without quoting the text, which may hold a password.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"http://user:password@example.com:8080/a?b=c", "https://[fe80::1%25eth0]/", "HTTP://h", "http://u:p/x@h/",
		"amqp:events/{topic}.{key}", "amqp:/queue", "amqp:", "billing", "http://h/%zz", "http://h:99999/", "http://h/\x7f", "http://[]",
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
		if target.Raw != s || target.Kind == TargetNone {
			t.Fatalf("ParseTarget(%q) = %+v", s, target)
		}
		target.RoutingKeyFor(&Message{Topic: s, Key: s})
		if target.Kind != TargetHTTP {
			return
		}
		if target.URL.Hostname() == "" || !strings.Contains(target.Origin(), "://") {
			t.Errorf("%q: host %q, origin %q", s, target.URL.Hostname(), target.Origin())
		}
		plain, err := url.Parse(target.Redacted())
		if err != nil || plain.User != nil || plain.Host != target.URL.Host {
			t.Errorf("%q redacted is %q: %v", s, target.Redacted(), err)
		}
	})
}

// What ParseHeaders accepts cannot end a header or begin another one, nor stand for one
// that the relay sets.
func FuzzParseHeaders(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"x": "y"}`, `{"X": "1", "x": "2"}`, `{"a": 1}`, `[]`, `{"ce-id": ""}`, `{"a\r\nb": "\u0000"}`, `{"x": "\ud83d"}`, ` {"x":"y"} {}`,
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
		for name, value := range headers {
			folded := strings.ToLower(name)
			if name == "" || strings.ContainsAny(name, " \t\r\n\x00:") || strings.ContainsAny(value, "\r\n\x00") ||
				strings.HasPrefix(folded, "ce-") || strings.HasPrefix(folded, "webhook-") || folded == "host" {
				t.Errorf("ParseHeaders(%q) accepts %q: %q", raw, name, value)
			}
		}
	})
}
