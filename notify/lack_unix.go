//go:build !windows

package notify

import (
	"syscall"

	"relay"
)

var lackingErrors = []lackingError{
	{syscall.EMFILE, relay.ResourceDescriptors},
	{syscall.ENFILE, relay.ResourceDescriptors},
	{syscall.ENOMEM, relay.ResourceMemory},
	{syscall.ENOBUFS, relay.ResourceMemory},
}

// unreachable are the errors of a resolver that does not work: packets to a name server that
// the machine is configured with do not arrive. What a server says about a name is another matter.
var unreachable = []syscall.Errno{syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EPERM}

// noAddress says that no local address can be assigned, as when all ports are in use.
const noAddress = syscall.EADDRNOTAVAIL
