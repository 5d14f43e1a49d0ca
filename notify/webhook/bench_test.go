package webhook_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

// BenchmarkHTTPDeliver makes 64 attempts at a time, signed, 1 KB each, to a server in the
// same process.
func BenchmarkHTTPDeliver(b *testing.B) {
	handler := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	b.Run("http", func(b *testing.B) { benchmarkDeliver(b, serve(b, handler), nil) })
	b.Run("https1", func(b *testing.B) {
		srv, roots := serveTLS(b, func(*httptest.Server) {}, handler)
		benchmarkDeliver(b, srv, roots)
	})
	b.Run("https2", func(b *testing.B) {
		srv, roots := serveTLS(b, func(srv *httptest.Server) { srv.EnableHTTP2 = true }, handler)
		benchmarkDeliver(b, srv, roots)
	})
}

func benchmarkDeliver(b *testing.B, srv *httptest.Server, roots *x509.CertPool) {
	h := newHTTP(b, webhook.Config{Secrets: []string{testSecret}, RootCAs: roots})
	s := operatorsTarget(b, srv.URL)
	body := make([]byte, 1<<10)
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if out := h.Deliver(b.Context(), conformance.NewDelivery(s, body)); out.Class != relay.ClassHandled {
				b.Errorf("outcome %+v", out)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
