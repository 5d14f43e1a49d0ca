package operate

import (
	"slices"

	"relay"
)

// Stage is how far a message or a delivery is, in the words of senders and receivers.
type Stage string

// These are the stages. A message is never at StageDelivered.
const (
	StageSendFailed   Stage = "send_failed"   // it cannot be sent
	StageCommitted    Stage = "committed"     // it goes by itself, and nothing has failed
	StagePushFailed   Stage = "push_failed"   // it did not reach a receiver
	StageHandleFailed Stage = "handle_failed" // a receiver's logic failed
	StageDelivered    Stage = "delivered"     // confirmed, where no acknowledgement is awaited
	StageHandled      Stage = "handled"
	StageCancelled    Stage = "cancelled"
)

// stageStatuses are the statuses of messages that may be at a stage.
var stageStatuses = map[Stage][]relay.MessageStatus{
	StageSendFailed:   {relay.MessageRejected},
	StageCommitted:    {relay.MessagePending, relay.MessageOpen},
	StagePushFailed:   {relay.MessageOpen, relay.MessageDead},
	StageHandleFailed: {relay.MessageOpen, relay.MessageDead},
	StageHandled:      {relay.MessageDone},
	StageCancelled:    {relay.MessageCancelled},
}

// narrow adds to a filter the statuses of a stage. It reports whether any message can match then.
func (s Stage) narrow(f Filter) (Filter, bool) {
	if s == "" {
		return f, true
	}
	statuses := slices.Clone(stageStatuses[s])
	if len(f.Status) > 0 {
		statuses = slices.DeleteFunc(statuses, func(one relay.MessageStatus) bool { return !slices.Contains(f.Status, one) })
	}
	f.Status = statuses
	return f, len(statuses) > 0
}

// Stage is how far the message is: of an open or dead one, that of its worst delivery.
func (m Message) Stage() Stage {
	switch m.Status {
	case relay.MessageRejected:
		return StageSendFailed
	case relay.MessageDone:
		return StageHandled
	case relay.MessageCancelled:
		return StageCancelled
	case relay.MessagePending:
		return StageCommitted
	}
	worst := StageCommitted
	for _, c := range m.Counts {
		switch relay.DeliveryStatus(c.Status) {
		case relay.DeliveryDead:
			return failedSide(m.Cause)
		case relay.DeliveryHandleFailed:
			worst = StageHandleFailed
		case relay.DeliveryPushFailed:
			if worst == StageCommitted {
				worst = StagePushFailed
			}
		}
	}
	return worst
}

// NeedsPerson reports whether nothing more happens by itself with the message, or with a delivery of it, that did not
// end well.
func (m Message) NeedsPerson() bool {
	return m.Status == relay.MessageRejected || m.Status == relay.MessageDead ||
		slices.ContainsFunc(m.Counts, func(c StatusCount) bool { return c.Status == string(relay.DeliveryDead) })
}

// DeliveryStage is how far a delivery is.
func DeliveryStage(status relay.DeliveryStatus, cause relay.Cause) Stage {
	switch status {
	case relay.DeliveryDead:
		return failedSide(cause)
	case relay.DeliveryWaiting, relay.DeliveryAwaitingAck:
		return StageCommitted
	}
	return Stage(status)
}

func failedSide(cause relay.Cause) Stage {
	if cause.Side() == relay.HandleSide {
		return StageHandleFailed
	}
	return StagePushFailed
}

// deliveryStatusesAt are the statuses of deliveries that may be at a stage.
func deliveryStatusesAt(stage Stage) []relay.DeliveryStatus {
	switch stage {
	case StageCommitted:
		return []relay.DeliveryStatus{relay.DeliveryWaiting, relay.DeliveryAwaitingAck}
	case StagePushFailed, StageHandleFailed:
		return []relay.DeliveryStatus{relay.DeliveryStatus(stage), relay.DeliveryDead}
	case StageDelivered, StageHandled, StageCancelled:
		return []relay.DeliveryStatus{relay.DeliveryStatus(stage)}
	}
	return nil
}
