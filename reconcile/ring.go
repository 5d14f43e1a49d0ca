package reconcile

import (
	"time"

	"relay"
	"relay/notice"
	"relay/reconcile/machine"
	"relay/sql"
)

// dueMost is the longest time that a delayed row is waited for: what is due later is asked for meanwhile.
const dueMost = 24 * time.Hour

// dueIn is how long a row is not due yet. A zero time says that it is not delayed.
func dueIn(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return min(at.Sub(now), dueMost)
}

// ringer takes what the doorbell shows.
type ringer struct {
	*shared
	others *notice.Forwarder // tells the other relays
}

// ring tells the machine of the rows of one committed transaction. Rows of other relays' shards are passed on to them.
func (e *ringer) ring(rings []relay.Ring) {
	own := e.leases.Now()
	now := time.Now()
	reported := machine.Reported{Rows: make([]machine.Report, 0, len(rings))}
	var others []relay.Ring
	for _, ring := range rings {
		shard := relay.ShardOf(ring.ID, ring.Key)
		if !own.Holds(shard) {
			others = append(others, ring)
			continue
		}
		reported.Rows = append(reported.Rows, machine.Report{
			ID: ring.ID, Key: ring.Key, Seq: ring.Seq, Shard: shard, XID: ring.Xid, DueIn: dueIn(ring.DeliverAt, now),
		})
	}
	if len(reported.Rows) > 0 {
		e.loop.announce(reported)
	}
	if len(others) > 0 && own.Fleet.Relays > 1 {
		e.others.Add(others...)
	}
	e.config.Metrics.announced.Add(float64(len(rings)))
}

// found tells the machine of rows that SQL shows, and the other relays of those that are theirs.
func (e *ringer) found(rings []relay.Ring) {
	own := e.leases.Now()
	var rows machine.Found
	var others []relay.Ring
	for _, ring := range rings {
		if shard := relay.ShardOf(ring.ID, ring.Key); own.Holds(shard) {
			rows.Rows = append(rows.Rows, machine.Report{ID: ring.ID, Key: ring.Key, Shard: shard})
		} else {
			others = append(others, ring)
		}
	}
	e.loop.tell(rows)
	if len(others) > 0 && own.Fleet.Relays > 1 {
		e.others.Add(others...)
	}
}

// jobChanged tells of what a batch of a job has changed, here and elsewhere: also for what waited behind messages that
// were cancelled.
func (e *ringer) jobChanged(step sql.JobStep) {
	if len(step.Pending) > 0 {
		e.found(step.Pending)
	}
	if step.Changed == 0 {
		return
	}
	e.loop.tell(machine.Found{})
	if e.leases.Now().Fleet.Relays > 1 {
		e.others.Add(relay.Ring{ID: step.First})
	}
}

// hinted tells the machine of pending messages of this relay's that were named by NOTIFY. Without any it looks again at
// what is due.
func (e *ringer) hinted(pending []sql.Glance) {
	var rows machine.Found
	now := time.Now()
	for _, g := range pending {
		rows.Rows = append(rows.Rows, machine.Report{ID: g.ID, Key: g.Key, Shard: g.Shard, DueIn: dueIn(g.DeliverAt, now)})
	}
	e.loop.tell(rows)
	e.config.Metrics.announced.Add(float64(len(pending)))
}
