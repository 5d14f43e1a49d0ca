package harness

import (
	"testing"

	"relay/throwaway"
)

// TLSRabbit starts a node of the test's own that speaks TLS too, with a certificate of the
// authority and, if clients need one, asks for theirs; one whose common name is that of a user
// may log in by it (EXTERNAL). It returns the address of TLS.
func TLSRabbit(t testing.TB, a *Authority, needsClient bool) (r *throwaway.Rabbit, address string) {
	t.Helper()
	address = FreeAddress(t)
	cert, key := a.Certificate(t, "broker")
	needs := "false"
	if needsClient {
		needs = "true"
	}
	r, err := throwaway.StartRabbit(t.Context(), throwaway.RabbitConfig{
		Name: "relay-test-rabbitmq-tls", Plugins: []string{"rabbitmq_auth_mechanism_ssl"},
		Settings: map[string]string{
			"listeners.ssl.1": address, "ssl_options.cacertfile": a.CA, "ssl_options.certfile": cert, "ssl_options.keyfile": key,
			"ssl_options.verify": "verify_peer", "ssl_options.fail_if_no_peer_cert": needs,
			"auth_mechanisms.1": "PLAIN", "auth_mechanisms.2": "EXTERNAL", "ssl_cert_login_from": "common_name",
		},
	})
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Remove(); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	return r, address
}
