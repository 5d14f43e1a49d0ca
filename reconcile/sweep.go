package reconcile

import (
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

const (
	// pollEvery is how often sweeps run while no doorbell works, unless they run more often
	// by themselves.
	pollEvery = 500 * time.Millisecond
	// restShare is how many times longer than its last sweep took a group rests while a
	// doorbell works: where a snapshot that is held open makes sweeps slow, they take a
	// twentieth of the time at the most. mostRest bounds it. What is left to the table has
	// all groups swept at once in any case.
	restShare = 19
	mostRest  = time.Minute
	// roomEvery is how often a sweep looks whether the registry has room again.
	roomEvery = 10 * time.Millisecond
)

// sweep runs the sweeps of one group until ctx ends.
func (e *sweeper) sweep(ctx context.Context, group int) error {
	g := e.config.Groups[group]
	var took time.Duration
	var err error
	for {
		now := time.Now()
		wait := g.Next(now).Sub(now)
		switch {
		case err != nil: // it may have been the one sweep after a takeover
			wait = min(wait, pollEvery)
		case e.config.Ringing():
			wait = max(wait, min(restShare*took, mostRest))
		default:
			wait = min(wait, pollEvery)
		}
		if !pause(ctx, wait, e.sweepNow[group]) {
			return nil
		}
		took, err = e.SweepGroup(ctx, group)
		e.config.Metrics.sweeping.Add(took.Seconds())
		if ctx.Err() != nil {
			return nil
		}
		done(e.config.Metrics.sweeps, err)
		e.trouble.note("sweep", err)
	}
}

// SweepGroup makes one pass over the pending messages of a group's shards that this relay
// owns: what no ring announced, or what was left to the table, is registered. A limit bounds
// one statement; a full batch is followed at once by the next, as far as the registry has
// room. It returns when the pass is over, with how long its statements took.
func (e *sweeper) SweepGroup(ctx context.Context, group int) (took time.Duration, err error) {
	plain, err := e.sweepPlain(ctx, group)
	if err != nil {
		return plain, err
	}
	keys, err := e.sweepKeys(ctx, group)
	return plain + keys, err
}

// sweepPlain sweeps the messages without a key, and returns how long its statements took.
// The shards are walked along side by side: the oldest messages go first, and what stands
// together in the table is read and written together.
func (e *sweeper) sweepPlain(ctx context.Context, group int) (took time.Duration, err error) {
	g := e.config.Groups[group]
	walks := beginWalks(e.lease.Load().among(g.Shards))
	for len(walks) > 0 {
		limit, ok := e.sweepLimit(ctx, g)
		if !ok {
			return took, nil
		}
		turn := walks[:min(limit, len(walks))]
		each := limit / len(turn)
		begun := time.Now()
		found, err := e.config.Store.SweepPending(ctx, turn, each)
		took += time.Since(begun)
		if err != nil {
			return took, err
		}
		if err := e.registerFound(ctx, found); err != nil {
			return took, err
		}
		walks = e.goOn(append(walks[len(turn):], walkOn(turn, found, each)...))
	}
	return took, nil
}

func beginWalks(shards []int16) []sql.Walk {
	walks := make([]sql.Walk, len(shards))
	for i, shard := range shards {
		walks[i].Shard = shard
	}
	return walks
}

// walkOn returns the walks that may find more: those that found as many as they might.
func walkOn(walks []sql.Walk, found []sql.Pending, each int) (on []sql.Walk) {
	var last [relay.Shards]int64
	var n [relay.Shards]int
	for i := range found {
		last[found[i].Shard] = found[i].Seq
		n[found[i].Shard]++
	}
	for _, w := range walks {
		if n[w.Shard] == each {
			on = append(on, sql.Walk{Shard: w.Shard, After: last[w.Shard]})
		}
	}
	return on
}

// goOn leaves out the walks of shards that are not this relay's any more.
func (e *sweeper) goOn(walks []sql.Walk) []sql.Walk {
	own := e.lease.Load()
	return slices.DeleteFunc(walks, func(w sql.Walk) bool { return !own.holds(w.Shard) })
}

// sweepKeys sweeps the keys that have pending messages, as sweepPlain does; the messages are
// read by key.
func (e *sweeper) sweepKeys(ctx context.Context, group int) (took time.Duration, err error) {
	g := e.config.Groups[group]
	e.keyring.reportsLost()
	var at sql.Position
	for {
		limit, ok := e.sweepLimit(ctx, g)
		if !ok {
			return took, nil
		}
		begun := time.Now()
		found, err := e.config.Store.SweepKeys(ctx, e.lease.Load().among(g.Shards), at, limit)
		took += time.Since(begun)
		if err != nil {
			return took, err
		}
		entries := make([]entry, len(found))
		for i, key := range found {
			entries[i] = keyEntry(key.Key)
			at = sql.Position{Shard: key.Shard, Key: key.Key}
		}
		if e.registry.add(entries); len(found) < limit {
			return took, nil
		}
	}
}

// sweepLimit waits until the registry has room and outcomes can be written, and returns how
// many rows the next statement may find. It returns false when ctx ends.
func (e *sweeper) sweepLimit(ctx context.Context, g Group) (limit int, ok bool) {
	room := e.registry.memory.sweepRoom()
	for room == 0 {
		if !pause(ctx, roomEvery, nil) {
			return 0, false
		}
		room = e.registry.memory.sweepRoom()
	}
	return min(g.Limit, room), e.writer.health.waitHealthy(ctx) == nil
}

// registerFound registers what a sweep found, once it is durable.
func (e *sweeper) registerFound(ctx context.Context, found []sql.Pending) error {
	if len(found) == 0 {
		return nil
	}
	if err := e.config.Store.EnsureFlushed(ctx); err != nil {
		return err
	}
	entries := make([]entry, len(found))
	for i := range found {
		entries[i] = messageEntry(found[i].Ring, false)
	}
	e.config.Metrics.swept.Add(float64(e.registry.add(entries)))
	return nil
}
