//go:build !windows

package webhook

import "syscall"

// The errors by which the operating system says how a connection failed.
const (
	connRefused = syscall.ECONNREFUSED
	connReset   = syscall.ECONNRESET
	connClosed  = syscall.EPIPE // a write after the peer has closed
)
