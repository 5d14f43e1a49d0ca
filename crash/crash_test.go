package crash_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"relay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// The command passes the mark 'second' after 'first', three times each.
func TestAProcessDiesAtTheMark(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags  []string
		at    string
		lines int
		dies  bool
	}{
		"the first time":          {[]string{"crashpoints"}, "second", 1, true},
		"the third time":          {[]string{"crashpoints"}, "second:3", 3, true},
		"never reached":           {[]string{"crashpoints"}, "third", 3, false},
		"nothing is asked":        {[]string{"crashpoints"}, "", 3, false},
		"a build without the tag": {nil, "second", 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(harness.Build(t, "relay/crash/testdata/passes", c.tags...))
			cmd.Env = append(os.Environ(), "RELAY_CRASH_AT="+c.at)
			out, err := cmd.Output()
			if n := strings.Count(string(out), "\n"); n != c.lines {
				t.Errorf("the first mark was passed %d times, want %d", n, c.lines)
			}
			var exit *exec.ExitError
			killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
			if killed != c.dies || !c.dies && err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
