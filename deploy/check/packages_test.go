package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// machine is a copy of this machine's root that is thrown away: what is written there stays in memory. Packages are
// installed in it by the real dpkg and rpm.
type machine struct {
	t    *testing.T
	root string
}

// newMachine mounts the copy. It needs root, or the capability to mount.
func newMachine(t *testing.T) *machine {
	t.Helper()
	base := t.TempDir()
	m := &machine{t, filepath.Join(base, "root")}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", base, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatalf("mount a file system in memory: %v; run make package-test as root", err)
	}
	t.Cleanup(func() { m.unmount(base) })
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := "lowerdir=/,upperdir=" + filepath.Join(base, "upper") + ",workdir=" + filepath.Join(base, "work")
	if err := syscall.Mount("overlay", m.root, "overlay", 0, options); err != nil {
		t.Fatalf("mount a copy of this machine's root: %v", err)
	}
	t.Cleanup(func() { m.unmount(m.root) })
	return m
}

func (m *machine) unmount(dir string) {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		m.t.Errorf("unmount %s: %v", dir, err)
	}
}

// run runs a command in the copy.
func (m *machine) run(args ...string) (string, error) {
	cmd := exec.CommandContext(m.t.Context(), args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) must(args ...string) string {
	m.t.Helper()
	out, err := m.run(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// has says whether a file is in the copy.
func (m *machine) has(path string) bool {
	_, err := os.Lstat(filepath.Join(m.root, path))
	return err == nil
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, path), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// bring copies the one package of this machine's architecture that the pattern matches into the copy.
func (m *machine) bring(pattern string) (path string) {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(*dist, pattern))
	if err != nil || len(found) != 1 {
		m.t.Fatalf("%s: %v, %v; run make package first", pattern, found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("/"+filepath.Base(found[0]), string(text))
	return "/" + filepath.Base(found[0])
}

// checkInstalled checks what a package brings.
func (m *machine) checkInstalled(licence string) {
	m.t.Helper()
	if out := m.must("/usr/bin/relay", "version"); !strings.HasPrefix(out, "relay ") {
		m.t.Errorf("relay version prints %q", out)
	}
	for _, path := range []string{"/etc/relay/relay.env", "/usr/share/bash-completion/completions/relay", licence} {
		if !m.has(path) {
			m.t.Errorf("%s is missing", path)
		}
	}
	if out := m.must("systemd-analyze", "verify", "--man=no", "relay.service"); strings.Contains(out, "relay.service:") {
		m.t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	for path, want := range map[string]os.FileMode{"/usr/bin/relay": 0o755, "/etc/relay": 0o750, "/etc/relay/relay.env": 0o640} {
		info, err := os.Stat(filepath.Join(m.root, path))
		if err != nil || info.Mode().Perm() != want || info.Sys().(*syscall.Stat_t).Uid != 0 {
			m.t.Errorf("%s: mode %v, %v; want %v of root", path, info.Mode(), err, want)
		}
	}
}

// noteServices has the copy look like a machine that systemd runs, which it is not: systemctl notes what it is told.
func (m *machine) noteServices() {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Join(m.root, "run/systemd/system"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	m.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/systemctl.log\n")
	if err := os.Chmod(filepath.Join(m.root, "usr/bin/systemctl"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// checkServices checks what systemctl was told since the last look, apart from daemon-reload, which must be there.
func (m *machine) checkServices(when string, want ...string) {
	m.t.Helper()
	path := filepath.Join(m.root, "systemctl.log")
	text, err := os.ReadFile(path)
	if err != nil || os.Remove(path) != nil {
		m.t.Fatalf("%s: systemctl was told nothing: %v", when, err)
	}
	told := strings.Split(strings.TrimSpace(string(text)), "\n")
	others := slices.DeleteFunc(slices.Clone(told), func(line string) bool { return line == "daemon-reload" })
	if !slices.Equal(others, want) || len(others) == len(told) {
		m.t.Errorf("%s: systemctl was told %q, want daemon-reload and %q", when, told, want)
	}
}

// edit writes what an administrator writes, before an upgrade and a removal.
func (m *machine) edit() {
	m.t.Helper()
	m.write("/etc/relay/relay.env", "RELAY_LOG_FORMAT=json\n")
	m.write("/etc/relay/database-url", "postgres://relay@localhost/shop\n")
}

// checkEdited checks that the administrator's files are as they were.
func (m *machine) checkEdited(when, settings string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, settings))
	if err != nil || string(text) != "RELAY_LOG_FORMAT=json\n" || !m.has("/etc/relay/database-url") {
		m.t.Errorf("%s: the settings are %q, %v; the database's URL is there: %v", when, text, err, m.has("/etc/relay/database-url"))
	}
}

// The Debian package is installed, installed again as an upgrade is, removed and purged by dpkg itself.
func TestDebianPackage(t *testing.T) {
	if *dist == "" {
		return
	}
	m := newMachine(t)
	m.noteServices()
	file := m.bring("relay_*_" + runtime.GOARCH + ".deb")
	m.must("dpkg", "--install", file)
	m.checkServices("an installation")
	m.checkInstalled("/usr/share/doc/relay/copyright")
	m.edit()
	m.must("dpkg", "--install", "--force-confdef", "--force-confold", file)
	m.checkServices("an upgrade", "try-restart relay.service")
	m.checkInstalledAfterEdit("an upgrade", "/etc/relay/relay.env")
	m.must("dpkg", "--remove", "relay")
	m.checkServices("a removal", "disable --now relay.service")
	if m.has("/usr/bin/relay") || m.has("/lib/systemd/system/relay.service") {
		t.Error("a removal left the program or the unit")
	}
	m.checkEdited("a removal", "/etc/relay/relay.env")
	m.must("dpkg", "--purge", "relay")
	if m.has("/etc/relay") {
		t.Error("a purge left /etc/relay")
	}
}

// checkInstalledAfterEdit checks an upgrade: the program runs, and the administrator's files are as they were.
func (m *machine) checkInstalledAfterEdit(when, settings string) {
	m.t.Helper()
	m.must("/usr/bin/relay", "version")
	m.checkEdited(when, settings)
}

// The RPM package is installed, installed again as an upgrade is, and removed by rpm itself, which has no other package
// here and so must not look for what this one needs.
func TestRPMPackage(t *testing.T) {
	if *dist == "" {
		return
	}
	m := newMachine(t)
	m.noteServices()
	file := m.bring("relay-*." + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + ".rpm")
	m.must("rpm", "--install", "--nodeps", file)
	m.checkServices("an installation")
	m.checkInstalled("/usr/share/licenses/relay/LICENSE")
	m.edit()
	m.must("rpm", "--upgrade", "--nodeps", "--force", file)
	m.checkServices("an upgrade", "try-restart relay.service")
	m.checkInstalledAfterEdit("an upgrade", "/etc/relay/relay.env")
	m.must("rpm", "--erase", "--nodeps", "relay")
	m.checkServices("a removal", "disable --now relay.service")
	if m.has("/usr/bin/relay") || m.has("/usr/lib/systemd/system/relay.service") {
		t.Error("a removal left the program or the unit")
	}
	m.checkEdited("a removal", "/etc/relay/relay.env.rpmsave")
}
