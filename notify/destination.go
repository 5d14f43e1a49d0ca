package notify

import (
	"context"

	"relay"
)

// Destination makes one attempt to deliver one message. Each technology has one in a package
// of its own, and all of them pass the suite in the package conformance.
type Destination interface {
	// Deliver makes one attempt and returns how it ended; it returns when ctx ends at the
	// latest, then with relay.ClassUnknown if the message may have arrived, or
	// relay.ClassPushFailed if it cannot have. It never panics, never keeps d, and is safe
	// for concurrent use.
	Deliver(ctx context.Context, d *relay.Delivery) relay.Outcome
}
