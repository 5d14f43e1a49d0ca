package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"relay"
)

// Operation is what cannot be done with a row in quarantine.
type Operation string

// The operations. They are labels of metrics and stand in relay.quarantine.
const (
	WriteOutcome  Operation = "write_outcome" // of an attempt, which is not made again meanwhile
	ReadRow       Operation = "read"          // a message or a delivery
	RemoveRow     Operation = "remove"        // a message whose retention is over
	ChangeByJob   Operation = "job"           // a message that a person's job was to change
	EndOrphan     Operation = "end_orphan"    // a delivery whose message has ended
	TakeUpAgain   Operation = "take_up_again" // a message that was rejected and has a route now
	DropAck       Operation = "drop_ack"      // an acknowledgement that has nothing to be applied to
	TakeAck       Operation = "acknowledge"   // a message whose consumer acknowledges while another session has locked it
	StampFinished Operation = "note_the_end"  // of a message that a person has ended
	MakeDue       Operation = "make_due"      // a delayed message whose time has come
	// deleted is no operation of the relay: people delete messages before it can read them.
	deleted Operation = "deleted"
)

var operations = []Operation{
	WriteOutcome, ReadRow, RemoveRow, ChangeByJob, EndOrphan, TakeUpAgain, DropAck, TakeAck, StampFinished, MakeDue, deleted,
}

// longest is how long rows of each operation stay in quarantine at most; those that are not named, longestOthers.
var longest = map[Operation]time.Duration{WriteOutcome: 30 * time.Second, ReadRow: 30 * time.Second, MakeDue: 30 * time.Second}

const longestOthers = 5 * time.Minute

// consequences is how a message tells of operations that are tried for many messages at once. It tells nothing of the
// others.
var consequences = map[Operation]string{
	RemoveRow: "it is kept beyond its retention",
	MakeDue:   "it is due, and that cannot be noted",
}

// Subject names a row in quarantine, or a few that belong together.
type Subject struct {
	Operation Operation
	ID        relay.DeliveryID // a message has no subscription
	Key       string           // of a line, or whose messages are read
}

// Message is the subject of an operation that is tried for a message.
func Message(op Operation, id relay.ID) Subject {
	return Subject{Operation: op, ID: relay.DeliveryID{Message: id}}
}

// String names the row for people. An instance may be a URL with a password, hence its digest.
func (s Subject) String() string {
	var parts []string
	if s.ID.Message != (relay.ID{}) {
		parts = append(parts, s.ID.Message.String())
	}
	if s.ID.Subscription != "" {
		parts = append(parts, s.ID.Subscription)
	}
	if s.ID.Instance != "" {
		digest := sha256.Sum256([]byte(s.ID.Instance))
		parts = append(parts, "instance "+hex.EncodeToString(digest[:4]))
	}
	if s.Key != "" {
		parts = append(parts, "key "+s.Key)
	}
	return strings.Join(parts, ", ")
}
