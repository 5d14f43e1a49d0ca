package reconcile

import (
	"context"

	"relay"
	"relay/reconcile/machine"
)

// endOrphans ends deliveries that may be unfinished although their message has ended or is gone, until ctx ends. One
// that cannot be ended is found again when it is due. What waited behind them may go.
func (e *isolator) endOrphans(ctx context.Context) error {
	for await(ctx, e.orphans.ready, 0) {
		var free []relay.DeliveryID
		var freed machine.KeysFreed
		for _, c := range e.orphans.take(readBatch) {
			if id := c.ID; !e.quarantine.waits(subject{operation: endOrphan, id: id}) {
				free = append(free, id)
			}
			if c.Key != "" {
				freed.Keys = append(freed.Keys, machine.Report{Key: c.Key, Shard: c.Shard})
			}
		}
		err := inHalves(ctx, free, func(some []relay.DeliveryID) error {
			return e.config.Store.EndOrphans(ctx, some)
		}, func(id relay.DeliveryID, why error) { e.isolate(subject{operation: endOrphan, id: id}, why) })
		e.trouble.note("end orphaned deliveries", ignoreEnd(ctx, err))
		e.loop.tell(freed)
	}
	return nil
}
