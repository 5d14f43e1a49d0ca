package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	"relay"
	"relay/crash"
	"relay/reconcile/machine"
	"relay/sql"
)

const (
	// renewShared is how often leases are renewed while there are several relays, so that
	// what one gives up, or leaves behind, is taken soon.
	renewShared = time.Second
	// drainEvery is how often shards that are given up are looked at.
	drainEvery = 20 * time.Millisecond
)

// ownership is what this relay owns, as it last knew.
type ownership struct {
	lease  sql.Lease // under which outcomes are written, of shards being given up too
	shards []int16   // whose messages are sent, ascending
	owned  [relay.Shards]bool
	giving []int16 // given up as soon as nothing of them is under way
	// since is when a shard beyond the share was to be given up first. Zero: it is not.
	since [relay.Shards]time.Time
	fleet sql.Fleet
	// until is when the leases end at the earliest, by this machine's monotonic clock.
	until time.Time
}

// newOwnership decides what is sent and what is given up: what exceeds its share of shards. The
// highest go, so that the lowest, whose owner holds the slot, stays. One that cannot go for
// so long that it is stuck is sent on until it can: no other relay could send its messages.
func newOwnership(lease sql.Lease, share int, was *ownership, stuck func(shard int16, since time.Time) bool) *ownership {
	o := &ownership{lease: lease}
	for i, shard := range slices.Sorted(maps.Keys(lease.Epochs)) {
		if i >= share {
			if o.since[shard] = was.since[shard]; o.since[shard].IsZero() {
				o.since[shard] = time.Now()
			}
			if !stuck(shard, o.since[shard]) {
				o.giving = append(o.giving, shard)
				continue
			}
		}
		o.shards = append(o.shards, shard)
		o.owned[shard] = true
	}
	return o
}

// holds reports whether messages of the shard are this relay's to send.
func (o *ownership) holds(shard int16) bool { return o.owned[shard] }

// sends reports whether messages of the shard may be sent now: it is held, and its lease has
// not ended even if it was the last that could be renewed.
func (o *ownership) sends(shard int16) bool { return o.holds(shard) && time.Now().Before(o.until) }

// leased reports whether outcomes of the shard are this relay's to write.
func (o *ownership) leased(shard int16) bool {
	_, ok := o.lease.Epochs[shard]
	return ok
}

// among returns the owned shards of a group, ascending.
func (o *ownership) among(group []int16) []int16 {
	out := make([]int16, 0, len(group))
	for _, shard := range group {
		if o.owned[shard] {
			out = append(out, shard)
		}
	}
	slices.Sort(out)
	return out
}

// MaySend reports whether an attempt for a message of the shard may start now: the shard is
// owned, and its lease has not ended even if it was the last that could be renewed. A relay
// that was frozen finds here that its time is over.
func (e *Engine) MaySend(shard int16) bool { return e.lease.Load().sends(shard) }

// MayAttempt reports whether an attempt for a message of the shard may start now: the
// message may be sent, and the last outcomes could be written. Without the latter each
// attempt would be one more that a crash repeats.
func (e *Engine) MayAttempt(shard int16) bool { return e.MaySend(shard) && e.loop.works() }

// slotShard is the shard whose owner holds the replication slot.
const slotShard = 0

// HoldsSlot reports whether this relay is the one that streams and rings the others.
func (e *Engine) HoldsSlot() bool { return e.MaySend(slotShard) }

// keepLeases renews what this relay owns, takes what is free and gives up what exceeds its
// share, until ctx ends. Shards that are new, or whose lease had ended, are swept at once. A
// relay that stops has no share: each shard passes to the others as soon as nothing of it is
// under way.
func (e *leaseKeeper) keepLeases(ctx context.Context) error {
	var next time.Time
	for {
		if !time.Now().Before(next) {
			err := e.renew(ctx)
			if ctx.Err() != nil {
				return nil
			}
			done(e.config.Metrics.renewals, err)
			e.trouble.note("renew leases", err)
			if own := e.lease.Load(); len(own.lease.Epochs) == 0 || !time.Now().Before(own.until) {
				e.config.Metrics.shards.Set(0)
			}
			next = time.Now().Add(e.renewalInterval(err))
		}
		wait := time.Until(next)
		if len(e.lease.Load().giving) > 0 {
			e.trouble.note("give up shards", ignoreEnd(ctx, e.giveDrained(ctx)))
			wait = min(wait, drainEvery)
		}
		if !pause(ctx, wait, nil) {
			return nil
		}
	}
}

// renewalInterval is shorter where something may be free soon: there are other relays, or
// others were there and still hold a part of what is this relay's. A lease that another relay
// does not renew is looked at when it is over.
func (e *leaseKeeper) renewalInterval(err error) time.Duration {
	interval := e.config.LeaseTTL / 3
	own := e.lease.Load()
	if err != nil || own.fleet.Relays > 1 || len(own.lease.Epochs) < sql.Share(max(1, own.fleet.Relays)) {
		interval = min(interval, renewShared)
	}
	if over, some := e.watch.Until(e.config.LeaseTTL); some {
		interval = min(interval, max(over, drainEvery))
	}
	return interval
}

func (e *leaseKeeper) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.config.LeaseTTL/2)
	defer cancel()
	me := sql.Instance{ID: e.id, Name: e.config.Name, Version: e.config.Version, Streaming: e.config.Streaming()}
	asked, stays := time.Now(), !e.stopping.Load()
	lease, fleet, err := e.config.Store.Renew(ctx, me, e.config.LeaseTTL, stays, &e.watch)
	if err != nil {
		return err
	}
	crash.At(crash.LeaseRenewed)
	share := 0
	if stays {
		share = sql.Share(fleet.Relays)
	}
	was := e.lease.Load()
	held, _ := ask(ctx, e.loop, (*machine.Machine).Unwritable)
	own := newOwnership(lease, share, was, func(shard int16, since time.Time) bool {
		return stays && held[shard] && time.Since(since) > e.config.LeaseTTL
	})
	own.fleet, own.until = fleet, asked.Add(e.config.LeaseTTL)
	gained := 0
	for _, shard := range own.shards {
		if !was.holds(shard) || was.lease.Epochs[shard] != lease.Epochs[shard] {
			gained++
		}
	}
	e.lease.Store(own)
	e.tellLeases(was, own)
	e.config.Metrics.shards.Set(float64(len(own.shards)))
	e.config.Metrics.relays.Set(float64(fleet.Relays))
	if !time.Now().Before(was.until) {
		gained = len(own.shards) // what was read since the leases ended was dropped
	}
	if stays && (gained > 0 || len(own.shards) != len(was.shards)) {
		e.config.Log.Info("owns shards", "shards", len(own.shards), "gained", gained, "relays", fleet.Relays)
	}
	switch {
	case gained > 0:
		e.unrouted.Store(true)
	case was.fleet.Streaming && !fleet.Streaming:
		e.loop.tell(machine.SweepNow{All: true}) // no ring comes for the time being
	}
	return nil
}

// tellLeases tells the machine which shards are this relay's, which are to be given up, and until when all of them
// last.
func (e *leaseKeeper) tellLeases(was, own *ownership) {
	events := make([]machine.Event, 0, relay.Shards+1)
	for shard := range was.lease.Epochs {
		if !own.leased(shard) {
			events = append(events, machine.Lost{Shard: shard})
		}
	}
	for _, shard := range own.shards {
		events = append(events, machine.Leased{Shard: shard, Epoch: own.lease.Epochs[shard]})
	}
	for _, shard := range own.giving {
		events = append(events, machine.Drain{Shard: shard})
	}
	events = append(events, machine.Renewed{Until: e.loop.clock(own.until)})
	e.loop.tell(events...)
}

// giveDrained releases the shards that are being given up and have nothing under way. The
// ownership of before has stopped new work; what had begun is written before it goes.
func (e *leaseKeeper) giveDrained(ctx context.Context) error {
	own := e.lease.Load()
	busy, answered := ask(ctx, e.loop, func(m *machine.Machine) (busy [relay.Shards]bool) {
		for _, shard := range own.giving {
			busy[shard] = m.Owns(shard)
		}
		return busy
	})
	if !answered {
		return nil
	}
	var drained []int16
	for _, shard := range own.giving {
		if !busy[shard] {
			drained = append(drained, shard)
		}
	}
	if len(drained) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.config.LeaseTTL/2)
	defer cancel()
	if err := e.config.Store.GiveUp(ctx, e.id, drained); err != nil {
		return err
	}
	rest := *own
	rest.lease.Epochs = maps.Clone(own.lease.Epochs)
	rest.giving = nil
	for _, shard := range own.giving {
		if busy[shard] {
			rest.giving = append(rest.giving, shard)
		} else {
			delete(rest.lease.Epochs, shard)
		}
	}
	e.lease.Store(&rest)
	return nil
}

// release gives up the leases within a short time of its own.
func (e *leaseKeeper) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return e.config.Store.Release(ctx, e.id)
}

// leaveQuarantine removes what people were told of the quarantine, within a short time of its own.
func (e *isolator) leaveQuarantine() error {
	if !e.quarantine.everTold() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return e.config.Store.LeaveQuarantine(ctx, e.id)
}
