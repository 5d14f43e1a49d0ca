package throwaway

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// childrenOf returns the processes whose parent is pid, by /proc. Where there is no /proc
// it returns none: PostgreSQL's children then end by themselves when they miss the server.
func childrenOf(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var children []int
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, parent := processState(child); parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// processState returns the state letter and the parent of a process; "" if it is gone.
func processState(pid int) (state string, parent int) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0
	}
	// The second field, the name in parentheses, may itself hold blanks and parentheses.
	_, rest, found := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 2 {
		return "", 0
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return "", 0
	}
	return fields[0], parent
}

// waitGone waits until the processes have ended; a zombie has.
func waitGone(pids []int, within time.Duration) error {
	deadline := time.Now().Add(within)
	for _, pid := range pids {
		for {
			state, _ := processState(pid)
			if state == "" || state == "Z" || state == "X" {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d did not end within %s", pid, within)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}

// freeSharedMemory removes the System V segment that a killed server left behind. Its id
// is the second number on the seventh line of the server's lock file, which a server that
// ended in order has deleted.
func freeSharedMemory(lockFile []string) {
	if len(lockFile) < 7 {
		return
	}
	fields := strings.Fields(lockFile[6])
	if len(fields) != 2 {
		return
	}
	if id, err := strconv.Atoi(fields[1]); err == nil {
		// The segment is a few bytes and may be gone already: no error is worth reporting.
		_ = removeSharedMemory(id)
	}
}
