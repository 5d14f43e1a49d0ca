package lease

import (
	"maps"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// Ownership is what this relay owns, as it last knew. It does not change; a renewal makes another one.
type Ownership struct {
	// Lease is under which outcomes are written, of shards being given up too.
	Lease sql.Lease
	// Shards are those whose messages are sent, ascending.
	Shards []int16
	// Giving are the shards that are given up as soon as nothing of them is under way.
	Giving []int16
	Fleet  sql.Fleet
	// Until is when the leases end at the earliest, by this machine's monotonic clock.
	Until time.Time

	owned [relay.Shards]bool
	// since is when a shard beyond the share was to be given up first. Zero: it is not.
	since [relay.Shards]time.Time
}

// newOwnership decides what is sent and what is given up: what exceeds its share of shards. The
// highest go, so that the lowest, whose owner holds the slot, stays. One that cannot go for
// so long that it is stuck is sent on until it can: no other relay could send its messages.
func newOwnership(lease sql.Lease, share int, was *Ownership, stuck func(shard int16, since time.Time) bool) *Ownership {
	o := &Ownership{Lease: lease}
	for i, shard := range slices.Sorted(maps.Keys(lease.Epochs)) {
		if i >= share {
			if o.since[shard] = was.since[shard]; o.since[shard].IsZero() {
				o.since[shard] = time.Now()
			}
			if !stuck(shard, o.since[shard]) {
				o.Giving = append(o.Giving, shard)
				continue
			}
		}
		o.Shards = append(o.Shards, shard)
		o.owned[shard] = true
	}
	return o
}

// without is what is owned after shards were given up.
func (o *Ownership) without(shards []int16) *Ownership {
	rest := *o
	rest.Lease.Epochs = maps.Clone(o.Lease.Epochs)
	for _, shard := range shards {
		delete(rest.Lease.Epochs, shard)
	}
	rest.Giving = slices.DeleteFunc(slices.Clone(o.Giving), func(shard int16) bool { return slices.Contains(shards, shard) })
	return &rest
}

// Holds reports whether messages of the shard are this relay's to send.
func (o *Ownership) Holds(shard int16) bool { return o.owned[shard] }

// Lasts reports whether the leases have not ended even if they were the last that could be renewed.
func (o *Ownership) Lasts() bool { return time.Now().Before(o.Until) }

// Sends reports whether messages of the shard may be sent now: it is held, and its lease lasts.
func (o *Ownership) Sends(shard int16) bool { return o.Holds(shard) && o.Lasts() }

// Leased reports whether outcomes of the shard are this relay's to write.
func (o *Ownership) Leased(shard int16) bool {
	_, ok := o.Lease.Epochs[shard]
	return ok
}

// Among returns the shards of a group whose messages are sent, ascending.
func (o *Ownership) Among(group []int16) []int16 {
	out := make([]int16, 0, len(group))
	for _, shard := range group {
		if o.owned[shard] {
			out = append(out, shard)
		}
	}
	slices.Sort(out)
	return out
}

// gained is how many shards are owned that were not before, or under another epoch.
func (o *Ownership) gained(was *Ownership) (n int) {
	if !was.Lasts() {
		return len(o.Shards) // what was read since the leases ended was dropped
	}
	for _, shard := range o.Shards {
		if !was.Holds(shard) || was.Lease.Epochs[shard] != o.Lease.Epochs[shard] {
			n++
		}
	}
	return n
}
