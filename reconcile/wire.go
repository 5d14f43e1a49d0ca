package reconcile

import (
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

// shared is what all workers use. What one of them alone needs stands in its own type.
type shared struct {
	config     Config
	loop       *loop
	leases     *lease.Keeper
	quarantine *quarantine.Quarantine
	trouble    *trouble.Log
}

// ownsJobs reports whether this relay does what one of them does for all.
func (s *shared) ownsJobs() bool { return s.leases.Now().Sends(sql.JobShard) }

// Engine brings every row of the shards it owns to an end. It is made by New, run once by
// Run, and told of rows by Ring.
type Engine struct {
	*shared

	rows    *rowReader
	careful *carefulReader
	keys    *keyReader
	sender  *sender
	writer  *writer
	sweeper *sweeper
	dues    *dueReader
	parked  *parkedReader
	orphans *orphanEnder
	overdue *overdueFinder
	acks    *ackTaker
	loader  *subscriptionLoader
	ringer  *ringer
	hints   *notice.Hints
	jobs    *jobs.Runner
	pulse   *pulse.Pulse
	remover *retention.Remover
}

// New returns an engine that does nothing before Run.
func New(config Config) *Engine {
	config.Metrics.limits.WithLabelValues(wantMessages).Set(float64(config.InFlight))
	config.Metrics.limits.WithLabelValues(wantBytes).Set(float64(config.InFlightBytes))
	s := &shared{config: config, trouble: trouble.New(config.Log)}
	e := &Engine{shared: s}
	s.loop = newLoop(config, e.carryOut)
	s.quarantine = quarantine.New(quarantine.Config{
		Store: config.Store, ID: config.ID, Trouble: s.trouble, Log: config.Log, Metrics: config.Metrics.quarantine,
	})
	e.loader = newSubscriptionLoader(s)
	s.leases = lease.New(lease.Config{
		Store: config.Store, ID: config.ID, Name: config.Name, Version: config.Version, TTL: config.LeaseTTL, Streaming: config.Streaming,
		Worker: &shardHolder{s, e.loader}, Trouble: s.trouble, Log: config.Log, Metrics: config.Metrics.lease,
	})
	e.wireNeighbours()

	e.careful = &carefulReader{s, newQueue[relay.ID]()}
	reading := reader{s, &memory{shared: s}, e.loader}
	e.rows = &rowReader{reading, e.careful, newQueue[machine.ReadRow]()}
	e.keys = &keyReader{reading, newQueue[machine.ReadKey]()}
	e.sender = &sender{s}
	e.writer = newWriter(s, e.loader, e.pulse, e.jobs)
	e.sweeper = newSweeper(s)
	e.dues = &dueReader{s, newQueue[machine.FindDue]()}
	e.parked = &parkedReader{s, newQueue[machine.Command]()}
	e.orphans = &orphanEnder{s, newQueue[machine.EndOrphan]()}
	e.overdue = &overdueFinder{s}
	e.acks = &ackTaker{s, newQueue[machine.ReadAck](), make(chan struct{}, 1)}
	return e
}

// wireNeighbours makes what packages of their own do for the engine.
func (e *Engine) wireNeighbours() {
	c, s := e.config, e.shared
	e.ringer = &ringer{s, notice.NewForwarder(notice.ForwarderConfig{Store: c.Store, Trouble: s.trouble})}
	e.hints = notice.NewHints(notice.HintsConfig{
		Store: c.Store, Await: s.loop.waitWorking, Holds: func(shard int16) bool { return s.leases.Now().Holds(shard) },
		Found: e.ringer.hinted, Sweep: s.loop.sweepAll, Trouble: s.trouble, Log: c.Log, Metrics: c.Metrics.notice,
	})
	e.pulse = pulse.New(pulse.Config{
		Store: c.Store, Sampler: c.Sampler, ID: c.ID, Counts: s.ownsJobs, Trouble: s.trouble, Metrics: c.Metrics.pulse,
	})
	e.jobs = jobs.New(jobs.Config{
		Store: c.Store, Lease: func() (sql.Lease, bool) { return s.leases.Now().Lease, s.ownsJobs() }, Changed: e.ringer.jobChanged,
		Quarantine: s.quarantine, Trouble: s.trouble, Log: c.Log, Metrics: c.Metrics.jobs,
	})
	e.remover = retention.New(retention.Config{
		Store: c.Store, Retention: c.Retention, ForAll: s.ownsJobs, Quarantine: s.quarantine, Trouble: s.trouble, Metrics: c.Metrics.retention,
	})
}

// carryOut hands a command to the worker that it is for. It waits for nothing.
func (e *Engine) carryOut(c machine.Command) {
	switch c := c.(type) {
	case machine.Send:
		e.sender.send(c)
	case machine.ReadRow:
		e.rows.wanted.push(c)
	case machine.ReadKey:
		e.keys.wanted.push(c)
	case machine.ReadAck:
		e.acks.wanted.push(c)
	case machine.Write:
		e.writer.put(c)
	case machine.Sweep:
		e.sweeper.wanted[c.Group].push(c)
	case machine.FindDue:
		e.dues.wanted.push(c)
	case machine.AskRoom:
		at := circuitOf(c.Destination)
		e.loop.tell(machine.Room{Destination: c.Destination, Deliveries: e.config.Circuits.Room(at.Circuit, at.Direct)})
	case machine.ReadParked:
		e.parked.wanted.push(c)
	case machine.FindBacklog:
		e.parked.wanted.push(c)
	case machine.EndOrphan:
		e.orphans.wanted.push(c)
	case machine.Missed:
		e.careful.missed.push(c.ID)
	case machine.WakeAt:
		e.loop.wakeAt(c.At)
	case machine.Release: // the keeper of the leases asks before it gives a shard up
	}
}
