package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"relay/admin/access"
	"relay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	adminToken  = "admin-token-of-the-test"
	viewerToken = "viewer-token-of-the-test"
)

// fixture is an API that serves HTTP.
type fixture struct {
	*API
	t   testing.TB
	url string
}

// serve starts an API.
func serve(t testing.TB, c Config) *fixture {
	t.Helper()
	if c.Guard == nil {
		c.Guard = access.New(adminToken, viewerToken)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(testLog{t}, nil))
	}
	if c.Settings.MaxPayload == 0 {
		c.Settings.MaxPayload = 1 << 20
	}
	if c.Settings.Capture == "" {
		c.Settings.Capture = "stream"
	}
	if c.Settings.BackoffMS == nil {
		c.Settings.BackoffMS = []int64{}
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return &fixture{a, t, server.URL}
}

// testLog writes a log into the test's own.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem reads the answer as a problem.
func (a answer) problem(t testing.TB) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status || p.Code == "" {
		t.Fatalf("status %d, %s is no problem: %s (%v)", a.status, a.header.Get("Content-Type"), a.body, err)
	}
	return p
}

// into reads the answer, which must have a status.
func (a answer) into(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// do sends a request as the operator, unless the headers, names and values in turn, say otherwise, and holds the answer
// to the document.
func (f *fixture) do(method, path string, body any, header ...string) answer {
	f.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			f.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+Prefix+path, reader)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	got := f.send(r)
	judge(f.t, r, got)
	return got
}

func (f *fixture) send(r *http.Request) answer {
	f.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, content}
}
