package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

const (
	// forwardMost is how many rows wait to be told to other relays; more of them become a
	// request to sweep.
	forwardMost = 10_000
	// forwardGather is how long ids wait for company before the others are told.
	forwardGather = time.Millisecond
	// forwardAgain is when it is tried again to tell the others.
	forwardAgain = time.Second
	// hiddenMost is the longest time after which a row is looked for again that SQL does not
	// show yet.
	hiddenMost = time.Second
	// dueMost is the longest time that a delayed row is waited for: what is due later is asked for meanwhile.
	dueMost = 24 * time.Hour
)

// forwarder collects the ids of rows that the stream showed here and that other relays own.
// They are told of a row when SQL shows it, since they look at it once: they cannot know
// whether it was a relay that told them.
type forwarder struct {
	ready chan struct{}

	mu   sync.Mutex
	rows []foreign
	many bool // more than fit, or it is not known which: the others sweep
}

// foreign is a row that another relay owns.
type foreign struct {
	id    relay.ID
	xid   uint32
	looks int // in vain
}

func newForwarder() *forwarder { return &forwarder{ready: make(chan struct{}, 1)} }

func (f *forwarder) add(rows []foreign) {
	f.mu.Lock()
	if len(f.rows)+len(rows) > forwardMost {
		f.rows, f.many = nil, true
	} else {
		f.rows = append(f.rows, rows...)
	}
	f.mu.Unlock()
	wait.Signal(f.ready)
}

// missed has the others sweep.
func (f *forwarder) missed() {
	f.mu.Lock()
	f.many = true
	f.mu.Unlock()
	wait.Signal(f.ready)
}

func (f *forwarder) take() (rows []foreign, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows, many = f.rows, f.many
	f.rows, f.many = nil, false
	return rows, many
}

// tell passes on what has been collected: by ring, which takes rows and returns those that SQL does
// not show yet, or takes none for a request to sweep. After an error the others are asked to sweep
// the next time.
func (f *forwarder) tell(ring func(rows []foreign) (hidden []foreign, err error)) error {
	rows, many := f.take()
	var hidden []foreign
	var err error
	if len(rows) > 0 {
		hidden, err = ring(rows)
	}
	if many && err == nil {
		_, err = ring(nil)
	}
	if err != nil {
		f.missed()
		return err
	}
	f.later(hidden)
	return nil
}

// later has rows looked for again, after the shortest time that one of them is to wait.
func (f *forwarder) later(hidden []foreign) {
	if len(hidden) == 0 {
		return
	}
	wait := hiddenMost
	for i := range hidden {
		wait = min(wait, 2*time.Millisecond<<min(hidden[i].looks, 10))
		hidden[i].looks++
	}
	time.AfterFunc(wait, func() { f.add(hidden) })
}

// ring tells the machine of the rows of one committed transaction. Rows of other relays' shards are passed on to them.
func (e *ringer) ring(rings []relay.Ring) {
	own := e.lease.Load()
	now := time.Now()
	reported := machine.Reported{Rows: make([]machine.Report, 0, len(rings))}
	var others []foreign
	for _, ring := range rings {
		shard := relay.ShardOf(ring.ID, ring.Key)
		if !own.holds(shard) {
			others = append(others, foreign{id: ring.ID, xid: ring.Xid})
			continue
		}
		row := machine.Report{ID: ring.ID, Key: ring.Key, Seq: ring.Seq, Shard: shard, XID: ring.Xid}
		if !ring.DeliverAt.IsZero() {
			row.DueIn = min(ring.DeliverAt.Sub(now), dueMost)
		}
		reported.Rows = append(reported.Rows, row)
	}
	if len(reported.Rows) > 0 {
		e.loop.announce(reported)
	}
	if len(others) > 0 && own.fleet.Relays > 1 {
		e.others.add(others)
	}
	e.config.Metrics.announced.Add(float64(len(rings)))
}

// forward rings the other relays for what the stream shows here, until ctx ends.
func (e *ringer) forward(ctx context.Context) error {
	for wait.Ready(ctx, e.others.ready, forwardGather) {
		err := e.others.tell(func(rows []foreign) ([]foreign, error) { return e.ringOthers(ctx, rows) })
		e.trouble.NoteDuring(ctx, "ring the other relays", err)
		if err != nil && !wait.For(ctx, forwardAgain) {
			return nil
		}
	}
	return nil
}

// ringOthers tells the other relays of rows, and returns those that SQL does not show yet. Rows
// that are gone are forgotten.
func (e *ringer) ringOthers(ctx context.Context, rows []foreign) (hidden []foreign, err error) {
	told, err := e.config.Store.RingOthers(ctx, foreignIDs(rows))
	if err != nil || len(told) == len(rows) {
		return nil, err
	}
	seen := make(map[relay.ID]bool, len(told))
	for _, id := range told {
		seen[id] = true
	}
	hidden = slices.DeleteFunc(rows, func(row foreign) bool { return seen[row.id] })
	snapshot, present, err := e.config.Store.Present(ctx, foreignIDs(hidden))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(hidden, func(row foreign) bool { return snapshot.Shows(row.xid) && !present[row.id] }), nil
}

func foreignIDs(rows []foreign) []relay.ID {
	ids := make([]relay.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	return ids
}

// found tells the machine of rows that SQL shows, and the other relays of those that are theirs.
func (e *ringer) found(rings []relay.Ring) {
	own := e.lease.Load()
	var rows machine.Found
	var others []foreign
	for _, ring := range rings {
		if shard := relay.ShardOf(ring.ID, ring.Key); own.holds(shard) {
			rows.Rows = append(rows.Rows, machine.Report{ID: ring.ID, Key: ring.Key, Shard: shard})
		} else {
			others = append(others, foreign{id: ring.ID})
		}
	}
	e.loop.tell(rows)
	if len(others) > 0 && own.fleet.Relays > 1 {
		e.others.add(others)
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
	if e.lease.Load().fleet.Relays > 1 {
		e.others.add([]foreign{{id: step.First}})
	}
}
