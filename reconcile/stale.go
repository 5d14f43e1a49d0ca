package reconcile

import (
	"slices"

	"relay"
)

// stale reports whether an outcome is from before its shard left this relay and came back: the
// attempt began under another epoch than that of the lease, and another relay may have changed
// the row since. Two kinds are as true as ever, and not to write them would have the message sent
// once more: that the destination took it, and whatever takes up a message that is still
// pending, which is to say untouched.
func (o *ownership) stale(item *written) bool {
	epoch, leased := o.lease.Epochs[item.entry.shard]
	if !leased || epoch == item.entry.epoch || item.changes[0].Taking {
		return false // one that is not leased hits no row
	}
	for i := range item.changes {
		switch item.changes[i].Status {
		case relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryAwaitingAck:
			return false
		}
	}
	return true
}

// dropStale returns the items that are not stale. The rows of the others are looked at again.
func (w *writer) dropStale(own *ownership, items []*written) []*written {
	if !slices.ContainsFunc(items, own.stale) {
		return items
	}
	var rest []*written
	dropped := 0
	for _, item := range items {
		if !own.stale(item) {
			rest = append(rest, item)
			continue
		}
		w.apart.unwritten.settled(item, false)
		w.engine.registry.leave(item.entry)
		item.after()
		dropped++
	}
	w.waiting.settled(dropped)
	w.engine.leases.lookAtAll() // they were registered when the shard came back, and so passed over
	return rest
}
