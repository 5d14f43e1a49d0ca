package relay

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Subscriber is one receiver of messages with its settings: a row of
// relay.subscription, the default destination, or a row's own destination.
type Subscriber struct {
	// Name is the subscription's name, SubscriptionDirect or SubscriptionDefault.
	Name   string
	Target Target
	// Topics are the patterns of a subscription, as topic exchanges of AMQP 0-9-1 have them.
	Topics []string
	// Trusted says that the operator set the target, which then may be a private address.
	Trusted bool
	// Timeout bounds one attempt from dial to the last byte read. Zero means the destination's default.
	Timeout time.Duration
	// Concurrency bounds the attempts under way on the circuit. Zero means the destination's default.
	Concurrency int
	// MaxAttempts ends the delivery as dead. Zero means the variable's value.
	MaxAttempts int
	// Backoff holds the intervals between attempts, the last repeating. Empty means the variable's value.
	Backoff []time.Duration
	// Secrets sign each HTTP attempt, newest first. Empty means that attempts are not signed.
	Secrets []string
	// Headers are sent along with every message of this subscriber.
	Headers map[string]string
	// Refers says that Secrets or Headers hold references, env:NAME or file:PATH, which are
	// replaced before each attempt.
	Refers bool
	// Paused keeps its messages in the table.
	Paused bool
	// Broadcast gives every instance behind an HTTP target's host name a copy of its own.
	Broadcast bool
	// Unordered lets messages with the same key overtake each other.
	Unordered bool
	// BlockOnDead makes a message that died hold its key until a person acts.
	BlockOnDead bool
	// RateLimit bounds the attempts per second. Zero means no limit.
	RateLimit float64
	// MaxHandleAttempts is the number of handle failures after which the delivery is dead. Zero
	// means no limit of its own.
	MaxHandleAttempts int
	// AckByConsumer says that the consumer reports later how its work ended; it is waited for
	// as long as AckTimeout before the message goes again.
	AckByConsumer bool
	AckTimeout    time.Duration
	// Invalid says what is wrong with the subscription's settings: nothing can be sent before a
	// person mends them. It is empty if nothing is wrong.
	Invalid string
}

// Delivery is one message for one subscriber and instance, at one attempt.
type Delivery struct {
	Message    *Message
	Subscriber *Subscriber
	// Instance tells apart the copies of one subscriber; PlainInstance where there is one.
	Instance string
	// Attempt counts from 1 and includes the attempt this value stands for.
	Attempt int
	// Headers are the row's headers, already judged by ParseHeaders.
	Headers map[string]string
	// Source is the row's source or the relay's.
	Source string
	// Since is when it was last known to be due. An attempt that does not start within a second of
	// it is not made: it may have been cancelled or paused. Zero means the time at which it is
	// dispatched.
	Since time.Time
	// Refused says why this message can never be sent to this subscriber. It is empty if it can be sent.
	Refused string
}

// Unresolved reports whether the delivery stands for instances that are not known yet: its
// attempt looks their addresses up.
func (d *Delivery) Unresolved() bool {
	return d.Subscriber.Broadcast && d.Subscriber.Target.Spreads() && d.Instance == PlainInstance
}

// Pinned reports whether the delivery is for one instance of a subscription, whose address
// and port Instance then holds, whatever the host name of the target resolves to.
func (d *Delivery) Pinned() bool {
	return d.Instance != PlainInstance && d.Subscriber.Name != SubscriptionDirect && d.Subscriber.Name != SubscriptionDefault
}

// Class is the class of an outcome: what an answer, or its absence, means. The table of
// answers stands in the package notify, where each destination maps its own codes.
type Class int

// These are the classes. The zero value is no outcome.
const (
	ClassNone         Class = iota
	ClassHandled            // the consumer said that it has done its work (HTTP 2xx)
	ClassDelivered          // confirmed by the broker and routed to a queue
	ClassAwaitingAck        // accepted; the consumer reports later
	ClassPushFailed         // did not reach the destination; counts an attempt
	ClassHandleFailed       // the destination answered that its logic failed; counts an attempt
	ClassDead               // no further attempt makes sense (410, relay-retry: false, metadata address)
	ClassUnknown            // may have arrived; goes again with the same id and counts no attempt
	ClassParked             // not attempted; Reason says why, and the delivery waits in the table
	ClassRejected           // this destination can never send the message; not attempted
	ClassResolved           // the addresses of a broadcast's instances are known; nothing was sent yet
)

var classNames = [...]string{
	ClassNone: "none", ClassHandled: "handled", ClassDelivered: "delivered", ClassAwaitingAck: "awaiting_ack", ClassPushFailed: "push_failed",
	ClassHandleFailed: "handle_failed", ClassDead: "dead", ClassUnknown: "unknown", ClassParked: "parked", ClassRejected: "rejected",
	ClassResolved: "resolved",
}

// String names the class as metrics and spans have it.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return "invalid"
	}
	return classNames[c]
}

// Accepted reports whether the destination took the message.
func (c Class) Accepted() bool {
	return c == ClassHandled || c == ClassDelivered || c == ClassAwaitingAck
}

// Attempted reports whether an attempt was made that counts.
func (c Class) Attempted() bool {
	switch c {
	case ClassHandled, ClassDelivered, ClassAwaitingAck, ClassPushFailed, ClassHandleFailed, ClassDead:
		return true
	}
	return false
}

// Blame is what a failed push speaks against, and so the circuit for which it counts.
type Blame int

// These are the blames. The zero value is for whatever happens once there is a connection.
const (
	BlameTarget Blame = iota // it was reached, and answered so or did not answer: the target's circuit
	BlameOrigin              // no connection came about: the origin's circuit
	BlameNone                // decided before a byte was sent, or by the relay's own fault: no circuit
)

// Resource is something of its own machine that a relay needs to make an attempt.
type Resource string

// These are the resources, as metrics name them.
const (
	ResourceNone         Resource = ""
	ResourceDescriptors  Resource = "file_descriptors"
	ResourceMemory       Resource = "memory"
	ResourcePorts        Resource = "local_ports"
	ResourceResolver     Resource = "resolver"
	ResourceCertificates Resource = "certificates"
)

// MaxResponse is how much of an answer relay.attempt keeps, in bytes.
const MaxResponse = 4 << 10

// Outcome is how one attempt ended.
type Outcome struct {
	Class  Class
	Reason Reason // for ClassParked
	// Circuit is what a parked delivery waits for. Empty means its lane.
	Circuit string
	// Code is the HTTP status or the AMQP reply code. Zero means that there is none.
	Code int
	// Error says in words what went wrong. It holds no secret and no payload, and is empty on success.
	Error string
	// Cause is the class of Error, set where the failure is known. It is empty on success.
	Cause Cause
	// Response is the beginning of the answer's body, at most MaxResponse bytes.
	Response []byte
	// Push says that a dead outcome is the destination's failure to be reached rather
	// than its answer; it decides which status an attempt of ClassDead records.
	Push bool
	// Answered says that a failed push was a broker's own answer about one message: the broker
	// itself is well, and what goes elsewhere through it need not wait.
	Answered bool
	// Blame says for which circuit a failed push counts. It is set where the failure is known.
	Blame Blame
	// Lack is what the relay itself had too little of, so that it could not make the attempt. Then
	// the outcome is ClassParked, or ClassUnknown if an earlier try within the attempt may have
	// arrived; it counts no attempt and no failure. ResourceNone means that it lacked nothing.
	Lack Resource
	// Silent says that the outcome is unknown because the broker can be reached but did not
	// confirm the message in time. That is no failure of the message, but one of its exchange or
	// queue.
	Silent bool
	// Instances are the addresses and ports of ClassResolved, at least one.
	Instances []string
	// Gone says that the host name does not resolve to the failed instance any more.
	Gone bool
	// RetryAfter is the destination's own word on when to come again or, with Lack, the relay's
	// pause. Zero means that there is none.
	RetryAfter time.Duration
	// Pace says, of a delivery that found no room (ReasonFull), how many attempts per second the
	// destination makes at present. Zero means that this is not known, or that the limit is not
	// their number.
	Pace     float64
	Started  time.Time
	Duration time.Duration
}

// ErrRejected marks a message that cannot be sent at all: no route, a malformed target, a
// bad header, too large. Its text is the reason that the row shows.
var ErrRejected = errors.New("rejected")

// Rejection is an error that marks ErrRejected and carries the reason alone as its text.
type Rejection string

// Error returns the reason.
func (r Rejection) Error() string { return string(r) }

// Cause is the class of the reason, by the words with which the reasons of the relay begin.
func (r Rejection) Cause() Cause {
	text := string(r)
	begins := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(text, w) })
	}
	switch {
	case begins("no route"):
		return CauseNoRoute
	case begins("destination: ", "there is no subscription", "not an AMQP target", "the target is no ") || strings.Contains(text, " is reserved: a row's own destination"):
		return CauseBadTarget
	case begins("header", "content type"):
		return CauseBadHeader
	case begins("too large", "body of ", "routing key of ", "topic of ") || strings.Contains(text, " bytes, AMQP allows "):
		return CauseTooLarge
	}
	return CauseCannotBeSent
}

// Is reports that a Rejection is ErrRejected.
func (r Rejection) Is(target error) bool { return target == ErrRejected }

// DeliveryID names one delivery: the primary key of relay.delivery. One without a subscription names a message.
type DeliveryID struct {
	Message      ID
	Subscription string
	Instance     string
}

// Pending reports whether the id names a pending message, which has no deliveries in the table.
func (id DeliveryID) Pending() bool { return id.Subscription == "" }

// Attempt is the record of one attempt: a row of relay.attempt.
type Attempt struct {
	Number   int
	Started  time.Time
	Duration time.Duration
	Outcome  DeliveryStatus
	Response []byte
}

// WaitingState says what a delivery of an open message waits for.
type WaitingState int

// The states. The zero value is none.
const (
	WaitsForKey  WaitingState = 1 + iota // for those of its key before it
	WaitsForTime                         // for the time of its next attempt
	WaitsForRoom                         // for its destination
	WaitsDue                             // for nothing: its time has come
	WaitsDead                            // it died, which holds the key where the subscription says so
	WaitsMore                            // there are more behind it that were not read
)
