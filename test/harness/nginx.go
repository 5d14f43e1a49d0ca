package harness

import (
	"testing"

	"relay/throwaway"
)

// Nginx starts an nginx with TLS and HTTP/2 and the lines in its block server, removes it at the
// end, and returns its address. certificate and key are PEM.
func Nginx(t testing.TB, certificate, key, lines string) (url string) {
	t.Helper()
	n, err := throwaway.StartNginx(t.Context(), certificate, key, lines)
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Remove(); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	return n.URL()
}
