package reconcile

import (
	"context"
	"slices"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/schedule"
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
	// roomEvery is how often it is looked whether outcomes can be written again.
	roomEvery = 10 * time.Millisecond
)

// sweeper finds what was left to the table.
type sweeper struct {
	*shared
	wanted []*queue[machine.Sweep] // one for each group
}

func newSweeper(s *shared) *sweeper {
	e := &sweeper{shared: s}
	for range s.config.Groups {
		e.wanted = append(e.wanted, newQueue[machine.Sweep]())
	}
	return e
}

// pass is one pass over the pending messages of a group's shards that this relay owns: those without a key shard beside
// shard, then keys with pending messages, then, if wanted, keys with waiting deliveries.
type pass struct {
	group schedule.Group
	walks []sql.Walk // of messages without a key
	keys  bool       // those with pending messages are over
	at    sql.Position
	took  time.Duration // that its statements took
}

// sweep makes the statements of one group's passes, and asks for passes by its schedule, until ctx ends.
func (e *sweeper) sweep(ctx context.Context, group int) error {
	g := e.config.Groups[group]
	var p *pass
	var failed error
	timer := time.NewTimer(e.rest(g, 0, nil))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			e.loop.tell(machine.SweepNow{Group: group})
			timer.Reset(e.rest(g, 0, failed))
			continue
		case <-e.wanted[group].ready:
		}
		for _, c := range e.wanted[group].take(1) {
			if c.Begin || p == nil {
				p = &pass{group: g, walks: beginWalks(e.leases.Now().Among(g.Shards))}
			}
			answer, err := e.next(ctx, p, c)
			if ctx.Err() != nil {
				return nil
			}
			if failed = err; err != nil || answer.End {
				e.config.Metrics.done(err)
				e.config.Metrics.sweeping.Add(p.took.Seconds())
				timer.Reset(e.rest(g, p.took, err))
			}
			e.trouble.Note("sweep", err)
			e.loop.tell(answer)
		}
	}
}

// rest is how long a group rests after a pass.
func (e *sweeper) rest(g schedule.Group, took time.Duration, err error) time.Duration {
	now := time.Now()
	wait := g.Next(now).Sub(now)
	switch {
	case err != nil: // it may have been the one sweep after a takeover
		return min(wait, pollEvery)
	case e.config.Ringing():
		return max(wait, min(restShare*took, mostRest))
	}
	return min(wait, pollEvery)
}

// next makes the next statement of a pass.
func (e *sweeper) next(ctx context.Context, p *pass, c machine.Sweep) (out machine.Swept, err error) {
	out.Group = c.Group
	begun := time.Now()
	defer func() { p.took += time.Since(begun) }()
	own := e.leases.Now()
	p.walks = slices.DeleteFunc(p.walks, func(w sql.Walk) bool { return !own.Holds(w.Shard) })
	if len(p.walks) > 0 {
		err = e.plain(ctx, p, c.Limit, &out)
	} else {
		err = e.keysOf(ctx, p, c, &out)
	}
	out.Failed = err != nil
	return out, err
}

// plain finds messages without a key. The shards are walked along side by side: the oldest messages go first, and what
// stands together in the table is read and written together.
func (e *sweeper) plain(ctx context.Context, p *pass, limit int, out *machine.Swept) error {
	turn := p.walks[:min(limit, len(p.walks))]
	each := limit / len(turn)
	found, err := e.config.Store.SweepPending(ctx, turn, each)
	if err != nil {
		return err
	}
	for i := range found {
		out.Rows = append(out.Rows, machine.Report{ID: found[i].ID, Seq: found[i].Seq, Shard: found[i].Shard})
	}
	p.walks = append(p.walks[len(turn):], walkOn(turn, found, each)...)
	return nil
}

// keysOf finds keys.
func (e *sweeper) keysOf(ctx context.Context, p *pass, c machine.Sweep, out *machine.Swept) error {
	sweep := e.config.Store.SweepKeys
	if p.keys {
		sweep = e.config.Store.SweepWaitingKeys
	}
	found, err := sweep(ctx, e.leases.Now().Among(p.group.Shards), p.at, c.Limit)
	if err != nil {
		return err
	}
	for _, key := range found {
		out.Keys = append(out.Keys, machine.Report{Key: key.Key, Shard: key.Shard})
		p.at = sql.Position{Shard: key.Shard, Key: key.Key}
	}
	switch {
	case len(found) == c.Limit:
	case p.keys || !c.Waiting:
		out.End = true
	default:
		p.keys, p.at = true, sql.Position{}
	}
	return nil
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
