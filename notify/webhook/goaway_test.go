package webhook_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// A server that ends its HTTP/2 connection after a few requests refuses what was sent on it
// meanwhile, which net/http sends again after pauses that grow to ten seconds and more. Each refused
// request costs a TLS handshake, which takes its time on a busy machine.
func TestAConnectionThatEndsAfterSevenRequestsCostsNoMessageSeconds(t *testing.T) {
	t.Parallel()
	const atOnce, each = 32, 10
	ca := newAuthority(t, "test")
	certificate, key := ca.issue(t)
	url := harness.Nginx(t, certificate, key, "keepalive_requests 7;\nlocation / { return 204; }")
	h := newHTTP(t, webhook.Config{RootCAs: ca.pool(), Concurrency: atOnce})
	s := operatorsTarget(t, url)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	for range atOnce {
		wg.Go(func() {
			for range each {
				began := time.Now()
				wantClass(t, h.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassHandled, "")
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	t.Logf("median %v, 99 %% %v, most %v", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	if most := took[len(took)-1]; most > 9*time.Second {
		t.Errorf("one message took %v", most)
	}
}
