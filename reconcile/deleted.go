package reconcile

import "relay"

// deletedEarly is no operation of the relay: people delete messages before it can read them.
const deletedEarly operation = "deleted"

// deletedBefore notes messages that the stream has shown and that were gone when their transaction
// became visible: what inserted them has deleted them again, as is usual with change data
// capture, or another session did so at once. They are never delivered. All share one entry of
// the quarantine, which relay doctor shows.
func (e *carefulReader) deletedBefore(ids []relay.ID) {
	for _, id := range ids {
		of := subject{operation: deletedEarly}
		e.quarantine.failed(of, "message "+id.String()+" was deleted before it could be read")
		e.config.Metrics.isolated.WithLabelValues(string(deletedEarly)).Inc()
		if n, say := e.quarantine.say(deletedEarly); say {
			e.config.Log.Warn("messages are deleted before they can be delivered, by the transaction that inserts them or right after it; "+
				"they never are: leave rows in relay.outbox, which the relay removes after RELAY_RETENTION", "last", id.String(), "messages", n)
		}
	}
}
