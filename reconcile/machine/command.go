package machine

import (
	"time"

	"relay"
	"relay/retry"
)

// Command is what is to be done. The loop carries it out and answers each ReadRow, ReadKey,
// ReadAck, Send, Write, Sweep, FindDue, AskRoom, ReadParked and FindBacklog by exactly one event. After a Stop no
// Sweep, FindDue, ReadParked or FindBacklog needs an answer: nothing in memory waits for it.
type Command interface{ command() }

// ReadRow reads a pending message by its id, or a delivery of an open one: RowRead.
type ReadRow struct {
	Entry relay.DeliveryID
	Shard int16
	// Streamed says that the stream has shown the row, which is therefore durable.
	Streamed bool
}

// ReadAck reads what the consumer has said about a delivery: AckRead.
type ReadAck struct {
	Entry relay.DeliveryID
	Shard int16
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
	// Streamed are the messages that the stream has shown, and that are therefore durable.
	Streamed map[relay.ID]bool
	// ended is the id below which all transactions had ended when the key was last read from its beginning.
	ended relay.Snapshot
}

// Awaits reports whether a message that the read shows is not to be taken yet: the stream has not shown it, nor had its
// transaction ended when the key was read from its beginning. One before it that committed late, with a lower sequence
// than those that are known, is reported first. xid is the transaction that wrote the row; zero: it is not known.
func (c *ReadKey) Awaits(id relay.ID, xid uint32) bool {
	return c.After > 0 && !c.Streamed[id] && (xid == 0 || !c.ended.Ended(xid))
}

// Send makes an attempt: AttemptEnded. It begins before Before or not at all.
type Send struct {
	Entry    relay.DeliveryID
	Shard    int16
	Delivery *relay.Delivery
	// Due says that the time of the delivery has come, so that it may probe an open circuit.
	Due bool
	// Waited is how long the delivery has been due.
	Waited time.Duration
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
	Entry relay.DeliveryID
	Shard int16
	Epoch int64
	// Taking says that the message was pending: it is taken up with all of these changes.
	Taking bool
	// Again says that it had ended before, when it was read. One that a person has set back
	// since is not written: it is to be sent again.
	Again bool
	// Message is the one that is taken up; of a delivery of an open one it may be nil.
	Message *relay.Message
	// Tries is how often it could not be written, and Since how long ago that began.
	Tries int
	Since time.Duration
	// Last is why it could not be written when it was tried last. Zero: it was not tried, or for want of a database.
	Last Why
	// Reduced is how often something was taken from it that the database refuses.
	Reduced int
	// MessageStatus and Outstanding are the new state of a message that is taken up.
	MessageStatus relay.MessageStatus
	Outstanding   int
	Changes       []retry.Change
	// Spread are the deliveries of a broadcast's instances that take the place of the one in
	// Changes.
	Spread []retry.Change
}

// Reduces reports whether something can be taken from it that the database may refuse.
func (w *Write) Reduces() bool {
	return w.Reduced == 0 || w.Reduced == 1 && w.Taking && w.MessageStatus != relay.MessageRejected
}

// Sweep looks for what is pending or waits in the table: Swept.
type Sweep struct {
	Group int  // of shards
	Begin bool // from the beginning; else it goes on where the last one ended
	// Waiting says that keys with waiting deliveries alone are wanted, too.
	Waiting bool
	Limit   int
}

// FindDue makes delayed messages that are due ordinary pending ones, and finds the deliveries
// whose time has come: Due.
type FindDue struct {
	// Limit is how many messages, and how many deliveries, are found at the most; those that are in memory count, too.
	Limit int
}

// AskRoom asks how many more deliveries of a destination would start soon: Room.
type AskRoom struct{ Destination string }

// ReadParked finds deliveries that wait for their destination, by their sequence: Parked.
type ReadParked struct {
	Destination string
	After       int64
	Limit       int
}

// FindBacklog lists the destinations for which deliveries are parked: Backlog.
type FindBacklog struct {
	// After is the name behind which those are listed that rows name: there may be any number of them.
	After string
}

// EndOrphan ends a delivery whose message has ended or is gone. KeysFreed follows when something of its key may go.
type EndOrphan struct {
	ID    relay.DeliveryID
	Key   string // empty: it waits for no other
	Shard int16
}

// Missed tells of a message that was reported and that a later read does not show although its transaction is
// visible: it was taken up before, or is gone. Nothing answers it.
type Missed struct{ ID relay.ID }

// Release gives up a shard that has nothing under way. Nothing answers it.
type Release struct{ Shard int16 }

// WakeAt asks for a Tick at a time. It replaces the one before.
type WakeAt struct{ At time.Duration }

func (ReadRow) command()     {}
func (ReadAck) command()     {}
func (ReadKey) command()     {}
func (Send) command()        {}
func (Write) command()       {}
func (Sweep) command()       {}
func (FindDue) command()     {}
func (AskRoom) command()     {}
func (ReadParked) command()  {}
func (FindBacklog) command() {}
func (EndOrphan) command()   {}
func (Missed) command()      {}
func (Release) command()     {}
func (WakeAt) command()      {}
