package amqp

import (
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"relay"
)

// A relay that could not open a socket to the broker counted an attempt for every message.
func TestABrokerThatCannotBeDialledForWantOfADescriptorIsNotDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{URL: "amqp://localhost"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			errno syscall.Errno
			class relay.Class
			blame relay.Blame
			lack  relay.Resource
		}{
			{syscall.EMFILE, relay.ClassParked, relay.BlameNone, relay.ResourceDescriptors},
			{syscall.ECONNREFUSED, relay.ClassPushFailed, relay.BlameOrigin, relay.ResourceNone},
		} {
			a.lost(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", c.errno)})
			out := a.Deliver(t.Context(), delivery(t, "amqp:/orders"))
			if out.Class != c.class || out.Blame != c.blame || out.Lack != c.lack || out.Error == "" {
				t.Errorf("%v: class %d, blame %d, lack %q: %s", c.errno, out.Class, out.Blame, out.Lack, out.Error)
			}
		}
	})
}
