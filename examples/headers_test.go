package examples

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"relay"
	"relay/notify/webhook"
)

// reader is a program of one language that answers a request with the value of its header
// x-name, each character as its number.
type reader struct {
	name    string
	command []string // the port follows
	latin   bool     // it takes the bytes for ISO 8859-1
}

var readers = []reader{
	{name: "go"},
	{name: "node", command: []string{"node", "testdata/headers.mjs"}, latin: true},
	{name: "java", command: []string{"java", "testdata/Headers.java"}, latin: true},
	{name: "python", command: []string{"/usr/bin/python3", "testdata/headers.py"}, latin: true},
}

// TestHeaderValuesOutsideASCII shows why the relay percent-encodes such values: receivers do not
// agree on what the bytes mean. What it sends they all read alike, and decode to the row's value.
func TestHeaderValuesOutsideASCII(t *testing.T) {
	t.Parallel()
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			address := r.start(t)
			const value = "größe 100% \"日本\""
			want := value
			if r.latin {
				want = latin(value)
			}
			if got := post(t, address, value); got != want {
				t.Errorf("of the bytes it reads %q, want %q", got, want)
			}
			encoded := deliver(t, address, value)
			if decoded, err := url.PathUnescape(encoded); err != nil || decoded != value {
				t.Errorf("of the relay it reads %q, decoded %q, want %q: %v", encoded, decoded, value, err)
			}
			const plain = `Bearer a+b/c=; q="100%", 'x'`
			if got := deliver(t, address, plain); got != plain {
				t.Errorf("of the relay it reads %q, want %q", got, plain)
			}
		})
	}
}

// start runs the program until the test ends and returns the address at which it listens.
func (r reader) start(t *testing.T) string {
	t.Helper()
	if r.command == nil {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, c := range r.Header.Get("X-Name") {
				fmt.Fprintf(w, "%d ", c)
			}
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	if err := lacksCommand(r.command[0]); err != nil && os.Getenv("CI") == "" {
		t.Skipf("%v; scripts/install-test installs it", err)
	}
	port := freePort(t)
	cmd := exec.Command(r.command[0], append(r.command[1:], port)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; scripts/install-test installs it", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // an error only says that it was killed
	})
	waitListening(t, port)
	return "http://" + net.JoinHostPort("127.0.0.1", port)
}

// latin is what a text in UTF-8 looks like to a program that takes it for ISO 8859-1.
func latin(value string) string {
	var b strings.Builder
	for i := range len(value) {
		b.WriteRune(rune(value[i]))
	}
	return b.String()
}

// post sends the bytes of the value as they are.
func post(t *testing.T, address, value string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-name", value)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return characters(t, answer)
}

// deliver sends the value as the header of a row.
func deliver(t *testing.T, address, value string) string {
	t.Helper()
	target, err := relay.ParseTarget(address)
	if err != nil {
		t.Fatal(err)
	}
	destination, err := webhook.New(webhook.Config{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer destination.Close()
	out := destination.Deliver(t.Context(), &relay.Delivery{
		Message:    &relay.Message{ID: relay.NewID(), Topic: "t", ContentType: "application/json", CreatedAt: time.Now()},
		Subscriber: &relay.Subscriber{Name: relay.SubscriptionDefault, Target: target, Trusted: true},
		Attempt:    1, Headers: map[string]string{"x-name": value},
	})
	if out.Class != relay.ClassHandled {
		t.Fatalf("outcome %+v", out)
	}
	return characters(t, out.Response)
}

// characters reads the numbers that a program has answered.
func characters(t *testing.T, answer []byte) string {
	t.Helper()
	var b strings.Builder
	for number := range strings.FieldsSeq(string(answer)) {
		var c rune
		if _, err := fmt.Sscan(number, &c); err != nil {
			t.Fatalf("answer %q: %v", answer, err)
		}
		b.WriteRune(c)
	}
	return b.String()
}
