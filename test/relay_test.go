package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// process is a relay that runs as a process of its own.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	metrics string // address
	admin   string // address; /readyz there tells hosts and errors too
	streams bool   // it is expected to have a stream
	log     *logBuffer
	ended   chan struct{}
	err     error // of the process, once ended
}

// logBuffer collects what a process prints.
type logBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

// String returns what was printed so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// shownLines is how many lines of a relay's log a failed test prints: the whole of it would
// bury why the test failed.
const shownLines = 12

// excerpt returns the end of what was printed and says which file holds all of it.
func (b *logBuffer) excerpt() string {
	all := b.String()
	lines := strings.SplitAfter(all, "\n")
	if len(lines) <= shownLines {
		return all
	}
	file, err := os.CreateTemp("", "relay-test-*.log")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if _, err := file.WriteString(all); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("(%d lines, all in %s; the last %d:)\n%s", len(lines), file.Name(), shownLines, strings.Join(lines[len(lines)-shownLines:], ""))
}

// command prepares a relay command with nothing in its environment but what is given, as
// NAME=value.
func command(t testing.TB, args []string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(harness.Build(t, "relay/cmd/relay"), args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// prepare migrates a fresh database and grants the application's role its use.
func prepare(t testing.TB, db *harness.DB) {
	t.Helper()
	for _, args := range [][]string{{"migrate"}, {"grant", "app"}} {
		if out, err := command(t, args, "RELAY_DATABASE_URL="+db.URL).CombinedOutput(); err != nil {
			t.Fatalf("relay %s: %v\n%s", args[0], err, out)
		}
	}
}

// migrated is a database that relay migrate and relay grant app have prepared.
var migrated = harness.Template{Make: prepare}

// start runs a relay on the database and waits until it is ready. Local endpoints are
// allowed; env may say otherwise. It is killed at the end of the test if it still runs, and
// the end of its log is printed if the test failed.
func start(t testing.TB, db *harness.DB, env ...string) *process {
	t.Helper()
	p := launch(t, db, env...)
	p.waitReady()
	return p
}

// launch is start without waiting.
func launch(t testing.TB, db *harness.DB, env ...string) *process {
	t.Helper()
	return launchBinary(t, harness.Build(t, "relay/cmd/relay"), db, env...)
}

// launchBinary is launch with another build of the relay.
func launchBinary(t testing.TB, binary string, db *harness.DB, env ...string) *process {
	t.Helper()
	p := &process{t: t, metrics: harness.FreeAddress(t), admin: harness.FreeAddress(t), streams: !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "RELAY_CAPTURE=") }), log: &logBuffer{}, ended: make(chan struct{})}
	base := []string{
		"RELAY_DATABASE_URL=" + db.URL, "RELAY_SLOT=" + db.Name, "RELAY_METRICS_ADDR=" + p.metrics,
		"RELAY_ADMIN_ADDR=" + p.admin, "RELAY_EGRESS_ALLOW=loopback",
	}
	p.cmd = command(t, []string{"run"}, append(base, env...)...)
	p.cmd.Path = binary
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.kill()
		if strings.Contains(p.log.String(), "WARNING: DATA RACE") {
			t.Error("the race detector has found a data race in the relay")
		}
		if t.Failed() {
			t.Logf("log of the relay:\n%s", p.log.excerpt())
		}
	})
	return p
}

// waitReady waits until the relay owns its shards and hears its doorbell.
func (p *process) waitReady() {
	p.t.Helper()
	harness.Eventually(p.t, 30*time.Second, "the relay is ready", func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("the relay ended: %v\n%s", p.err, p.log.excerpt())
		default:
		}
		status, body := get(p.t, "http://"+p.metrics+"/readyz")
		return status == http.StatusOK && (strings.Contains(body, "stream: ok") || !p.streams)
	})
}

// kill ends the process with SIGKILL and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop sends SIGTERM and returns the process's error when it has ended.
func (p *process) stop(within time.Duration) error {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return p.err
	case <-time.After(within):
		p.t.Fatalf("the relay did not end within %s of SIGTERM\n%s", within, p.log.excerpt())
		return nil
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// metric returns the sum of a metric's samples; zero if there is none.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	_, body := get(p.t, "http://"+p.metrics+"/metrics")
	var sum float64
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, name) || strings.HasPrefix(line, name+"_") {
			continue
		}
		fields := strings.Fields(line)
		var v float64
		if _, err := fmt.Sscan(fields[len(fields)-1], &v); err == nil {
			sum += v
		}
	}
	return sum
}

// residentKB is the process's resident memory in kB, peakKB the most that it was.
func (p *process) residentKB() int { return p.memoryKB("VmRSS:") }

func (p *process) peakKB() int { return p.memoryKB("VmHWM:") }

func (p *process) memoryKB(field string) int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var kb int
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			fmt.Sscan(rest, &kb)
		}
	}
	return kb
}

// get asks a URL; a failure is status 0.
func get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(b)
}
