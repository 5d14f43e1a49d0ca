package webhook_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// broadcast is a subscription whose target's host name stands for several instances.
func broadcast(t testing.TB, target string) *relay.Subscriber {
	t.Helper()
	s := operatorsTarget(t, target)
	s.Name, s.Broadcast = "workers", true
	return s
}

// toInstance is a first attempt at a fresh message for one instance.
func toInstance(s *relay.Subscriber, instance string) *relay.Delivery {
	d := conformance.NewDelivery(s, []byte("{}"))
	d.Instance = instance
	return d
}

// pinned sends every delivery to one instance.
type pinned struct {
	*webhook.Destination
	instance string
}

// Deliver implements notify.Destination.
func (p pinned) Deliver(ctx context.Context, d *relay.Delivery) relay.Outcome {
	d.Instance = p.instance
	return p.Destination.Deliver(ctx, d)
}

func TestInstanceConformance(t *testing.T) {
	t.Parallel()
	conformance.Test(t, func(t *testing.T) conformance.Case {
		const userinfo = "conformance-user:conformance-password@"
		in := &inboxHandler{messages: make(map[string]conformance.Message)}
		accepting := serve(t, in.ServeHTTP)
		failing := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		silent := listen(t, silence)
		h := newHTTP(t, webhook.Config{
			Secrets: []string{testSecret}, Resolver: resolver(t, func() []string { return []string{"127.0.0.9"} }),
		})
		at := func(instance string) conformance.Endpoint {
			return conformance.Endpoint{Destination: pinned{h, instance}, Subscriber: broadcast(t, "http://"+userinfo+"workers.test/hook?token=conformance-query")}
		}
		return conformance.Case{
			Accepting:   at(accepting.Listener.Addr().String()),
			Received:    in.received,
			Accepted:    relay.ClassHandled,
			Failing:     at(failing.Listener.Addr().String()),
			Failed:      relay.ClassHandleFailed,
			Unreachable: at(harness.FreeAddress(t)),
			Silent:      at(silent.Addr().String()),
			Secrets:     []string{"conformance-user", "conformance-password", "conformance-query", testSecret},
		}
	})
}

func TestEachInstanceIsDialledAtItsAddress(t *testing.T) {
	t.Parallel()
	port, reached := everywhere(t)
	h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { return []string{"127.0.0.3", "127.0.0.2", "127.0.0.3"} })})
	s := broadcast(t, fmt.Sprintf("http://workers.test:%d/", port))
	out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil))
	want := []string{fmt.Sprint("127.0.0.2:", port), fmt.Sprint("127.0.0.3:", port)}
	if out.Class != relay.ClassResolved || !slices.Equal(out.Instances, want) {
		t.Fatalf("outcome %+v, want the instances %v", out, want)
	}
	for _, instance := range append(out.Instances, fmt.Sprint("127.0.0.4:", port)) {
		if out := h.Deliver(t.Context(), toInstance(s, instance)); out.Class != relay.ClassHandled {
			t.Errorf("%s: %+v", instance, out)
		}
	}
	if at := reached(); at["127.0.0.2"] != 1 || at["127.0.0.3"] != 1 || at["127.0.0.4"] != 1 {
		t.Errorf("reached %v", at)
	}
}

func TestPortsOfInstances(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { return []string{"10.0.0.1"} })})
	for target, want := range map[string]string{
		"http://workers.test/": "10.0.0.1:80", "HTTPS://workers.test/": "10.0.0.1:443", "https://workers.test:8443/": "10.0.0.1:8443",
		"http://127.0.0.1:9/": "127.0.0.1:9", "http://[::1]/": "[::1]:80",
	} {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(broadcast(t, target), nil)); !slices.Equal(out.Instances, []string{want}) {
			t.Errorf("%s has the instances %v, want %s", target, out.Instances, want)
		}
	}
}

// The name is what the certificate, SNI and the Host header are about.
func TestAnInstanceIsAskedForItsName(t *testing.T) {
	t.Parallel()
	var names sync.Map
	srv, roots := serveTLS(t, func(srv *httptest.Server) {
		srv.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names.Store("sni", hello.ServerName)
			return nil, nil
		}}
	}, func(_ http.ResponseWriter, r *http.Request) { names.Store("host", r.Host) })
	h := newHTTP(t, webhook.Config{RootCAs: roots, Resolver: resolver(t, func() []string { return []string{"127.0.0.1"} })})
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	s := broadcast(t, "https://example.com:"+port+"/")
	if out := h.Deliver(t.Context(), toInstance(s, srv.Listener.Addr().String())); out.Class != relay.ClassHandled {
		t.Fatalf("%+v", out)
	}
	sni, _ := names.Load("sni")
	if host, _ := names.Load("host"); host != "example.com:"+port || sni != "example.com" {
		t.Errorf("Host %v, server name %v", host, sni)
	}
}

func TestEgressHoldsForEachInstance(t *testing.T) {
	t.Parallel()
	port, reached := everywhere(t)
	h := newHTTP(t, webhook.Config{Egress: parseEgress(t, "127.0.0.2"), Resolver: resolver(t, func() []string { return []string{"127.0.0.2"} })})
	s := broadcast(t, fmt.Sprintf("http://workers.test:%d/", port))
	if out := h.Deliver(t.Context(), toInstance(s, "169.254.169.254:80")); out.Class != relay.ClassDead || !out.Push {
		t.Errorf("a metadata address: %+v", out)
	}
	s.Trusted = false
	for instance, want := range map[string]relay.Class{"127.0.0.2": relay.ClassHandled, "127.0.0.3": relay.ClassPushFailed} {
		if out := h.Deliver(t.Context(), toInstance(s, fmt.Sprint(instance, ":", port))); out.Class != want {
			t.Errorf("%s: %+v, want class %d", instance, out, want)
		}
	}
	if at := reached(); len(at) != 1 {
		t.Errorf("reached %v", at)
	}
}

func TestAHostIsLookedUpOnceInAWhile(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { asked.Add(1); return []string{"127.0.0.2"} })})
	s := broadcast(t, "http://workers.test/")
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil)); out.Class != relay.ClassResolved {
				t.Errorf("%+v", out)
			}
		})
	}
	group.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times at once", n)
	}
	deadline := time.Now().Add(20 * time.Second)
	for asked.Load() < 2 && time.Now().Before(deadline) {
		h.Deliver(t.Context(), conformance.NewDelivery(s, nil))
	}
	if asked.Load() < 2 {
		t.Error("an answer is used for ever")
	}
}

func TestAHostWithoutAnAddressIsAFailedPush(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { return nil })})
	s := broadcast(t, "http://user:hunter2@workers.test/")
	out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil))
	if out.Class != relay.ClassPushFailed || out.Started.IsZero() || !strings.Contains(out.Error, "the host name workers.test does not resolve") || strings.Contains(out.Error, "hunter2") {
		t.Errorf("outcome %+v", out)
	}
	s.Paused = true
	if out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil)); out.Class != relay.ClassParked || out.Reason != relay.ReasonPaused {
		t.Errorf("paused: %+v", out)
	}
}

// A resolver that says nothing costs time, and the deliveries of its host alone.
func TestASilentResolverIsGivenUp(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	h := newHTTP(t, webhook.Config{Resolver: silent})
	s := broadcast(t, "http://workers.test/")
	out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil))
	if out.Class != relay.ClassPushFailed || !strings.Contains(out.Error, "workers.test was not resolved within 3s") || out.Duration > 10*time.Second {
		t.Errorf("outcome %+v", out)
	}
	d := toInstance(s, harness.FreeAddress(t))
	if out := h.Deliver(t.Context(), d); out.Class != relay.ClassPushFailed || out.Gone {
		t.Errorf("an instance of a name that could not be looked up: %+v", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := newHTTP(t, webhook.Config{Resolver: silent}).Deliver(ctx, conformance.NewDelivery(s, nil)); out.Class != relay.ClassParked || out.Reason != relay.ReasonNone {
		t.Errorf("broken off: %+v", out)
	}
}

func TestAFailureSaysWhetherItsInstanceIsGone(t *testing.T) {
	t.Parallel()
	nobody := harness.FreeAddress(t)
	for _, row := range []struct {
		name   string
		answer []string
		gone   bool
	}{{"there", []string{"127.0.0.1", "127.0.0.2"}, false}, {"elsewhere", []string{"127.0.0.2"}, true}, {"no such name", nil, true}} {
		h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { return row.answer })})
		out := h.Deliver(t.Context(), toInstance(broadcast(t, "http://workers.test/"), nobody))
		if out.Class != relay.ClassPushFailed || out.Gone != row.gone {
			t.Errorf("%s: %+v", row.name, out)
		}
	}
}
