package throwaway

import (
	"errors"
	"syscall"
)

// errUnix is what everything that needs Unix fails with. This package compiles on Windows, so that what
// imports it can be checked, and starts no server there.
var errUnix = errors.New("throw-away servers run on Unix alone")

// credential is the user and the group that a server runs as.
type credential struct{ Uid, Gid uint32 }

const halting = syscall.Signal(0)

func newSession(*credential) *syscall.SysProcAttr { return nil }

func kill(int, syscall.Signal) error { return errUnix }

func removeSharedMemory(int) error { return errUnix }
