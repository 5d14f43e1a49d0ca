//go:build !windows

package throwaway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// credential is the user and the group that a server runs as.
type credential = syscall.Credential

// halting stops a process until it is told to go on, or killed.
const halting = syscall.SIGSTOP

// newSession has a process start in a session of its own, as another user if c is not nil.
func newSession(c *credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: c}
}

// kill sends a signal to a process.
func kill(pid int, signal syscall.Signal) error { return syscall.Kill(pid, signal) }

// removeSharedMemory removes a System V segment.
func removeSharedMemory(id int) error {
	_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}
