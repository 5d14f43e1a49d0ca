//go:build !windows

package main

import (
	"context"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminalColumns reports whether f is a terminal, and how wide it is; 0 if it does not know.
func terminalColumns(f *os.File) (columns int, is bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Col), true
}

// openFiles returns how many files the process may have open at once. The Go runtime has
// raised the soft limit to the hard one before main begins.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // what most systems allow at the least
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// shell returns a command that the system's shell runs. The end of ctx kills it, with what it has started.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}
