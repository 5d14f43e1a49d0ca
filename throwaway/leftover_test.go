package throwaway_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// processesOf returns the processes whose command line or environment names a folder; a
// server's do.
func processesOf(t *testing.T, dir string) (pids []int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*")
	check(t, err)
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, name := range []string{"cmdline", "environ"} {
			// A process may be gone by now, or belong to another user.
			content, err := os.ReadFile(filepath.Join(path, name))
			if err == nil && bytes.Contains(content, []byte(dir)) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}
