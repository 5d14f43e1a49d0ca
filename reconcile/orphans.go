package reconcile

import (
	"context"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/wait"
)

// orphanEnder ends deliveries whose message has ended.
type orphanEnder struct {
	*shared
	wanted *queue[machine.EndOrphan]
}

// end ends deliveries that may be unfinished although their message has ended or is gone, until ctx ends. One
// that cannot be ended is found again when it is due. What waited behind them may go.
func (e *orphanEnder) end(ctx context.Context) error {
	for wait.Ready(ctx, e.wanted.ready, 0) {
		var free []relay.DeliveryID
		var freed machine.KeysFreed
		for _, c := range e.wanted.take(readBatch) {
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
