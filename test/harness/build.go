package harness

import (
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"relay/throwaway"
)

// builds holds the binaries that this test process has built.
var builds = struct {
	sync.Mutex
	dir  string // made with the first
	done map[string]build
}{done: map[string]build{}}

// build is how one call of go build ended.
type build struct {
	path string
	err  error
}

// Build builds a command of this module, such as "relay/cmd/relay", and returns the path
// of the binary. Each command and set of build tags is built once per test process, with the
// race detector if the tests have it.
func Build(t testing.TB, pkg string, tags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	key := pkg + " " + strings.Join(tags, ",")
	b, found := builds.done[key]
	if !found {
		b.path, b.err = buildOnce(pkg, strings.Join(tags, ","))
		builds.done[key] = b
	}
	if b.err != nil {
		t.Fatalf("harness: %v", b.err)
	}
	return b.path
}

// buildOnce runs with builds locked.
func buildOnce(pkg, tags string) (string, error) {
	if builds.dir == "" {
		dir, remove, err := throwaway.TempDir("relay-test-build")
		if err != nil {
			return "", fmt.Errorf("build %s: %w", pkg, err)
		}
		atExit(remove)
		builds.dir = dir
	}
	binary := filepath.Join(builds.dir, path.Base(pkg)+"-"+strconv.Itoa(len(builds.done)))
	out, err := exec.Command("go", "build", "-o", binary, "-tags", tags, fmt.Sprintf("-race=%t", raced), pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}
