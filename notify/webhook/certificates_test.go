package webhook_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// writeFile writes a file of a test's folder and returns its path.
func writeFile(t testing.TB, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mutual starts a server that takes requests by certificates of an authority alone.
func mutual(t testing.TB, server, client *authority, requests *atomic.Int32) *httptest.Server {
	t.Helper()
	own, err := tls.X509KeyPair(pair(server.issue(t, "bank.test")))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: client.pool()}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func parseCertificates(t testing.TB, setting string) *webhook.Certificates {
	t.Helper()
	c, err := webhook.ParseCertificates(setting)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheRelayShowsItsCertificateToTargetsOfTheOperatorAlone(t *testing.T) {
	t.Parallel()
	folder, company, bank := t.TempDir(), newAuthority(t, "company"), newAuthority(t, "bank")
	certificate, key := bank.issue(t)
	files := "127.0.0.1 ca=" + writeFile(t, folder, "ca", company.pem) + " cert=" + writeFile(t, folder, "cert", certificate) + " key=" + writeFile(t, folder, "key", key)
	var requests atomic.Int32
	s := mutual(t, company, bank, &requests)
	loopback, err := webhook.ParseEgress("loopback")
	if err != nil {
		t.Fatal(err)
	}
	h := newHTTP(t, webhook.Config{Certificates: parseCertificates(t, "*.elsewhere.test ca="+filepath.Join(folder, "ca")+"; "+files), Egress: loopback})
	for _, body := range []string{"{}", strings.Repeat("x", 100<<10)} {
		wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, s.URL), []byte(body))), relay.ClassHandled, "")
	}
	if _, err := h.Reach(t.Context(), operatorsTarget(t, s.URL).Target); err != nil {
		t.Errorf("it is reached with an error: %v", err)
	}
	wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(rowsTarget(t, s.URL), nil)), relay.ClassPushFailed, "RELAY_HTTP_TLS")
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want those of the operator's target", n)
	}
	without := newHTTP(t, webhook.Config{RootCAs: company.pool()})
	wantClass(t, without.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, s.URL), nil)), relay.ClassPushFailed, "RELAY_HTTP_TLS")
	if _, err := without.Reach(t.Context(), operatorsTarget(t, s.URL).Target); !webhook.WantsCertificate(err) {
		t.Errorf("an endpoint that wants a certificate: %v", err)
	}
}

// Certificates are renewed while a relay runs; a file that is half written must change nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	folder, company, former, bank := t.TempDir(), newAuthority(t, "company"), newAuthority(t, "former"), newAuthority(t, "bank")
	certificate, key := former.issue(t)
	setting := "* ca=" + writeFile(t, folder, "ca", company.pem) + " cert=" + writeFile(t, folder, "cert", certificate) + " key=" + writeFile(t, folder, "key", key)
	var requests atomic.Int32
	s := mutual(t, company, bank, &requests)
	h := newHTTP(t, webhook.Config{Certificates: parseCertificates(t, setting)})
	attempt := func() relay.Outcome {
		return h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, s.URL), nil))
	}
	wantClass(t, attempt(), relay.ClassPushFailed, "RELAY_HTTP_TLS")
	certificate, key = bank.issue(t)
	writeFile(t, folder, "cert", certificate[:100])
	writeFile(t, folder, "key", key)
	harness.Eventually(t, 5*time.Second, "an attempt after the files were half written", func() bool {
		return attempt().Class == relay.ClassPushFailed
	})
	writeFile(t, folder, "cert", certificate)
	harness.Eventually(t, 10*time.Second, "an attempt with the new certificate", func() bool {
		return attempt().Class == relay.ClassHandled
	})
}

func TestParseCertificatesRefuses(t *testing.T) {
	t.Parallel()
	folder, ca := t.TempDir(), newAuthority(t, "test")
	certificate, key := ca.issue(t)
	_, otherKey := ca.issue(t)
	cert, own, other := writeFile(t, folder, "cert", certificate), writeFile(t, folder, "key", key), writeFile(t, folder, "other", otherKey)
	for setting, says := range map[string]string{
		"bank.test":                                  "rule 1 of 1: it needs ca=",
		"bank..test ca=" + cert:                      "begins with a pattern",
		"* ca=" + cert + "; * cert=" + cert:          "rule 2 of 2: it needs ca=",
		"* ca=" + filepath.Join(folder, "missing"):   "no such file",
		"* ca=" + own:                                "holds no certificate",
		"* cert=" + cert + " key=" + other:           "private key does not match",
		"* cert=" + own + " key=" + own:              "cert and key",
		"* ca=" + cert + " ca=" + cert:               "each once",
		"* file=" + cert:                             "is not one of",
		"https://bank.test ca=" + cert:               "begins with a pattern",
		"* cert=" + cert + " key=" + own + "; x ca=": "rule 2 of 2",
	} {
		if _, err := webhook.ParseCertificates(setting); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", setting, err, says)
		}
	}
	for _, setting := range []string{"", " ; "} {
		if c, err := webhook.ParseCertificates(setting); c != nil || err != nil {
			t.Errorf("%q: %v, %v", setting, c, err)
		}
	}
}
