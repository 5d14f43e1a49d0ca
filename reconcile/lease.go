package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
)

// ownership is what this relay owns, as it last knew.
type ownership struct {
	lease  sql.Lease
	shards []int16 // ascending
	owned  [relay.Shards]bool
	relays int
	// until is when the leases end at the earliest, by this machine's monotonic clock.
	until time.Time
}

func newOwnership(lease sql.Lease, relays int, until time.Time) *ownership {
	o := &ownership{lease: lease, relays: relays, until: until}
	o.shards = slices.Sorted(maps.Keys(lease.Epochs))
	for _, shard := range o.shards {
		o.owned[shard] = true
	}
	return o
}

// holds reports whether the shard was owned when the leases were last renewed.
func (o *ownership) holds(shard int16) bool { return o.owned[shard] }

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

// keepLeases renews what this relay owns and takes what is free, three times in the
// lifetime of a lease. Shards that are new are swept at once.
func (e *Engine) keepLeases(ctx context.Context) error {
	for {
		err := e.renew(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.note("renew leases", err)
		wait := e.config.LeaseTTL / 3
		if err != nil {
			wait = min(wait, time.Second)
		}
		if !pause(ctx, wait, nil) {
			return nil
		}
	}
}

func (e *Engine) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.config.LeaseTTL/2)
	defer cancel()
	asked := time.Now()
	lease, relays, err := e.config.Store.Renew(ctx, sql.Instance{ID: e.id, Name: e.config.Name, Version: e.config.Version}, e.config.LeaseTTL)
	if err != nil {
		return err
	}
	crash.At(crash.LeaseRenewed)
	was := e.lease.Load()
	own := newOwnership(lease, relays, asked.Add(e.config.LeaseTTL))
	e.lease.Store(own)
	e.config.Metrics.shards.Set(float64(len(own.shards)))
	gained := false
	for _, shard := range own.shards {
		gained = gained || was.lease.Epochs[shard] != lease.Epochs[shard]
	}
	if gained {
		e.config.Log.Info("owns shards", "shards", len(own.shards), "relays", relays)
		e.due.now()
		e.backlog.lookAgain()
		e.Missed()
	}
	return nil
}

// release gives up the leases within a short time of its own.
func (e *Engine) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return e.config.Store.Release(ctx, e.id)
}
