package webhook

import "golang.org/x/sys/windows"

// The errors by which the operating system says how a connection failed. The constants of package
// syscall with the names of Unix are never returned on Windows.
const (
	connRefused = windows.WSAECONNREFUSED
	connReset   = windows.WSAECONNRESET
	connClosed  = windows.WSAECONNABORTED // a write after the peer has closed
)
