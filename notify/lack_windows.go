package notify

import (
	"syscall"

	"golang.org/x/sys/windows"

	"relay"
)

var lackingErrors = []lackingError{
	{windows.WSAEMFILE, relay.ResourceDescriptors},
	{windows.ERROR_TOO_MANY_OPEN_FILES, relay.ResourceDescriptors},
	{windows.ERROR_NOT_ENOUGH_MEMORY, relay.ResourceMemory},
	{windows.WSAENOBUFS, relay.ResourceMemory},
}

// unreachable are the errors of a resolver that does not work: packets to a name server that
// the machine is configured with do not arrive. What a server says about a name is another matter.
var unreachable = []syscall.Errno{windows.WSAECONNREFUSED, windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAEACCES}

// noAddress says that no local address can be assigned, as when all ports are in use.
const noAddress = windows.WSAEADDRNOTAVAIL
