// Package crash marks the places at which a test kills the relay. In ordinary builds a mark
// is an empty function that the compiler removes. In builds with the tag crashpoints the
// process kills itself with SIGKILL at the mark that RELAY_CRASH_AT names, as in
// after-read or after-read:3 for the third time it is reached: no deferred call runs, no
// buffer is flushed, no connection is closed in good order.
package crash

// Variable is the environment variable that names the mark.
const Variable = "RELAY_CRASH_AT"

// Names of the marks, in the order in which a message passes them.
const (
	AfterRegister    = "after-register"    // rows are in memory, not read
	AfterRead        = "after-read"        // rows are read and routed, not handed on
	BeforeSend       = "before-send"       // an attempt begins, no byte is sent
	AfterSend        = "after-send"        // the last byte is sent, no answer has come
	AfterAnswer      = "after-answer"      // the answer has come
	BeforeWrite      = "before-write"      // a batch of outcomes is about to be written
	AfterWrite       = "after-write"       // it is committed
	BeforeUnregister = "before-unregister" // the relay still holds what it has written
)

// Names of the marks outside of a message's way.
const (
	SlotMaking    = "slot-making"    // the server is making the slot and waits for a transaction
	SlotMade      = "slot-made"      // the slot is made, streaming has not begun
	LeaseRenewing = "lease-renewing" // in the transaction that renews the leases
	LeaseRenewed  = "lease-renewed"  // it is committed, and nothing was done about it
)
