package webhook

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"relay/notify"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"relay"
)

// requestSeeds are rows and, in the last column, headers of the operator.
var requestSeeds = []struct{ destination, headers, topic, key, contentType, own string }{
	{"http://h/p?q=a", `{"x-tenant": "acme"}`, "order.created", "k", "application/json", `{}`},
	{"http://h/p?q=a HTTP/1.0", `{}`, "t", "k", "a", `{}`},
	{"http://h/p?q=a HTTP/1.0\r\nx: y\r\n\r\n", `{"x": "a\r\nwebhook-id: forged"}`, "t\r\nx: y", "\r\n", "text/plain\r\nx: y", `{}`},
	{"HTTPS://user:pass@H.:443/a/%2e%2e/b%0d%0a?%0d%0a=ä", `{"x_a": "größe", "Authorization": "row"}`, "größe", "", "", `{"authorization": "own", "X-A": "1"}`},
	{"http://[fe80::1%25eth0]:8080/", `{"webhook_id": "forged"}`, "t", "k", "a", `{}`},
	{"http://h\r\nx: y/", `{"Host": "evil", "Transfer-Encoding": "chunked"}`, "t", "k", "a", `{}`},
	{"http://h//evil.example/..;/|\"<>", `{"!#$%&'*+.^_|~": " \t a \t "}`, "t", "k", "a/b; c=\"d\"", `{}`},
}

// FuzzRequest: whatever a row says, and an operator beside it, the request that is written has one
// request line, the host of the target, and no header but those that were meant.
func FuzzRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add(s.destination, s.headers, s.topic, s.key, s.contentType, s.own, true)
		f.Add(s.destination, s.headers, s.topic, s.key, s.contentType, s.own, false)
	}
	router, err := notify.NewRouter(notify.RouterConfig{Source: "shop", Technologies: notify.Register(Technology(1, true))})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, destination, headers, topic, key, contentType, own string, trusted bool) {
		row := destination + headers + topic + key + contentType + own
		if !utf8.ValidString(row) || strings.Contains(row, "\x00") || destination == "" {
			return // PostgreSQL holds no such text
		}
		m := &relay.Message{
			ID: relay.NewID(), Topic: topic, Key: key, ContentType: contentType, CreatedAt: time.Now(),
			Headers: []byte(headers), Destination: destination, Body: []byte("body"),
		}
		deliveries, err := router.Route(m)
		if err != nil {
			if !errors.Is(err, relay.ErrRejected) {
				t.Fatal(err)
			}
			return
		}
		d := deliveries[0]
		if d.Subscriber.Target.Kind != relay.TargetHTTP {
			return
		}
		d.Subscriber.Trusted = trusted
		if d.Subscriber.Headers, err = relay.ParseHeaders([]byte(own)); err != nil {
			return
		}
		checkRequest(t, d)
	})
}

// checkRequest writes the request of a delivery and reads it as a receiver does.
func checkRequest(t *testing.T, d *relay.Delivery) {
	header, err := requestHeader(d, [][]byte{[]byte("a key of more than twenty-four bytes")}, time.Now())
	if errors.Is(err, relay.ErrRejected) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	sent, err := newRequest(t.Context(), d, header)
	if err != nil {
		t.Fatal(err)
	}
	sent.Body = io.NopCloser(bytes.NewReader(d.Message.Body)) // as the client does before each try
	var wire bytes.Buffer
	if err := sent.Write(&wire); err != nil {
		t.Fatalf("%q: %v", d.Subscriber.Target.Raw, err)
	}
	head, _, _ := strings.Cut(wire.String(), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if strings.ContainsAny(strings.Join(lines, ""), "\r\n") || strings.Count(lines[0], " ") != 2 {
		t.Fatalf("%q", head)
	}
	in := bufio.NewReader(&wire)
	got, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	url := d.Subscriber.Target.URL
	host, _, _ := strings.Cut(url.Host, "%") // a zone means nothing to another machine
	if strings.Contains(url.Host, "%") {
		_, rest, _ := strings.Cut(url.Host, "]")
		host += "]" + rest
	}
	if got.Method != http.MethodPost || got.Proto != "HTTP/1.1" || got.RequestURI != url.RequestURI() || got.Host != host {
		t.Errorf("%s %s of %q, want %s of %q", got.Method, got.RequestURI, got.Host, url.RequestURI(), host)
	}
	if len(lines) != 1+1+len(got.Header) { // the request line, and Host, which is not among them
		t.Errorf("%d lines and %d headers in %q", len(lines), len(got.Header), head)
	}
	checkHeaders(t, d, got.Header)
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != "body" {
		t.Errorf("body %q: %v", body, err)
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("after the request comes %q: %v", rest, err)
	}
}

// relaysOwn are the headers that the relay and HTTP set.
var relaysOwn = map[string]bool{
	"User-Agent": true, "Relay-Attempt": true, "Webhook-Id": true, "Webhook-Timestamp": true, "Webhook-Signature": true,
	"Ce-Specversion": true, "Ce-Id": true, "Ce-Source": true, "Ce-Type": true, "Ce-Time": true, "Ce-Subject": true,
	"Content-Type": true, "Content-Length": true,
}

// checkHeaders: each header is one that was meant, once whatever receivers make of its name, and
// the operator's come before the row's.
func checkHeaders(t *testing.T, d *relay.Delivery, got http.Header) {
	folded := make(map[string]bool)
	for name, values := range got {
		if len(values) != 1 || folded[relay.FoldHeader(name)] {
			t.Errorf("header %s is there more than once: %q", name, got)
		}
		folded[relay.FoldHeader(name)] = true
		for i := range len(values[0]) {
			if c := values[0][i]; c < ' ' && c != '\t' || c >= 0x7f {
				t.Errorf("header %s is %q", name, values[0])
			}
		}
		if relaysOwn[name] || name == "Authorization" && d.Subscriber.Target.URL.User != nil {
			continue
		}
		if want := meant(d, name); textproto.TrimString(headerValue(want)) != values[0] {
			t.Errorf("header %s is %q, want %q", name, values[0], want)
		}
	}
	if got.Get("Webhook-Id") != d.Message.ID.String() || got.Get("Content-Length") != "4" || got.Get("Relay-Attempt") != "1" {
		t.Errorf("forged: %v", got)
	}
}

// meant is the value that operator or row gave a header.
func meant(d *relay.Delivery, canonical string) string {
	for _, headers := range []map[string]string{d.Subscriber.Headers, d.Headers} {
		for name, value := range headers {
			if relay.FoldHeader(name) == relay.FoldHeader(canonical) {
				return value
			}
		}
	}
	return "no such header"
}
