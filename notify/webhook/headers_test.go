package webhook_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

const otherSecret = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0="

// capture delivers d to a server that keeps the request, and returns its header and body.
func capture(t *testing.T, cfg webhook.Config, d *relay.Delivery) (http.Header, []byte) {
	t.Helper()
	var header http.Header
	var body []byte
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.ContentLength != int64(len(body)) {
			http.Error(w, "method or length", http.StatusBadRequest)
		}
	})
	d.Subscriber.Target = operatorsTarget(t, srv.URL+"/hook?a=b").Target
	if out := newHTTP(t, cfg).Deliver(t.Context(), d); out.Class != relay.ClassHandled {
		t.Fatalf("outcome %+v", out)
	}
	return header, body
}

func TestSignatureVerifiesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	bodies := [][]byte{[]byte(`{ "n": 1.0 }`), {}, {0, 1, 2, 0xff}, bytes.Repeat([]byte("x"), 1<<20)}
	for _, body := range bodies {
		for _, secrets := range [][]string{{testSecret}, {otherSecret, testSecret}} {
			header, got := capture(t, webhook.Config{Secrets: secrets}, conformance.NewDelivery(&relay.Subscriber{Trusted: true}, body))
			for _, secret := range secrets {
				verifier, err := standardwebhooks.NewWebhook(secret)
				if err != nil {
					t.Fatal(err)
				}
				if err := verifier.Verify(got, header); err != nil {
					t.Errorf("%d bytes, %d secrets: %v", len(body), len(secrets), err)
				}
				if len(body) > 0 && verifier.Verify(append(bytes.Clone(got), 'x'), header) == nil {
					t.Error("a changed body verifies")
				}
			}
			if n := len(strings.Fields(header.Get("webhook-signature"))); n != len(secrets) {
				t.Errorf("%d signatures for %d secrets", n, len(secrets))
			}
		}
	}
}

func TestSubscribersOwnSecretsReplaceTheDefault(t *testing.T) {
	t.Parallel()
	d := conformance.NewDelivery(&relay.Subscriber{Trusted: true, Secrets: []string{otherSecret}}, []byte("{}"))
	header, body := capture(t, webhook.Config{Secrets: []string{testSecret}}, d)
	own, _ := standardwebhooks.NewWebhook(otherSecret)
	if err := own.Verify(body, header); err != nil {
		t.Error(err)
	}
	common, _ := standardwebhooks.NewWebhook(testSecret)
	if common.Verify(body, header) == nil {
		t.Error("the common secret signs too")
	}
}

// A row may have anything signed and choose where it goes. Its signature is worth nothing at any
// other origin, nor at the receivers of the operator.
func TestRowsOwnDestinationsHaveSecretsOfTheirOwn(t *testing.T) {
	t.Parallel()
	loopback, err := webhook.ParseEgress("loopback")
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{otherSecret, testSecret}
	cfg := webhook.Config{Secrets: secrets, Egress: loopback}
	var header http.Header
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
	body := []byte(`{"n": 1}`)
	d := conformance.NewDelivery(rowsTarget(t, srv.URL+"/hook?a=b"), body)
	if out := newHTTP(t, cfg).Deliver(t.Context(), d); out.Class != relay.ClassHandled {
		t.Fatalf("outcome %+v", out)
	}
	derived, err := webhook.RowSecrets(secrets, operatorsTarget(t, srv.URL).Target)
	if err != nil || len(derived) != len(secrets) {
		t.Fatalf("derived %d secrets: %v", len(derived), err)
	}
	elsewhere, err := webhook.RowSecrets(secrets, operatorsTarget(t, "https://elsewhere.example").Target)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range derived {
		if err := verify(t, secret, body, header); err != nil {
			t.Errorf("the derived secret does not verify: %v", err)
		}
	}
	for _, secret := range slices.Concat(secrets, elsewhere) {
		if verify(t, secret, body, header) == nil {
			t.Error("another secret verifies too")
		}
	}
}

func verify(t *testing.T, secret string, body []byte, header http.Header) error {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Verify(body, header)
}

// The derivation is documented for receivers, and must never change.
func TestRowSecretsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"https://hooks.example", "HTTPS://user:pass@Hooks.Example.:443/a/b?c=d"} {
		got, err := webhook.RowSecrets([]string{testSecret, otherSecret}, operatorsTarget(t, target).Target)
		want := []string{"whsec_trnnFH/m/CKsOU4Kdf29Z/urLXlmwivjDnNxRRWRUOA=", "whsec_fyB4T/uhpTkibskZYZmEGLv4YKFMZcsdLE9YeAgL9L4="}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", target, got, err, want)
		}
	}
	if _, err := webhook.RowSecrets([]string{"hunter2"}, relay.Target{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a bad secret: %v", err)
	}
}

func TestBadSecrets(t *testing.T) {
	t.Parallel()
	if _, err := webhook.New(webhook.Config{Secrets: []string{"hunter2"}}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("New: %v", err)
	}
	s := operatorsTarget(t, "http://127.0.0.1:1/")
	s.Name, s.Secrets = "billing", []string{"hunter2"}
	out := newHTTP(t, webhook.Config{}).Deliver(t.Context(), conformance.NewDelivery(s, nil))
	if out.Class != relay.ClassPushFailed || !strings.Contains(out.Error, `"billing"`) || strings.Contains(out.Error, "hunter2") {
		t.Errorf("a subscription's bad secret: %+v", out)
	}
}

func TestUnsignedMessagesAreWarnedOfOnce(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	h := newHTTP(t, webhook.Config{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, found := r.Header["Webhook-Signature"]; found || r.Header.Get("webhook-id") == "" || r.Header.Get("webhook-timestamp") == "" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	for range 3 {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), nil)); out.Class != relay.ClassHandled {
			t.Errorf("outcome %+v", out)
		}
	}
	if n := strings.Count(logged.String(), "level=WARN"); n != 1 || strings.Count(logged.String(), "\n") != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, logged.String())
	}
}

func TestHeadersInOrderOfAuthority(t *testing.T) {
	t.Parallel()
	s := &relay.Subscriber{Trusted: true, Headers: map[string]string{
		"authorization": "Bearer operator", "x-both": "subscriber", "webhook-id": "forged", "Ce-Subject": "forged", "webhook-signature": "forged",
	}}
	d := conformance.NewDelivery(s, []byte("{}"))
	d.Headers = map[string]string{"X_Both": "row", "Authorization": "Bearer row", "X-Row": "größe 100%", "x-plain": `gr 100% "a"`, "ce-type": "forged"}
	d.Attempt = 12
	header, _ := capture(t, webhook.Config{}, d)
	want := map[string]string{
		"Authorization": "Bearer operator", "X-Both": "subscriber", "X-Row": "gr%C3%B6%C3%9Fe%20100%25", "X-Plain": `gr 100% "a"`, "Webhook-Id": d.Message.ID.String(),
		"Ce-Type": "order.created", "Relay-Attempt": "12", "User-Agent": "relay", "Content-Type": "application/json",
	}
	for name, value := range want {
		if got := header[name]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q, want %q alone", name, got, value)
		}
	}
	for _, name := range []string{"Ce-Subject", "Webhook-Signature", "Accept-Encoding", "X_both"} {
		if got, found := header[name]; found {
			t.Errorf("%s: %q, want none", name, got)
		}
	}
}

// The user and password of the operator's URL are the operator's authorization, which no row
// replaces; a row's own URL and headers are both the row's.
func TestRowsDoNotReplaceTheAuthorizationOfAURL(t *testing.T) {
	t.Parallel()
	var got string
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	withUser := strings.Replace(srv.URL, "://", "://user:pass%20word@", 1)
	const basic = "Basic dXNlcjpwYXNzIHdvcmQ="
	for _, row := range []struct {
		trusted   bool
		own, sent map[string]string
		want      string
	}{
		{trusted: true, want: basic},
		{trusted: true, sent: map[string]string{"authorization": "row"}, want: basic},
		{trusted: true, own: map[string]string{"AUTHORIZATION": "own"}, sent: map[string]string{"authorization": "row"}, want: "own"},
		{want: basic},
		{sent: map[string]string{"authorization": "row"}, want: "row"},
	} {
		d := conformance.NewDelivery(operatorsTarget(t, withUser), nil)
		d.Subscriber.Trusted, d.Subscriber.Headers, d.Headers = row.trusted, row.own, row.sent
		loopback, err := webhook.ParseEgress("loopback")
		if err != nil {
			t.Fatal(err)
		}
		if out := newHTTP(t, webhook.Config{Egress: loopback}).Deliver(t.Context(), d); out.Class != relay.ClassHandled || got != row.want {
			t.Errorf("%+v: authorization %q, outcome %+v", row, got, out)
		}
	}
}

// The official SDK leaves the percent-encoding to its user; all else it parses itself.
func TestCloudEventsParseWithTheOfficialSDK(t *testing.T) {
	t.Parallel()
	texts := []string{
		"order.created", "with space", `"quoted"`, "100%", "%20", "größe", "注文", "😀 emoji", "a/b?c=d#e", "tab\tinside",
		"slash\\back", strings.Repeat("ü", 120),
	}
	for _, text := range texts {
		d := conformance.NewDelivery(&relay.Subscriber{Trusted: true}, []byte(`{"n": 12345678901234567890}`))
		d.Message.Topic, d.Message.Key, d.Source = text, text, text
		header, body := capture(t, webhook.Config{}, d)
		e := parseEvent(t, header, body)
		if err := e.Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for what, got := range map[string]string{"type": e.Type(), "subject": e.Subject(), "source": e.Source()} {
			if decoded, err := url.PathUnescape(got); err != nil || decoded != text {
				t.Errorf("%s %q arrives as %q, decoded %q, %v", what, text, got, decoded, err)
			}
		}
		if e.ID() != d.Message.ID.String() || e.SpecVersion() != "1.0" || e.DataContentType() != "application/json" ||
			!e.Time().Equal(d.Message.CreatedAt) || !bytes.Equal(e.Data(), d.Message.Body) {
			t.Errorf("%q: event %v", text, e)
		}
	}
}

func TestCloudEventTime(t *testing.T) {
	t.Parallel()
	d := conformance.NewDelivery(&relay.Subscriber{Trusted: true}, nil)
	d.Message.CreatedAt = time.Date(2026, 3, 1, 13, 0, 0, 123456000, time.FixedZone("CET", 3600))
	header, _ := capture(t, webhook.Config{}, d)
	if got := header.Get("ce-time"); got != "2026-03-01T12:00:00.123456Z" {
		t.Errorf("ce-time %q", got)
	}
	sent, err := time.Parse(time.RFC3339, header.Get("ce-time"))
	if err != nil || !sent.Equal(d.Message.CreatedAt) {
		t.Errorf("ce-time %v, %v", sent, err)
	}
}

func parseEvent(t *testing.T, header http.Header, body []byte) *event.Event {
	t.Helper()
	m := cehttp.NewMessage(header, io.NopCloser(bytes.NewReader(body)))
	if m.ReadEncoding() != binding.EncodingBinary {
		t.Fatalf("encoding %v, want binary", m.ReadEncoding())
	}
	e, err := binding.ToEvent(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
