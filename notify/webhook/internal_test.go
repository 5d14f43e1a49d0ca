package webhook

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPercentEncode(t *testing.T) {
	t.Parallel()
	// The first two are the examples of the binding itself.
	rows := map[string]string{
		"Euro € 😀":           "Euro%20%E2%82%AC%20%F0%9F%98%80",
		"€":                  "%E2%82%AC",
		"order.created":      "order.created",
		`"quoted" 100%`:      "%22quoted%22%20100%25",
		"%20":                "%2520",
		"tab\tnl\nnul\x00~":  "tab%09nl%0Anul%00~",
		"!#$&'()*+,/:;=?@[]": "!#$&'()*+,/:;=?@[]",
		"\x7f\u0080":         "%7F%C2%80",
	}
	for plain, want := range rows {
		if got := percentEncode(plain); got != want {
			t.Errorf("percentEncode(%q) = %q, want %q", plain, got, want)
		}
	}
}

func FuzzPercentEncode(f *testing.F) {
	for _, seed := range []string{"", "order.created", "a b", "%", "%2", "%zz", "\"", "größe 😀", "\x00\xff", "+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := percentEncode(s)
		for i := range len(encoded) {
			if c := encoded[i]; c <= ' ' || c > '~' || c == '"' {
				t.Fatalf("percentEncode(%q) = %q holds %q", s, encoded, c)
			}
		}
		if back, err := url.PathUnescape(encoded); err != nil || back != s {
			t.Fatalf("percentEncode(%q) = %q, which decodes to %q, %v", s, encoded, back, err)
		}
		if utf8.ValidString(s) && len(encoded) > 3*len(s) {
			t.Fatalf("percentEncode(%q) = %q, longer than three times", s, encoded)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rows := map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"120":                             2 * time.Minute,
		" 120 ":                           2 * time.Minute,
		"3600":                            time.Hour,
		"3601":                            time.Hour,
		"9223372036854775807":             time.Hour,
		"99999999999999999999999":         time.Hour,
		"-1":                              0,
		"+5":                              0,
		"1.5":                             0,
		"1e3":                             0,
		"soon":                            0,
		"Sun, 01 Mar 2026 12:00:30 GMT":   30 * time.Second,
		"Sunday, 01-Mar-26 12:01:00 GMT":  time.Minute,
		"Sun Mar  1 12:02:00 2026":        2 * time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT":   0,
		"Sun, 01 Mar 2027 12:00:00 GMT":   time.Hour,
		"Sun, 01 Mar 2026 12:00:30 +0100": 0,
	}
	for value, want := range rows {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "7", "-7", "99999999999999999999", "Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 9999 12:00:30 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := retryAfter(s, time.Now()); got < 0 || got > maxRetryAfter {
			t.Errorf("retryAfter(%q) = %v", s, got)
		}
		classify(http.StatusServiceUnavailable, http.Header{"Retry-After": {s}, "Relay-Retry": {s}}, time.Now())
	})
}

func TestParseSecrets(t *testing.T) {
	t.Parallel()
	encode := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	good, err := ParseSecrets(encode(24) + ", " + encode(64) + "\n" + encode(25))
	if err != nil || len(good) != 3 || good[0] != encode(24) {
		t.Errorf("good secrets: %d, %v", len(good), err)
	}
	if none, err := ParseSecrets(" "); err != nil || len(none) != 0 {
		t.Errorf("no secrets: %d, %v", len(none), err)
	}
	for _, bad := range []string{
		encode(23), encode(65), "whsec_", "whsec_!!!!", "hunter2hunter2", strings.TrimRight(encode(25), "="),
		strings.TrimPrefix(encode(32), "whsec_"), encode(32) + "x", encode(32) + "," + "hunter2hunter2",
	} {
		_, err := ParseSecrets(bad)
		if err == nil {
			t.Errorf("%q was accepted", bad)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}
