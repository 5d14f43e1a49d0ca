package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relay/operate"
)

// start serves h on a port of its own and returns the address and a function that stops
// the server and returns what Serve returned.
func start(t *testing.T, h http.Handler) (addr string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Server{Handler: h, Log: slog.New(slog.DiscardHandler)}.Serve(ctx, ln) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), stop
}

func get(t *testing.T, addr, path string) (code int, body string) {
	t.Helper()
	r, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func handler(timeout time.Duration, probes ...Probe) http.Handler {
	return NewHandler(NewHealth(timeout, probes...), NewRegistry("v1.2.3"), slog.New(slog.DiscardHandler))
}

func well(state string) func(context.Context) (operate.Words, error) {
	return func(context.Context) (operate.Words, error) { return operate.Words{Text: state}, nil }
}

func ill(why string) func(context.Context) (operate.Words, error) {
	return func(context.Context) (operate.Words, error) { return operate.Words{}, errors.New(why) }
}

func TestHealthz(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, handler(0, Probe{"database", true, ill("refused")}))
	if code, body := get(t, addr, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("%d %q, want 200 while the process runs", code, body)
	}
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	hang := func(context.Context) (operate.Words, error) { select {} }
	tests := map[string]struct {
		probes []Probe
		code   int
		body   string
	}{
		"nothing to look at": {nil, 200, "ready\n"},
		"all well": {
			[]Probe{{"configuration", true, well("valid")}, {"database", true, well("")}, {"stream", false, well("streaming")}},
			200, "ready\nconfiguration: ok: valid\ndatabase: ok\nstream: ok: streaming\n",
		},
		"no database": {
			[]Probe{{"database", true, ill("connection refused")}, {"shards", true, well("64 of 64")}},
			503, "not ready\ndatabase: failed: connection refused\nshards: ok: 64 of 64\n",
		},
		"a dead broker fails no rollout": {
			[]Probe{{"database", true, well("")}, {"broker", false, ill("connection refused")}},
			200, "ready\ndatabase: ok\nbroker: failed: connection refused (does not decide readiness)\n",
		},
		"a probe that hangs": {
			[]Probe{{"database", true, hang}, {"shards", true, well("")}},
			503, "not ready\ndatabase: failed: no answer in time\nshards: ok\n",
		},
		"a probe that panics": {
			[]Probe{{"shards", true, func(context.Context) (operate.Words, error) { panic("nil map") }}},
			503, "not ready\nshards: failed: the probe panicked: nil map\n",
		},
		"an error of several lines": {
			[]Probe{{"database", true, ill("first\nsecond\n")}},
			503, "not ready\ndatabase: failed: first second\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := start(t, handler(300*time.Millisecond, tt.probes...))
			if code, body := get(t, addr, "/readyz"); code != tt.code || body != tt.body {
				t.Errorf("%d %q, want %d %q", code, body, tt.code, tt.body)
			}
		})
	}
}

func TestReadyzProbesHaveADeadline(t *testing.T) {
	t.Parallel()
	var left time.Duration
	NewHealth(0, Probe{"database", true, func(ctx context.Context) (operate.Words, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return operate.Words{}, nil
	}}).round()
	if left <= 0 || left > DefaultProbeTimeout {
		t.Errorf("%v left, want up to %v", left, DefaultProbeTimeout)
	}
}

// TestReadyzSharesARound holds the first round until every request has arrived.
func TestReadyzSharesARound(t *testing.T) {
	t.Parallel()
	const requests = 20
	var rounds atomic.Int32
	release := make(chan struct{})
	h := NewHealth(10*time.Second, Probe{"database", true, func(context.Context) (operate.Words, error) {
		rounds.Add(1)
		<-release
		return operate.Words{}, nil
	}})
	var arrived atomic.Int32
	addr, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == requests {
			time.AfterFunc(50*time.Millisecond, func() { close(release) })
		}
		h.ServeHTTP(w, r)
	}))
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			r, err := http.Get("http://" + addr)
			if err != nil {
				t.Error(err)
				return
			}
			r.Body.Close()
			if r.StatusCode != 200 {
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
	all.Wait()
	if n := rounds.Load(); n != 1 {
		t.Errorf("%d rounds for %d requests at once, want 1", n, requests)
	}
}

func TestMetricsPassPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing; install it with scripts/install-test, or: apt-get install prometheus")
	}
	addr, _ := start(t, handler(0))
	code, body := get(t, addr, "/metrics")
	if code != 200 || !strings.Contains(body, `relay_build_info{version="v1.2.3"} 1`) || !strings.Contains(body, "go_goroutines ") {
		t.Fatalf("%d %q", code, body)
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestMetricsThatFail keeps one broken collector from hiding the others.
func TestMetricsThatFail(t *testing.T) {
	t.Parallel()
	registry := NewRegistry("v1.2.3")
	registry.MustRegister(broken{})
	var log strings.Builder
	addr, stop := start(t, NewHandler(NewHealth(0), registry, slog.New(slog.NewTextHandler(&log, nil))))
	if code, body := get(t, addr, "/metrics"); code != 200 || !strings.Contains(body, "relay_build_info") {
		t.Errorf("%d %q", code, body)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "out of order") {
		t.Errorf("logged %q", log.String())
	}
}

// broken is a collector whose metric cannot be gathered.
type broken struct{}

func (broken) Describe(ch chan<- *prometheus.Desc) { ch <- brokenDesc() }

func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(brokenDesc(), errors.New("out of order"))
}

func brokenDesc() *prometheus.Desc {
	return prometheus.NewDesc("relay_broken_total", "Never there.", nil, nil)
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, handler(0))
	for _, path := range []string{"/", "/api/v1/messages", "/debug/pprof/", "/metrics/x"} {
		if code, _ := get(t, addr, path); code != 404 {
			t.Errorf("GET %s: %d, want 404", path, code)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		r, err := http.Post("http://"+addr+path, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d, want 405", path, r.StatusCode)
		}
	}
}

// A condition has the words of its probe; what a probe says in no words of its own has failed.
func TestConditionsNameTheirStates(t *testing.T) {
	t.Parallel()
	words := operate.Words{State: operate.StateOwns, Values: map[string]string{"n": "64"}, Text: "owns 64 of 64"}
	h := NewHealth(0,
		Probe{"shards", true, func(context.Context) (operate.Words, error) { return words, nil }},
		Probe{"stream", false, func(context.Context) (operate.Words, error) {
			return operate.Words{}, fmt.Errorf("look: %w", operate.Words{State: operate.StateNoStream, Text: "no stream:\nthe slot is gone"})
		}},
		Probe{"database", true, ill("connection refused")})
	want := []operate.Condition{
		{Name: "shards", Well: true, Decides: true, Text: "owns 64 of 64", State: operate.StateOwns, Values: words.Values},
		{Name: "stream", Text: "no stream: the slot is gone", State: operate.StateNoStream},
		{Name: "database", Decides: true, Text: "connection refused", State: operate.StateFailed},
	}
	if got := h.Conditions(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
