package machine

import (
	"time"

	"relay"
)

// Command is what is to be done. The loop carries it out and answers each ReadRow, ReadKey,
// Send, Write, Sweep, FindDue, ReadParked and FindBacklog by exactly one event.
type Command interface{ command() }

// ReadRow reads a pending message by its id, or a delivery of an open one: RowRead.
type ReadRow struct {
	Entry DeliveryID
	Shard int16 // negative: not known
}

// ReadKey reads the lowest pending messages and the unfinished deliveries of a key: KeyRead.
type ReadKey struct {
	Key   string
	Shard int16
	// After is the sequence behind which pending messages are read. Zero: from the lowest.
	After int64
	// Most is how many pending messages are read.
	Most int
	// Known are sequences that are not read, since they are in memory.
	Known []int64
}

// Send makes an attempt: Ended. It begins before Before or not at all.
type Send struct {
	Entry    DeliveryID
	Shard    int16
	Delivery *relay.Delivery
	// Due says that the time of the delivery has come, so that it may probe an open circuit.
	Due bool
	// Before is when the attempt must have begun, by the relay's monotonic clock; what begins
	// later may have been cancelled, or be another relay's.
	Before time.Duration
	// Check says that nothing is sent: only whether the instance still exists is asked. The
	// outcome is relay.ClassDead, with Gone.
	Check bool
}

// Write puts outcomes into the table, all of one message together, under the lease of the
// shard: Written or NotWritten.
type Write struct {
	Entry DeliveryID
	Shard int16
	Epoch int64
	// Taking says that the message was pending: it is taken up with all of these changes.
	Taking bool
	// Again says that it had ended before, when it was read. One that a person has set back
	// since is not written: it is to be sent again.
	Again bool
	// MessageStatus and Outstanding are the new state of a message that is taken up.
	MessageStatus relay.MessageStatus
	Outstanding   int
	Changes       []Change
	// Spread are the deliveries of a broadcast's instances that take the place of the one in
	// Changes.
	Spread []Change
}

// Change is the new state of one delivery. One without a subscription is a rejected message.
type Change struct {
	ID          DeliveryID
	Target      string
	Destination string
	Status      relay.DeliveryStatus
	Reason      relay.Reason
	Attempts    int
	// HandleAttempts are those that the destination answered with a failure of its logic.
	HandleAttempts int
	// Next is the delay until the next attempt, by the database's clock. Negative: none is set.
	Next         time.Duration
	ResponseCode int         // zero: none
	Error        string      // empty: none
	Cause        relay.Cause // the class of Error; empty: nothing failed
	Attempt      *Attempt
	// Acknowledges says that the consumer acknowledges, and may have done so already.
	Acknowledges bool
	// AckAttempt is the attempt whose failure the consumer told. Zero: none.
	AckAttempt int
}

// Attempt is the record of one attempt.
type Attempt struct {
	Number   int
	Started  time.Time
	Duration time.Duration
	Outcome  relay.DeliveryStatus
	Response []byte
}

// Sweep looks for what is pending or waits in the table: Swept.
type Sweep struct {
	Begin bool // from the beginning; else it goes on where the last one ended
	// Waiting says that keys with waiting deliveries alone are wanted, too.
	Waiting bool
	Limit   int
}

// FindDue makes delayed messages that are due ordinary pending ones, and finds the deliveries
// whose time has come: Due.
type FindDue struct{ Limit int }

// AskRoom asks for a Room event as soon as the destination has room for more.
type AskRoom struct{ Destination string }

// ReadParked finds deliveries that wait for their destination, by their sequence: Parked.
type ReadParked struct {
	Destination string
	After       int64
	Limit       int
}

// FindBacklog lists the destinations for which deliveries are parked: Backlog.
type FindBacklog struct{}

// EndOrphan ends a delivery whose message has ended or is gone. Nothing answers it.
type EndOrphan struct{ ID DeliveryID }

// Release gives up a shard that has nothing under way. Nothing answers it.
type Release struct{ Shard int16 }

// WakeAt asks for a Tick at a time. It replaces the one before.
type WakeAt struct{ At time.Duration }

func (ReadRow) command()     {}
func (ReadKey) command()     {}
func (Send) command()        {}
func (Write) command()       {}
func (Sweep) command()       {}
func (FindDue) command()     {}
func (AskRoom) command()     {}
func (ReadParked) command()  {}
func (FindBacklog) command() {}
func (EndOrphan) command()   {}
func (Release) command()     {}
func (WakeAt) command()      {}
