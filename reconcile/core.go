package reconcile

import (
	"context"
	"sync"
	"sync/atomic"

	"relay"
	"relay/jobs"
	"relay/lease"
	"relay/notice"
	"relay/pulse"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/retention"
	"relay/sql"
	"relay/trouble"
)

// core is what the loop and its workers share.
type core struct {
	config  Config
	id      relay.ID
	loop    *loop
	writer  *writer
	leases  *lease.Keeper
	trouble *trouble.Log
	pulse   *pulse.Pulse

	// What the workers are to do.
	toRead       *queue[machine.ReadRow]
	keysToRead   *queue[machine.ReadKey]
	acksToRead   *queue[machine.ReadAck]
	sweeps       []*queue[machine.Sweep] // one for each group
	dueWanted    *queue[machine.FindDue]
	parkedWanted *queue[machine.Command] // ReadParked and FindBacklog
	orphans      *queue[machine.EndOrphan]
	missed       *queue[relay.ID]
	acked        chan struct{} // a consumer has acknowledged something here
	memory       memory

	loading  sync.Mutex               // while subscriptions are loaded
	looked   int64                    // the version of the subscriptions that waiting messages were looked at with
	unrouted atomic.Bool              // what was rejected for want of a route is to be looked at again
	blocking atomic.Pointer[[]string] // the subscriptions whose dead messages hold their key

	// What cannot be read, changed or removed, each row alone.
	quarantine *quarantine.Quarantine

	// The workers.
	sender   sender
	rows     rowReader
	careful  carefulReader
	keys     keyReader
	dues     dueReader
	parked   parkedReader
	sweeper  sweeper
	acks     ackTaker
	loader   subscriptionLoader
	holder   shardHolder
	ringer   ringer
	others   *notice.Forwarder
	hints    *notice.Hints
	orphaned orphanEnder
	jobs     *jobs.Runner
	overdue  overdueFinder
	remover  *retention.Remover
}

// newCore wires the workers.
func newCore(config Config) *core {
	c := &core{
		config: config, id: config.ID, trouble: trouble.New(config.Log),
		toRead: newQueue[machine.ReadRow](), keysToRead: newQueue[machine.ReadKey](), acksToRead: newQueue[machine.ReadAck](),
		dueWanted: newQueue[machine.FindDue](), parkedWanted: newQueue[machine.Command](), orphans: newQueue[machine.EndOrphan](),
		missed: newQueue[relay.ID](), acked: make(chan struct{}, 1),
	}
	c.quarantine = quarantine.New(quarantine.Config{
		Store: config.Store, ID: config.ID, Trouble: c.trouble, Log: config.Log, Metrics: config.Metrics.quarantine,
	})
	c.pulse = pulse.New(pulse.Config{
		Store: config.Store, Sampler: config.Sampler, ID: config.ID, Counts: c.ownsJobs, Trouble: c.trouble, Metrics: config.Metrics.pulse,
	})
	c.jobs = jobs.New(jobs.Config{
		Store: config.Store, Lease: func() (sql.Lease, bool) { return c.leases.Now().Lease, c.ownsJobs() }, Changed: c.ringer.jobChanged,
		Quarantine: c.quarantine, Trouble: c.trouble, Log: config.Log, Metrics: config.Metrics.jobs,
	})
	c.remover = retention.New(retention.Config{
		Store: config.Store, Retention: config.Retention, ForAll: c.ownsJobs, Quarantine: c.quarantine, Trouble: c.trouble, Metrics: config.Metrics.retention,
	})
	for range config.Groups {
		c.sweeps = append(c.sweeps, newQueue[machine.Sweep]())
	}
	c.blocking.Store(new([]string))
	c.others = notice.NewForwarder(notice.ForwarderConfig{Store: config.Store, Trouble: c.trouble})
	c.hints = notice.NewHints(notice.HintsConfig{
		Store: config.Store, Await: func(ctx context.Context) bool { return c.loop.waitWorking(ctx) },
		Holds: func(shard int16) bool { return c.leases.Now().Holds(shard) }, Found: c.ringer.hinted, Sweep: c.sweeper.sweepAll,
		Trouble: c.trouble, Log: config.Log, Metrics: config.Metrics.notice,
	})
	c.leases = lease.New(lease.Config{
		Store: config.Store, ID: config.ID, Name: config.Name, Version: config.Version, TTL: config.LeaseTTL, Streaming: config.Streaming,
		Worker: &c.holder, Trouble: c.trouble, Log: config.Log, Metrics: config.Metrics.lease,
	})
	c.memory.core, c.sender.core, c.rows.core, c.careful.core, c.keys.core = c, c, c, c, c
	c.dues.core, c.parked.core, c.sweeper.core, c.acks.core, c.loader.core = c, c, c, c, c
	c.holder.core, c.ringer.core, c.orphaned.core, c.overdue.core = c, c, c, c
	c.loop = newLoop(c)
	c.writer = newWriter(c)
	return c
}

// ownsJobs reports whether this relay does what one of them does for all.
func (c *core) ownsJobs() bool { return c.leases.Now().Sends(sql.JobShard) }

// rowReader reads pending messages, and deliveries of open ones, by their ids (read.go).
type rowReader struct{ *core }

// carefulReader reads rows in halves where one of them cannot be read, and tells what is gone (read_alone.go).
type carefulReader struct{ *core }

// keyReader reads what the table holds of keys (read_key.go).
type keyReader struct{ *core }

// dueReader finds what is due (due.go).
type dueReader struct{ *core }

// parkedReader finds what waits for its destination (parked.go).
type parkedReader struct{ *core }

// sweeper finds what was left to the table (sweep.go).
type sweeper struct{ *core }

// ackTaker takes what consumers say (ack.go).
type ackTaker struct{ *core }

// subscriptionLoader keeps the subscriptions up to date (subscriptions.go).
type subscriptionLoader struct{ *core }

// shardHolder tells the machine of leases (shards.go).
type shardHolder struct{ *core }

// ringer takes what the doorbell shows, and rings other relays (forward.go).
type ringer struct{ *core }

// orphanEnder ends deliveries whose message has ended (orphans.go).
type orphanEnder struct{ *core }

// overdueFinder gives up what has been due for too long (overdue.go).
type overdueFinder struct{ *core }
