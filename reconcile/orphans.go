package reconcile

import (
	"context"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/wait"
)

// endOrphans ends deliveries that may be unfinished although their message has ended or is gone, until ctx ends. One
// that cannot be ended is found again when it is due. What waited behind them may go.
func (e *orphanEnder) end(ctx context.Context) error {
	for wait.Ready(ctx, e.orphans.ready, 0) {
		var free []relay.DeliveryID
		var freed machine.LookAt
		for _, c := range e.orphans.take(readBatch) {
			if id := c.ID; !e.quarantine.Waits(quarantine.Subject{Operation: quarantine.EndOrphan, ID: id}) {
				free = append(free, id)
			}
			if c.Key != "" {
				freed.Keys = append(freed.Keys, machine.Report{Key: c.Key, Shard: c.Shard})
			}
		}
		err := quarantine.InHalves(ctx, free, func(some []relay.DeliveryID) error {
			return e.config.Store.EndOrphans(ctx, some)
		}, func(id relay.DeliveryID, why error) {
			e.quarantine.Isolate(quarantine.Subject{Operation: quarantine.EndOrphan, ID: id}, why)
		})
		e.trouble.NoteDuring(ctx, "end orphaned deliveries", err)
		e.loop.tell(freed)
	}
	return nil
}
