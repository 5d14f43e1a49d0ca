package relay

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	rows := []struct {
		text, origin, redacted string
		kind                   TargetKind
	}{
		{"http://example.com/hook", "http://example.com:80", "http://example.com/hook", TargetHTTP},
		{"HTTPS://Example.COM", "https://example.com:443", "https://Example.COM", TargetHTTP},
		{"https://example.com:8443/a%20b?token=hunter2", "https://example.com:8443", "https://example.com:8443/a%20b?…", TargetHTTP},
		{"https://user:hunter2@example.com/", "https://example.com:443", "https://example.com/", TargetHTTP},
		{"http://[::1]:8080/", "http://[::1]:8080", "http://[::1]:8080/", TargetHTTP},
		{"amqp:events/order.{topic}", "amqp:", "amqp:events/order.{topic}", TargetExchange},
		{"amqp:events/", "amqp:", "amqp:events/", TargetExchange},
		{"amqp:/orders", "amqp:", "amqp:/orders", TargetQueue},
		{"amqp:/a/b", "amqp:", "amqp:/a/b", TargetQueue},
		{"billing", "amqp:", "billing", TargetSubscription},
	}
	for _, row := range rows {
		got, err := ParseTarget(row.text)
		if err != nil || got.Kind != row.kind || got.Raw != row.text {
			t.Errorf("ParseTarget(%q) = %+v, %v", row.text, got, err)
			continue
		}
		if got.Redacted() != row.redacted {
			t.Errorf("%q redacted is %q, want %q", row.text, got.Redacted(), row.redacted)
		}
		if row.kind != TargetSubscription && got.Origin() != row.origin {
			t.Errorf("%q has the origin %q, want %q", row.text, got.Origin(), row.origin)
		}
	}
}

func TestParseTargetRejects(t *testing.T) {
	t.Parallel()
	rows := map[string]string{ // target: what the error says
		"":                            "empty",
		"http://":                     "no host",
		"http:///path":                "no host",
		"http://:80/":                 "no host",
		"https://example.com/#part":   "fragment",
		"http://example.com:99999/":   "bad port",
		"http://example.com:http/":    "invalid port",
		"http://exa mple.com/":        "invalid character",
		"http://[::1/":                "missing ']'",
		"http://example.com/\r\nx: y": "control character",
		"http://example.com/\x00":     "control character",
		"http://example.com/%zz":      "invalid URL escape",
		"ftp://example.com/":          "none of http",
		"amqp://user:hunter2@broker/": "RELAY_AMQP_URL",
		"amqp:events":                 "no slash",
		"amqp:/":                      "neither exchange nor queue",
		"amqp:" + strings.Repeat("e", 256) + "/k": "longer than 255",
		"amqp:e/" + strings.Repeat("k", 256):      "longer than 255",
		"two words":                               "none of http",
		"a/b":                                     "none of http",
		strings.Repeat("s", 256):                  "256 bytes",
		"http://h/" + strings.Repeat("p", MaxURL): "at most 8000",
	}
	for text, says := range rows {
		if got, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseTarget(%.80q) = %+v, %v, want an error that says %q", text, got, err, says)
		}
	}
}

// A password with a stray slash, percent sign or colon makes the URL malformed, and the
// parser of the standard library quotes what it could not read.
func TestParseTargetErrorsRepeatNoPassword(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"http://user:hunter2/x@example.com/", "http://user:hunter%zz2@example.com/", "http://user:hunter2@exa mple.com/",
		"http://user:hunter2@example.com:x/", "http://user:hunter2@[::1/", "http://user:hunter2\x01@example.com/",
		"http://user:hunter2 @example.com/", "http://user:hunter2@/", "http://user:99999hunter2/@example.com/", "ftp://user:hunter2@example.com/", "amqp://user:hunter2@broker/", "amqps://user:hunter2@broker/",
	} {
		_, err := ParseTarget(text)
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("ParseTarget(%q): %v", text, err)
		}
	}
}

func TestRoutingKeyFor(t *testing.T) {
	t.Parallel()
	m := &Message{Topic: "order.created", Key: "order-{topic}"}
	rows := map[string]string{
		"amqp:events/":                "order.created",
		"amqp:events/fixed":           "fixed",
		"amqp:events/{topic}":         "order.created",
		"amqp:events/a.{key}.{topic}": "a.order-{topic}.order.created",
		"amqp:events/{other}":         "{other}",
		"amqp:/orders.{topic}":        "orders.{topic}",
	}
	for text, want := range rows {
		target, err := ParseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.RoutingKeyFor(m); got != want {
			t.Errorf("%q: routing key %q, want %q", text, got, want)
		}
	}
	target, _ := ParseTarget("amqp:events/{key}")
	if got := target.RoutingKeyFor(&Message{Topic: "order.created"}); got != "order.created" {
		t.Errorf("without a key: routing key %q, want the topic", got)
	}
}

func TestInstancesOfLongTargetsAreShortAndApart(t *testing.T) {
	t.Parallel()
	long := "http://host/?" + strings.Repeat("ä", 2000)
	seen := map[string]bool{}
	for _, raw := range []string{"http://host/", long, long + "1", long + "2"} {
		target, err := ParseTarget(raw)
		if err != nil {
			t.Fatal(err)
		}
		instance := target.Instance()
		if len(instance) > 1024 || !utf8.ValidString(instance) || seen[instance] {
			t.Errorf("instance %q of %d bytes, seen: %v", instance, len(instance), seen[instance])
		}
		if seen[instance] = true; len(raw) < 1024 && instance != raw {
			t.Errorf("instance %q of the target %q", instance, raw)
		}
	}
	if _, err := ParseTarget("http://" + strings.Repeat("h", 256) + "/"); err == nil {
		t.Error("a host name of 256 bytes is accepted")
	}
}
