package relay

// MessageStatus is a value of the enum relay.message_status.
type MessageStatus string

// These are the states of a message.
const (
	MessagePending   MessageStatus = "pending"   // not taken up
	MessageOpen      MessageStatus = "open"      // some delivery has not ended
	MessageDone      MessageStatus = "done"      // every delivery ended well
	MessageDead      MessageStatus = "dead"      // ended, at least one delivery dead
	MessageRejected  MessageStatus = "rejected"  // cannot be sent: no route, invalid, too large
	MessageCancelled MessageStatus = "cancelled" // by a person
)

// DeliveryStatus is a value of the enum relay.delivery_status.
type DeliveryStatus string

// These are the states of a delivery.
const (
	DeliveryWaiting      DeliveryStatus = "waiting"       // not tried yet; the reason says why
	DeliveryPushFailed   DeliveryStatus = "push_failed"   // did not reach the destination
	DeliveryHandleFailed DeliveryStatus = "handle_failed" // the destination answered that its logic failed
	DeliveryAwaitingAck  DeliveryStatus = "awaiting_ack"  // accepted; the consumer has not said yet how it ended
	DeliveryDelivered    DeliveryStatus = "delivered"     // confirmed by the broker
	DeliveryHandled      DeliveryStatus = "handled"       // the consumer's own logic succeeded
	DeliveryDead         DeliveryStatus = "dead"          // given up; waits for a person
	DeliveryCancelled    DeliveryStatus = "cancelled"     // by a person, or its instance is gone
)

// Ended reports whether no further attempt follows by itself.
func (s DeliveryStatus) Ended() bool {
	switch s {
	case DeliveryDelivered, DeliveryHandled, DeliveryDead, DeliveryCancelled:
		return true
	}
	return false
}

// Reason says why a delivery stands in the table without an attempt under way.
type Reason string

// These are the reasons.
const (
	ReasonNone        Reason = ""
	ReasonKeyBlocked  Reason = "key_blocked"  // an earlier message of its key has not been accepted
	ReasonPaused      Reason = "paused"       // the subscription is paused
	ReasonCircuitOpen Reason = "circuit_open" // the destination is down and being probed
	ReasonFull        Reason = "full"         // the destination's queue in memory is full
	ReasonNoResources Reason = "no_resources" // the relay itself lacks something; last_error says what
)

// Names of the two subscribers that are no row of relay.subscription.
const (
	SubscriptionDirect  = "direct"  // the row's own destination
	SubscriptionDefault = "default" // RELAY_DEFAULT_DESTINATION
)

// TopicDead is the topic under which a death or a rejection is published where a subscription
// wants it. Only patterns whose first word is "relay" match it, and its own death is not
// published.
const TopicDead = "relay.dead"

// PlainInstance is the instance of a subscriber that has only one.
const PlainInstance = ""
