package test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// demonstration is a `relay demo` under way.
type demonstration struct {
	cmd   *exec.Cmd
	dir   string // where its servers have their folders
	out   *logBuffer
	ended chan error
}

// startDemo starts a demo whose temporary folders lie in one of the test's own.
func startDemo(t *testing.T, args ...string) *demonstration {
	t.Helper()
	d := &demonstration{dir: t.TempDir(), out: &logBuffer{}, ended: make(chan error, 1)}
	d.cmd = command(t, append([]string{"demo"}, args...), "TMPDIR="+d.dir)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the demo's display:\n%s", d.out)
		}
	})
	go func() { d.ended <- d.cmd.Wait() }()
	return d
}

// exitCode waits for the end of the demo, and looks for what it left behind.
func (d *demonstration) exitCode(t *testing.T, within time.Duration) int {
	t.Helper()
	var err error
	select {
	case err = <-d.ended:
	case <-time.After(within):
		t.Fatalf("the demo did not end within %s", within)
	}
	harness.Eventually(t, 10*time.Second, "nothing is left behind", func() bool { return len(d.leftovers(t)) == 0 })
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return d.cmd.ProcessState.ExitCode()
}

// leftovers are folders of the demo's servers, and processes that know its folder.
func (d *demonstration) leftovers(t *testing.T) (all []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(d.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		for _, name := range []string{"cmdline", "environ"} {
			// A process may be gone by now, or be a zombie.
			content, err := os.ReadFile(filepath.Join(process, name))
			if err == nil && bytes.Contains(content, []byte(d.dir)) {
				all = append(all, process)
			}
		}
	}
	return all
}

func (d *demonstration) shows(t *testing.T, text string) {
	t.Helper()
	harness.Eventually(t, time.Minute, "the demo shows "+text, func() bool { return strings.Contains(d.out.String(), text) })
}

func TestDemoEndsByItself(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--for", "5s")
	d.shows(t, " 1s  committed ")
	if len(d.leftovers(t)) < 2 {
		t.Errorf("the test does not see the demo's folders and processes: %v", d.leftovers(t))
	}
	if code := d.exitCode(t, 90*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(d.out.String(), "Console  http://127.0.0.1:") {
		t.Errorf("the console's address is not the first line: %.200s", d.out)
	}
	for _, text := range []string{"HTTP    RabbitMQ       total", "committed messages arrived; none of the", "psql 'postgres://app:app@127.0.0.1:"} {
		if !strings.Contains(d.out.String(), text) {
			t.Errorf("it does not show %q", text)
		}
	}
}

func TestDemoShowsAPersonsOwnMessage(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--no-rabbitmq", "--rate", "20")
	d.shows(t, " 1s  committed ")
	_, url, found := strings.Cut(d.out.String(), "psql '")
	url, _, _ = strings.Cut(url, "'")
	if !found {
		t.Fatal("no psql line")
	}
	psql := exec.Command("psql", url, "-c", `insert into relay.outbox (topic, payload) values ('hello', '{"from": "me"}')`)
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.shows(t, "→ your message hello arrived over HTTP after ")
	d.shows(t, `: {"from": "me"}`)
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := d.exitCode(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// starts waits until the demo has a process of its own beside it. Nothing is shown by then.
func (d *demonstration) starts(t *testing.T) {
	t.Helper()
	harness.Eventually(t, time.Minute, "the demo starts a server", func() bool { return len(d.leftovers(t)) > 1 })
}

func TestDemoEndsCleanlyAtCtrlC(t *testing.T) {
	t.Parallel()
	for name, sign := range map[string]string{"while it starts": "", "in the middle": " 1s  committed "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t, "--no-rabbitmq")
			if sign == "" {
				d.starts(t)
			} else {
				d.shows(t, sign)
			}
			if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			want := 0
			if sign == "" { // nothing was shown: that is no success
				want = 128 + int(syscall.SIGINT)
			}
			if code := d.exitCode(t, 30*time.Second); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if summary := strings.Contains(d.out.String(), "latency p99"); summary != (want == 0) {
				t.Errorf("a summary was shown: %s", strconv.FormatBool(summary))
			}
		})
	}
}
