package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relay/test/harness"
)

// TestSystemdUnit has systemd itself read the unit, and judge how far it confines the relay: 2.0 at most, of 10.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../deploy/systemd/relay.service")
	if err != nil {
		t.Fatal(err)
	}
	// systemd-analyze looks for the program, which is not installed here.
	text := strings.Replace(string(unit), "/usr/bin/relay", harness.Build(t, "relay/cmd/relay"), 1)
	path := filepath.Join(t.TempDir(), "relay.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"verify", "--man=no", path}, {"security", "--offline=true", "--threshold=20", path}} {
		out, err := exec.Command("systemd-analyze", command...).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s (Debian's package systemd has it): %v\n%s", command[0], err, out)
		}
		if command[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze verify has something to say:\n%s", out)
		}
	}
}
