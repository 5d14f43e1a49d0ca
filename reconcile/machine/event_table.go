package machine

import (
	"time"

	"relay"
	"relay/retry"
)

// Row is a pending message, or a delivery of an open one, as a read found it.
type Row struct {
	Message *relay.Message
	// XID is the transaction that wrote the row as it stands there: its xmin. Zero: not known.
	XID uint32
	// Size is what the row holds in memory, in bytes: body, headers, source and destination.
	Size int64
	// Deliveries are the message's subscribers as the reading snapshot routes it, each at its
	// first attempt; of an open message the one that was asked for, at its next.
	Deliveries []*relay.Delivery
	// Handled are the places among Deliveries of those whose consumers have said that they have handled the message: a
	// relay died before it could write that they had it. They are not sent again.
	Handled []int
	// Rejected says why the message cannot be sent. Empty: it can.
	Rejected string
	// Waited is how long the row has been due, by the database's clock.
	Waited time.Duration
	// Again says that the message had ended before, and that a person wants it sent again.
	Again bool
	// Unordered says that it stands outside the order of its key, because a person had it
	// sent again.
	Unordered bool
	// Open is what the table says of a delivery of an open message; nil: the row is pending.
	Open *retry.Open
}

// Verdict says what became of a row that was asked for.
type Verdict int

// The verdicts. The zero value is a row that the snapshot does not show.
const (
	Absent   Verdict = iota
	Finished         // it is not pending, or not unfinished, any more
	Later            // it is not due yet
	NoRoom           // its body did not fit into the statement's limit
	Readable         // it is here
)

// RowRead is the answer to a ReadRow.
type RowRead struct {
	Entry    relay.DeliveryID
	Snapshot relay.Snapshot
	Verdict  Verdict
	Row      Row // if Readable
	// Failed says that the statement failed for this row alone, or altogether.
	Failed bool
}

// KeyRead is the answer to a ReadKey: in one snapshot the key's pending messages and its
// unfinished deliveries.
type KeyRead struct {
	Key      string
	Snapshot relay.Snapshot
	Rows     []Row // in the order of their sequences
	// Late says that a delayed message of the key is due and not an ordinary one yet: its place may be before the others.
	Late bool
	// More says that the table has more pending messages behind these.
	More bool
	// Waiting are the first unfinished deliveries of each subscription and instance, in the
	// order of their sequences; those that were accepted once are not among them.
	Waiting []Waiting
	// Failed says that the key could not be read.
	Failed bool
}

// Waiting is a delivery of an open message that has its place in the order of its key.
type Waiting struct {
	ID          relay.DeliveryID
	Seq         int64
	Destination string // its circuit
	State       relay.WaitingState
}

// Swept is the answer to a Sweep: pending messages without a key, and keys with something
// that is pending or waits.
type Swept struct {
	Group  int
	Rows   []Report
	Keys   []Report // their Key and Shard alone are set
	End    bool     // the pass has come to its end
	Failed bool
}

// Due is the answer to FindDue.
type Due struct {
	// Messages were delayed, and have been made ordinary pending messages.
	Messages []Report
	// Deliveries are those whose next attempt is due. One that has its place in the order of a
	// key says which.
	Deliveries []DueDelivery
	// Next is how long it is until the next one is due. Negative: none is known.
	Next   time.Duration
	Failed bool
}

// DueDelivery is a delivery of an open message that may be tried again.
type DueDelivery struct {
	ID    relay.DeliveryID
	Key   string // empty: it waits for no other
	Shard int16
}

// Parked is the answer to ReadParked.
type Parked struct {
	Destination string
	Deliveries  []DueDelivery
	Last        int64 // the sequence of the last of them
	End         bool  // there are no more behind them
	Failed      bool
}

// Backlog is the answer to FindBacklog: the destinations for which deliveries are parked.
type Backlog struct {
	Destinations []string
	// After is the name up to which those were listed that rows name. Empty: to the end.
	After  string
	Failed bool
}

// Acknowledged says that consumers have said something about these deliveries.
type Acknowledged struct{ Deliveries []DueDelivery }

// AckRead is the answer to a ReadAck: what a consumer said about a delivery, as it stands in the table.
type AckRead struct {
	Entry relay.DeliveryID
	// None says that nothing can be applied at present.
	None     bool
	Delivery *relay.Delivery // at the attempt that is in the table
	Open     retry.Open
	Waited   time.Duration
	Word     retry.Word
}

// Written is the answer to a Write that is in the table.
type Written struct{ Entry relay.DeliveryID }

// NotWritten is the answer to a Write that is not in the table, or perhaps not.
type NotWritten struct {
	Entry relay.DeliveryID
	Why   Why
	// Text is what is shown in the place of an error that the database refuses.
	Text string
}

// Divided says that outcomes could not be written together, because of one of them, and are being divided.
type Divided struct{ Entries []relay.DeliveryID }

// Why says why an outcome was not written.
type Why int

// The reasons. The zero value is none.
const (
	WhyLocked  Why = 1 + iota // another session holds the row
	WhyRefused                // the database refuses these values
	WhyFailed                 // it fails for this row alone, whatever its values are
	WhyUnknown                // no statement can be run, or its answer was lost
	WhyGone                   // the row has ended, was taken up before, or is not there any more
	WhyFenced                 // the lease is another relay's
)

// SweepNow asks for a pass over the pending messages of a group of shards, by the schedule or because a person or the
// loop wants one.
type SweepNow struct {
	Group int
	All   bool // of all groups
}
