package reconcile

import (
	"context"

	"relay"
	"relay/lease"
	"relay/reconcile/machine"
)

// MaySend reports whether an attempt for a message of the shard may start now: the shard is
// owned, and its lease has not ended even if it was the last that could be renewed. A relay
// that was frozen finds here that its time is over.
func (e *Engine) MaySend(shard int16) bool { return e.leases.Now().Sends(shard) }

// MayAttempt reports whether an attempt for a message of the shard may start now: the
// message may be sent, and the last outcomes could be written. Without the latter each
// attempt would be one more that a crash repeats.
func (e *Engine) MayAttempt(shard int16) bool { return e.MaySend(shard) && e.loop.works() }

// slotShard is the shard whose owner holds the replication slot.
const slotShard = 0

// HoldsSlot reports whether this relay is the one that streams and rings the others.
func (e *Engine) HoldsSlot() bool { return e.MaySend(slotShard) }

// shardHolder tells the machine of leases.
type shardHolder struct {
	*shared
	loader *subscriptionLoader
}

// Stuck implements what the keeper of the leases asks.
func (h *shardHolder) Stuck(ctx context.Context) [relay.Shards]bool {
	held, _ := ask(ctx, h.loop, (*machine.Machine).Unwritable)
	return held
}

// Busy implements what the keeper of the leases asks.
func (h *shardHolder) Busy(ctx context.Context, shards []int16) (busy [relay.Shards]bool, answered bool) {
	return ask(ctx, h.loop, func(m *machine.Machine) (busy [relay.Shards]bool) {
		for _, shard := range shards {
			busy[shard] = m.Owns(shard)
		}
		return busy
	})
}

// Owns tells the machine which shards are this relay's, which are to be given up, and until when all of them last.
// Shards that are new, or whose lease had ended, are swept at once.
func (h *shardHolder) Owns(now, was *lease.Ownership, gained int) {
	events := make([]machine.Event, 0, relay.Shards+1)
	for shard := range was.Lease.Epochs {
		if !now.Leased(shard) {
			events = append(events, machine.Lost{Shard: shard})
		}
	}
	for _, shard := range now.Shards {
		events = append(events, machine.Leased{Shard: shard, Epoch: now.Lease.Epochs[shard]})
	}
	for _, shard := range now.Giving {
		events = append(events, machine.Drain{Shard: shard})
	}
	events = append(events, machine.Renewed{Until: h.loop.clock(now.Until)})
	h.loop.tell(events...)
	switch {
	case gained > 0:
		h.loader.unrouted.Store(true)
	case was.Fleet.Streaming && !now.Fleet.Streaming:
		h.loop.sweepAll() // no ring comes for the time being
	}
}
