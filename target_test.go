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
		{"HTTPS://Example.COM", "https://example.com:443", "HTTPS://Example.COM", TargetHTTP},
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
		"":                                        "empty",
		"http://":                                 "no host",
		"http:///path":                            "no host",
		"http://:80/":                             "no host",
		"https://example.com/#part":               "fragment",
		"http://example.com:99999/":               "bad port",
		"http://example.com:http/":                "invalid port",
		"http://exa mple.com/":                    "a space",
		"http://[::1/":                            "missing ']'",
		"http://[1.2.3.4]/":                       "invalid IP-literal",
		"http://[v1.x]/":                          "malformed URL",
		"http://[fe80::1%25a%25b]/":               "no IPv6 address",
		"http://example.com:0/":                   "bad port",
		"http://example.com:80:80/":               "malformed URL",
		"http://example..com/":                    "empty label",
		"http://bücher.example/":                  "xn--",
		"http://b%C3%BCcher.example/":             "xn--",
		"http://exa|mple.com/":                    "invalid character",
		"http://example.com/#":                    "fragment",
		"http://example.com\\@evil/":              "backslash",
		"http://example.com/a\\..\\b":             "backslash",
		"http://example.com/a\u00a0b":             "cannot be printed",
		"http://example.com/a\u202eb":             "cannot be printed",
		"http://example.com/a\u0085b":             "cannot be printed",
		"http://example.com/\xff":                 "cannot be printed",
		"http://example.com/a\tb":                 "control character",
		"http://h/p?q=a HTTP/1.0":                 "a space",
		"\u00a0http://example.com/":               "cannot be printed",
		"amqp:events/a\x1bb":                      "control character",
		"bil\u200bling":                           "cannot be printed",
		"amqp:user:pass@broker/vhost":             "RELAY_AMQP_URL",
		"http://example.com/\r\nx: y":             "control character",
		"http://example.com/\x00x":                "control character",
		"http://example.com/%zz":                  "invalid URL escape",
		"ftp://example.com/":                      "none of http",
		"amqp://user:hunter2@broker/":             "RELAY_AMQP_URL",
		"amqp:events":                             "no slash",
		"amqp:/":                                  "neither exchange nor queue",
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
		"amqp:user:hunter2@broker/vhost", "http://user:hunter2\\@example.com/", "http://user:hunter2#@example.com/", "http://user:hunter2@größe.example/",
	} {
		_, err := ParseTarget(text)
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("ParseTarget(%q): %v", text, err)
		}
	}
}

// What is compared, signed for and sent is one form of the URL, whatever the text.
func TestURLsHaveOneForm(t *testing.T) {
	t.Parallel()
	rows := []struct{ text, url, origin string }{
		{"HTTPS://Example.COM:443", "https://example.com", "https://example.com"},
		{" \t\r\nhttp://example.com:080/ \n\x00", "http://example.com/", "http://example.com"},
		{"http://example.com.:8080/", "http://example.com.:8080/", "http://example.com:8080"},
		{"http://example.com:/x", "http://example.com/x", "http://example.com"},
		{"https://[2001:DB8:0::1]:80/", "https://[2001:db8::1]:80/", "https://[2001:db8::1]:80"},
		{"https://[::1]:443/", "https://[::1]/", "https://[::1]"},
		{"http://h/a/../b", "http://h/b", "http://h"},
		{"http://h/a/%2e%2E/b", "http://h/b", "http://h"},
		{"http://h/a/b/./..", "http://h/a/", "http://h"},
		{"http://h/../../x", "http://h/x", "http://h"},
		{"http://h/a/.%2e?../x", "http://h/?../x", "http://h"},
		{"http://h/a%2Fb|c", "http://h/a%2Fb%7Cc", "http://h"},
		{"http://h/größe?q=größe&%zz", "http://h/gr%C3%B6%C3%9Fe?q=gr%C3%B6%C3%9Fe&%zz", "http://h"},
		{"http://@h/", "http://h/", "http://h"},
		{"http://h/%00%0d%0aX:1", "http://h/%00%0d%0aX:1", "http://h"},
	}
	for _, row := range rows {
		target, err := ParseTarget(row.text)
		if err != nil {
			t.Errorf("%q: %v", row.text, err)
			continue
		}
		if target.URL.String() != row.url || target.WebOrigin() != row.origin {
			t.Errorf("%q: %s of %s, want %s of %s", row.text, target.URL, target.WebOrigin(), row.url, row.origin)
		}
		again, err := ParseTarget(target.URL.String())
		if err != nil || *again.URL != *target.URL {
			t.Errorf("%q: %s becomes %s: %v", row.text, target.URL, again.URL, err)
		}
	}
}

func TestWhatIsShownOfATarget(t *testing.T) {
	t.Parallel()
	rows := map[string]string{
		"https://hooks.example/services/T0/B0/hunter2hunter2hunter2": "https://hooks.example/services/T0/B0/hunt…",
		"https://h/0123456789abcde/0123456789abcdef/x":               "https://h/0123456789abcde/0123…/x",
		"https://h/12%2067890123456":                                 "https://h/12…",
		"https://h/schlüssel/x":                                      "https://h/…/x",
		"http://user:hunter2@h/?token=hunter2":                       "http://h/?…",
		"http://h/?":                                                 "http://h/",
		"10.0.0.1:8080":                                              "10.0.0.1:8080",
		"[::1]:80":                                                   "[::1]:80",
		PlainInstance:                                                PlainInstance,
		"billing":                                                    "billing",
		"amqp:events/order.created.in.the.shop":                      "amqp:events/order.created.in.the.shop",
		"http://user:hunter2@h/ x":                                   UnreadableTarget,
		"user:hunter2@h":                                             UnreadableTarget,
	}
	for text, want := range rows {
		if got := ShownTarget(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
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

func TestEveryKindHasAForm(t *testing.T) {
	t.Parallel()
	for kind := TargetNone; kind <= TargetSubscription; kind++ {
		if f := forms[kind]; f.origin == nil || f.lane == nil || f.circuit == nil || f.shown == nil {
			t.Errorf("kind %d has no form, or one with a gap", kind)
		}
	}
}
