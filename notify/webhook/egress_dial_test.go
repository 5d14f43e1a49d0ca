package webhook_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
)

// resolver starts a name server that gives answer's addresses for any name, and returns a
// resolver that asks it.
func resolver(t *testing.T, answer func() []string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n], answer); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() { conn.Close(); wg.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// dnsReply answers the first question of a query (RFC 1035, section 4): the addresses for
// type A, nothing for the other types.
func dnsReply(query []byte, answer func() []string) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	if end+5 > len(query) {
		return nil
	}
	question := query[header : end+5]
	var addresses []string
	if binary.BigEndian.Uint16(question[len(question)-4:]) == 1 {
		addresses = answer()
	}
	reply := append([]byte{}, query[:2]...)
	reply = append(reply, 0x84, 0, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0)
	reply = append(reply, question...)
	for _, address := range addresses {
		// The name is a pointer to the question's; type A, class IN, no time to live, 4 bytes.
		reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, netip.MustParseAddr(address).AsSlice()...)
	}
	return reply
}

// everywhere serves on every address of loopback and tells its port and at which
// addresses it was reached. It closes each connection after one answer.
func everywhere(t *testing.T) (port int, reached func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	at := make(map[string]int)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		mu.Lock()
		at[local.IP.String()]++
		mu.Unlock()
		w.Header().Set("Connection", "close")
	}))
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return l.Addr().(*net.TCPAddr).Port, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
}

func parseEgress(t *testing.T, s string) *webhook.Egress {
	t.Helper()
	e, err := webhook.ParseEgress(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEgressAtDialTime(t *testing.T) {
	t.Parallel()
	port, _ := everywhere(t)
	const named = "http://hooks.test"
	rows := []struct {
		name, allow, target string
		answer              []string
		trusted             bool
		class               relay.Class
	}{
		{"operator's loopback", "", "http://127.0.0.1", nil, true, relay.ClassHandled},
		{"row's loopback", "", "http://127.0.0.1", nil, false, relay.ClassPushFailed},
		{"row's loopback, mapped", "", "http://[::ffff:127.0.0.1]", nil, false, relay.ClassPushFailed},
		{"row's loopback, unspecified", "", "http://0.0.0.0", nil, false, relay.ClassPushFailed},
		{"row's loopback, by name", "", named, []string{"127.0.0.1"}, false, relay.ClassPushFailed},
		{"row's private address, by name", "loopback", named, []string{"10.255.255.1"}, false, relay.ClassPushFailed},
		{"allowed by word", "loopback", "http://127.0.0.1", nil, false, relay.ClassHandled},
		{"allowed by prefix", "127.0.0.2/32", named, []string{"127.0.0.2"}, false, relay.ClassHandled},
		{"allowed by host", "HOOKS.test", named, []string{"127.0.0.1"}, false, relay.ClassHandled},
		{"another host is allowed", "other.test", named, []string{"127.0.0.1"}, false, relay.ClassPushFailed},
		{"first address denied, second allowed", "127.0.0.2", named, []string{"127.0.0.1", "127.0.0.2"}, false, relay.ClassHandled},
		{"metadata", "", "http://169.254.169.254", nil, false, relay.ClassDead},
		{"metadata by the operator", "", "http://169.254.169.254", nil, true, relay.ClassDead},
		{"metadata, mapped", "", "http://[::ffff:169.254.169.254]", nil, true, relay.ClassDead},
		{"metadata by name", "", named, []string{"169.254.169.254"}, true, relay.ClassDead},
		{"metadata, host allowed", "hooks.test 0.0.0.0/0", named, []string{"169.254.169.254"}, false, relay.ClassDead},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := newHTTP(t, webhook.Config{
				Egress: parseEgress(t, row.allow), Resolver: resolver(t, func() []string { return row.answer }),
			})
			s := rowsTarget(t, fmt.Sprintf("%s:%d/", row.target, port))
			s.Trusted = row.trusted
			out := h.Deliver(t.Context(), conformance.NewDelivery(s, nil))
			if out.Class != row.class || out.Push != (row.class == relay.ClassDead) {
				t.Errorf("outcome %+v, want class %d", out, row.class)
			}
			if named := strings.Contains(out.Error, "RELAY_EGRESS_ALLOW"); named != (row.class == relay.ClassPushFailed) {
				t.Errorf("error %q", out.Error)
			}
		})
	}
}

// The name leads to an allowed address when asked first and elsewhere from then on.
func TestEgressWhenDNSChangesItsAnswer(t *testing.T) {
	t.Parallel()
	port, reached := everywhere(t)
	var asked atomic.Int32
	changing := resolver(t, func() []string {
		switch asked.Add(1) % 3 {
		case 1:
			return []string{"127.0.0.2"}
		case 2:
			return []string{"127.0.0.1"}
		}
		return []string{"169.254.169.254"}
	})
	h := newHTTP(t, webhook.Config{Egress: parseEgress(t, "127.0.0.2"), Resolver: changing})
	counts := make(map[relay.Class]int)
	for range 30 {
		out := h.Deliver(t.Context(), conformance.NewDelivery(rowsTarget(t, fmt.Sprintf("http://hooks.test:%d/", port)), nil))
		counts[out.Class]++
	}
	at := reached()
	if len(at) != 1 || at["127.0.0.2"] != counts[relay.ClassHandled] {
		t.Errorf("reached %v, %v", at, counts)
	}
	if counts[relay.ClassHandled] == 0 || counts[relay.ClassPushFailed] == 0 || counts[relay.ClassDead] == 0 {
		t.Errorf("classes %v, want handled, push failed and dead", counts)
	}
}

// A connection that the operator's target opened must not carry a row's message.
func TestEgressConnectionsAreApartByTrust(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(http.ResponseWriter, *http.Request) {})
	h := newHTTP(t, webhook.Config{})
	for range 2 {
		if out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, srv.URL), nil)); out.Class != relay.ClassHandled {
			t.Errorf("operator's: %+v", out)
		}
		if out := h.Deliver(t.Context(), conformance.NewDelivery(rowsTarget(t, srv.URL), nil)); out.Class != relay.ClassPushFailed {
			t.Errorf("row's: %+v", out)
		}
	}
}

func TestHTTPNameThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { return nil })})
	out := h.Deliver(t.Context(), conformance.NewDelivery(operatorsTarget(t, "http://nowhere.test/hook"), nil))
	if out.Class != relay.ClassPushFailed || !strings.Contains(out.Error, "the host name nowhere.test does not resolve") {
		t.Errorf("outcome %+v", out)
	}
}
