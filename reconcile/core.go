package reconcile

import (
	"sync"
	"sync/atomic"

	"relay"
	"relay/jobs"
	"relay/pulse"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/retention"
	"relay/sql"
	"relay/trouble"
)

// core is what the loop and its workers share.
type core struct {
	config   Config
	id       relay.ID
	loop     *loop
	writer   *writer
	lease    atomic.Pointer[ownership]
	watch    sql.Watch // of the other relays; keepLeases alone uses it
	stopping atomic.Bool
	trouble  *trouble.Log
	pulse    *pulse.Pulse

	// What the workers are to do.
	toRead       *queue[machine.ReadRow]
	keysToRead   *queue[machine.ReadKey]
	acksToRead   *queue[machine.ReadAck]
	sweeps       []*queue[machine.Sweep] // one for each group
	dueWanted    *queue[machine.FindDue]
	parkedWanted *queue[machine.Command] // ReadParked and FindBacklog
	orphans      *queue[machine.EndOrphan]
	missed       *queue[relay.ID]
	others       *forwarder
	hints        *hints
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
	leases   leaseKeeper
	ringer   ringer
	hinted   hintReader
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
		missed: newQueue[relay.ID](), others: newForwarder(), hints: newHints(), acked: make(chan struct{}, 1),
	}
	c.quarantine = quarantine.New(quarantine.Config{
		Store: config.Store, ID: config.ID, Trouble: c.trouble, Log: config.Log, Metrics: config.Metrics.quarantine,
	})
	c.pulse = pulse.New(pulse.Config{
		Store: config.Store, Sampler: config.Sampler, ID: config.ID, Counts: c.ownsJobs, Trouble: c.trouble, Metrics: config.Metrics.pulse,
	})
	c.jobs = jobs.New(jobs.Config{
		Store: config.Store, Lease: func() (sql.Lease, bool) { return c.lease.Load().lease, c.ownsJobs() }, Changed: c.ringer.jobChanged,
		Quarantine: c.quarantine, Trouble: c.trouble, Log: config.Log, Metrics: config.Metrics.jobs,
	})
	c.remover = retention.New(retention.Config{
		Store: config.Store, Retention: config.Retention, ForAll: c.ownsJobs, Quarantine: c.quarantine, Trouble: c.trouble, Metrics: config.Metrics.retention,
	})
	for range config.Groups {
		c.sweeps = append(c.sweeps, newQueue[machine.Sweep]())
	}
	c.blocking.Store(new([]string))
	c.lease.Store(&ownership{lease: sql.Lease{Owner: c.id}})
	c.memory.core, c.sender.core, c.rows.core, c.careful.core, c.keys.core = c, c, c, c, c
	c.dues.core, c.parked.core, c.sweeper.core, c.acks.core, c.loader.core = c, c, c, c, c
	c.leases.core, c.ringer.core, c.hinted.core, c.orphaned.core, c.overdue.core = c, c, c, c, c
	c.loop = newLoop(c)
	c.writer = newWriter(c)
	return c
}

// ownsJobs reports whether this relay does what one of them does for all.
func (c *core) ownsJobs() bool { return c.lease.Load().sends(sql.JobShard) }

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

// leaseKeeper renews leases and gives shards up (lease.go).
type leaseKeeper struct{ *core }

// ringer takes what the doorbell shows, and rings other relays (forward.go).
type ringer struct{ *core }

// hintReader looks at ids that arrived by NOTIFY (hints.go).
type hintReader struct{ *core }

// orphanEnder ends deliveries whose message has ended (orphans.go).
type orphanEnder struct{ *core }

// overdueFinder gives up what has been due for too long (overdue.go).
type overdueFinder struct{ *core }
