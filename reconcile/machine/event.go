package machine

import (
	"time"

	"relay"
)

// Event is something that has happened. The types of this file and of event_table.go are all
// there are; the package handles each of them in one place.
type Event interface{ apply(m *Machine) }

// Report says that a row exists.
type Report struct {
	ID relay.ID
	// Key is the ordering key. Empty: the row has none, or the reporter does not know it.
	Key string
	// Seq is the row's sequence. Zero: not known.
	Seq   int64
	Shard int16
	// XID is the transaction that inserted the row, as the stream's Begin message gives it.
	// Events of other sources leave it zero.
	XID uint32
	// DueIn is how long it is until a delayed row is due. Zero or less: it is due.
	DueIn time.Duration
}

// Reported is one committed transaction as the stream shows it. The rows are durable, and SQL
// may not show them yet. The loop hands transactions over in the order of their commits.
type Reported struct{ Rows []Report }

// Found are rows that a statement has seen, or that a NOTIFY names: SQL shows them.
type Found struct{ Rows []Report }

// Gap says that reports may have been lost. The loop sends it before it sends any report of a
// transaction that committed after a lost one.
type Gap struct{}

// AttemptEnded is the answer to a Send: how the attempt ended, or why there was none.
type AttemptEnded struct {
	Entry        relay.DeliveryID // as in the Send
	Subscription string
	Instance     string
	Outcome      relay.Outcome
}

// KeysFreed says that something of these keys may go.
type KeysFreed struct{ Keys []Report }

// Overdue are deliveries that have been due for too long, and are to be ended.
type Overdue struct{ Deliveries []DueDelivery }

// Worked says that a destination has worked off what it had, or that its circuit has closed: it may have room.
type Worked struct{}

// Room says how many more deliveries of a destination would start soon: the answer to AskRoom.
type Room struct {
	Destination string
	Deliveries  int
}

// Subscribed replaces the settings of all subscriptions, by name.
type Subscribed struct{ Subscribers map[string]*relay.Subscriber }

// Leased says that this relay owns a shard under an epoch, and that its messages may be sent.
type Leased struct {
	Shard int16
	Epoch int64
}

// Renewed says until when the leases last if no renewal succeeds any more, by the relay's
// monotonic clock.
type Renewed struct{ Until time.Duration }

// Drain says that a shard is to be given up: nothing of it starts any more, and when nothing is
// under way a Release follows.
type Drain struct{ Shard int16 }

// Lost says that a shard is another relay's.
type Lost struct{ Shard int16 }

// Stop says that the relay stops: nothing is read or started any more.
type Stop struct{}

// Tick says that time has passed. It may come early, late, or without having been asked for.
type Tick struct{}
