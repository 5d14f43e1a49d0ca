package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// containers is a container runtime with a store of its own, so that nothing is left on the machine.
type containers struct {
	t     testing.TB
	store string
}

func newContainers(t testing.TB) *containers {
	t.Helper()
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not on this machine; install it: apt-get install --no-install-recommends podman runc", program)
		}
	}
	return &containers{t, t.TempDir()}
}

// podman runs podman as root of a container needs it: with runc, since crun refuses hosts with both versions of
// cgroups.
func (c *containers) podman(args ...string) (string, error) {
	global := []string{"--root", filepath.Join(c.store, "root"), "--runroot", filepath.Join(c.store, "run"), "--tmpdir", filepath.Join(c.store, "tmp"),
		"--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"}
	out, err := exec.Command("podman", append(global, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *containers) must(args ...string) string {
	c.t.Helper()
	out, err := c.podman(args...)
	if err != nil {
		c.t.Fatalf("podman %s: %v\n%s", args[0], err, out)
	}
	return out
}

// makeImage builds the program for containers and writes the image, as scripts/package does for each platform.
func makeImage(t testing.TB) (archive string) {
	t.Helper()
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "relay"), filepath.Join(dir, "image.tar")
	for _, args := range [][]string{
		{"build", "-trimpath", "-ldflags", "-s -w", "-o", program, "relay/cmd/relay"},
		{"run", "relay/deploy/image", "-o", archive, "-version", "test", runtime.GOARCH + "=" + program},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
	return archive
}

// The image runs as it would in production: with a root that cannot be written, without a capability, as no known user,
// in 128 MB. It migrates, delivers, says that it is healthy, and stops within its grace period.
func TestImage(t *testing.T) {
	t.Parallel()
	archive := makeImage(t)
	const most = 25 << 20
	if info, err := os.Stat(archive); err != nil || info.Size() > most {
		t.Errorf("the image has %d bytes, want at most %d (%v)", info.Size(), most, err)
	}
	c, db, receiver, metrics := newContainers(t), harness.Database(t), newReceiver(t, nil), harness.FreeAddress(t)
	image := lastLine(c.must("pull", "--quiet", "oci-archive:"+archive))
	confined := []string{"--network", "host", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--memory", "128m", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--env", "RELAY_DATABASE_URL=" + db.URL}
	in := func(args ...string) []string { return append(append([]string{"run"}, confined...), args...) }
	c.must(in("--rm", image, "migrate")...)
	c.must(in("--rm", image, "grant", "app")...)
	t.Cleanup(func() {
		if out, err := c.podman("rm", "--force", "--ignore", "relay"); err != nil {
			t.Errorf("podman rm: %v\n%s", err, out)
		}
	})
	c.must(in("--detach", "--name", "relay", "--env", "RELAY_METRICS_ADDR="+metrics, "--env", "RELAY_ADMIN_ADDR=off",
		"--env", "RELAY_DEFAULT_DESTINATION="+receiver.URL, image)...)
	// The health check runs in a container beside: in a chroot, runc exec finds the root of the host, not that of the
	// image.
	var said string
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := c.podman("logs", "relay") // what podman says instead is shown
			t.Logf("relay healthy said %q, and the container\n%s", said, logs)
		}
	})
	harness.Eventually(t, 15*time.Second, "the relay in the container is healthy", func() (healthy bool) {
		var err error
		said, err = c.podman(in("--rm", "--env", "RELAY_METRICS_ADDR="+metrics, "--env", "RELAY_ADMIN_ADDR=off", image, "healthy")...)
		return err == nil
	})
	id := insertRow(t, db.App(t), "topic, payload", "'image.tried', '{}'")
	harness.Eventually(t, 15*time.Second, "the message arrives", func() bool { return receiver.accepted(id) == 1 })
	status, err := os.ReadFile(filepath.Join("/proc", c.must("inspect", "--format", "{{.State.Pid}}", "relay"), "status"))
	if err != nil || !strings.Contains(string(status), "\nUid:\t65532\t65532\t") {
		t.Errorf("the relay does not run as user 65532: %v\n%s", err, status)
	}
	c.must("stop", "--time", "25", "relay")
	if state := c.must("inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", "relay"); state != "0 false" {
		t.Errorf("the container ended with %s, want exit code 0\n%s", state, c.must("logs", "relay"))
	}
}

func lastLine(text string) string { return text[strings.LastIndex(text, "\n")+1:] }
