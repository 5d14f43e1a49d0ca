package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"relay/admin"
	"relay/operate"
)

// readyServer serves /readyz as a relay does, and returns its port.
func readyServer(t *testing.T, database error) string {
	t.Helper()
	health := admin.NewHealth(0,
		admin.Probe{Name: "database", Decides: true, Check: func(context.Context) (operate.Words, error) { return operate.Words{Text: "answers"}, database }},
		admin.Probe{Name: "stream", Check: func(context.Context) (operate.Words, error) { return operate.Words{}, errors.New("no slot") }})
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", health.Brief())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	port := readyServer(t, nil)
	for name, env := range map[string]map[string]string{
		"every address": {"RELAY_METRICS_ADDR": ":" + port},
		"IPv4":          {"RELAY_METRICS_ADDR": "0.0.0.0:" + port},
		"loopback":      {"RELAY_METRICS_ADDR": "127.0.0.1:" + port},
		"admin address": {"RELAY_METRICS_ADDR": "off", "RELAY_ADMIN_ADDR": "127.0.0.1:" + port},
		"with a proxy":  {"RELAY_METRICS_ADDR": ":" + port, "HTTP_PROXY": "http://127.0.0.1:1"},
	} {
		code, out, errs := runMain(t, t.Context(), env, "healthy")
		if code != 0 || errs != "" || !strings.HasPrefix(out, "ready\ndatabase: ok\nstream: failed") {
			t.Errorf("%s: code %d, stdout %q, stderr %q", name, code, out, errs)
		}
	}
	var answer readiness
	_, out, _ := runMain(t, t.Context(), map[string]string{"RELAY_METRICS_ADDR": ":" + port}, "healthy", "--json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || !answer.Ready || answer.Parts["database"] != "ok" {
		t.Errorf("--json: %q, %v", out, err)
	}
}

func TestHealthyFails(t *testing.T) {
	t.Parallel()
	down := readyServer(t, errors.New("HUSH"))
	for name, row := range map[string]struct {
		env  map[string]string
		want string
	}{
		"not ready":   {map[string]string{"RELAY_METRICS_ADDR": ":" + down}, "answers 503: not ready; database: failed; stream: failed"},
		"no relay":    {map[string]string{"RELAY_METRICS_ADDR": "127.0.0.1:1"}, "no relay answers at 127.0.0.1:1"},
		"off":         {map[string]string{"RELAY_METRICS_ADDR": "off", "RELAY_ADMIN_ADDR": "off"}, "set one of them"},
		"bad address": {map[string]string{"RELAY_METRICS_ADDR": "9464"}, `RELAY_METRICS_ADDR: bad value "9464": not host:port`},
	} {
		code, out, errs := runMain(t, t.Context(), row.env, "healthy")
		if code != exitFailure || out != "" || !strings.Contains(errs, row.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: code %d, stdout %q, stderr %q, want %q", name, code, out, errs, row.want)
		}
		leaked(t, name, errs)
	}
	code, out, _ := runMain(t, t.Context(), map[string]string{"RELAY_METRICS_ADDR": ":" + down}, "healthy", "--json")
	if code != exitFailure || !strings.Contains(out, `"ready":false`) && !strings.Contains(out, `"ready": false`) {
		t.Errorf("--json: code %d, stdout %q", code, out)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		":9464": "127.0.0.1:9464", "0.0.0.0:1": "127.0.0.1:1", "[::]:2": "[::1]:2", "relay:3": "relay:3", "[fd00::1]:4": "[fd00::1]:4",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
