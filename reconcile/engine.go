package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"relay"
	"relay/sql"
)

// router finds the subscribers of a message. Errors are relay.Rejections.
type router interface {
	Route(m *relay.Message) ([]*relay.Delivery, error)
	Resume(m *relay.Message, subscription, instance, target string, attempts int) (*relay.Delivery, error)
	// Routes returns how many subscribers messages of a topic have; NoRoute is the reason of
	// those that have none.
	Routes(topic string) int
	NoRoute() string
}

// rules are what subscriptions say about their deliveries in general.
type rules interface {
	// Paused reports whether a circuit is that of a paused subscription, Rests whether nothing at
	// all of a subscription goes on until it is changed, BlocksOnDead whether a message of the
	// subscription that died holds its key, Unordered whether it has no order.
	Paused(circuit string) bool
	Rests(subscription string) bool
	BlocksOnDead(subscription string) bool
	Unordered(subscription string) bool
}

// subscriptions are those that the router knows.
type subscriptions interface {
	// Replace makes these the subscriptions. Version returns the version that they were given with.
	Replace(version int64, all []*relay.Subscriber)
	Version() int64
	// WantsAcks reports whether consumers of a subscription acknowledge.
	WantsAcks() bool
}

// dispatcher makes attempts. done is called exactly once for each dispatch.
type dispatcher interface {
	Dispatch(d *relay.Delivery, due bool, done func(relay.Outcome))
	Stop(ctx context.Context)
}

// circuits are what the dispatcher knows of destinations.
type circuits interface {
	// Room reports how many deliveries that wait for a circuit would start soon; direct says
	// that rows named the destination.
	Room(circuit string, direct bool) int
	Wake() <-chan struct{}
	// Up closes the circuit of a subscription: there is reason to believe that attempts
	// succeed again.
	Up(subscription string)
	// UpInstances is Up for each instance of a broadcast.
	UpInstances(subscription string)
}

// Config is what an engine needs.
type Config struct {
	Store *sql.Store
	// Sampler counts what stands in the tables, for all in this process who ask.
	Sampler       *sql.Sampler
	Router        router
	Rules         rules
	Subscriptions subscriptions
	Dispatcher    dispatcher
	Circuits      circuits
	Policy        Policy
	// Gone reports whether the instance of a pinned delivery is certainly none of its host
	// name's any more. Nil: it is not known.
	Gone func(context.Context, *relay.Delivery) bool
	// Groups divides the shards among sweeps (RELAY_RECONCILE).
	Groups []Group
	// Streaming reports whether this relay hears the stream itself, since it holds the slot.
	Streaming func() bool
	// Ringing reports whether a doorbell works; without one sweeps run every 500 ms.
	Ringing func() bool
	// InFlight bounds the registry in messages, InFlightBytes in bytes of what these hold,
	// MaxPayload one message.
	InFlight      int
	InFlightBytes int64
	MaxPayload    int64
	// AckKey signs the tokens with which consumers acknowledge.
	AckKey relay.AckKey
	// Retention is how long ended messages are kept. Zero: for ever.
	Retention time.Duration
	// LeaseTTL is how long a lease lasts without being renewed.
	LeaseTTL time.Duration
	// Grace bounds the wait for attempts under way when the engine stops.
	Grace time.Duration
	// ID names the relay among those of its database.
	ID relay.ID
	// Name and Version tell people which relay this is.
	Name, Version string
	Log           *slog.Logger
	Metrics       *Metrics
}

// Engine brings every row of the shards it owns to an end. It is made by New, run once by
// Run, and told of rows by Ring.
type Engine struct{ *core }

// New returns an engine that does nothing before Run.
func New(config Config) *Engine {
	e := &core{
		config:    config,
		id:        config.ID,
		registry:  newRegistry(config.InFlight, config.InFlightBytes),
		due:       newAlarm(),
		backlog:   newBacklog(),
		crowd:     newCrowd(),
		others:    newForwarder(),
		hints:     newHints(),
		keyring:   newKeyring(),
		waker:     newWaker(),
		acked:     make(chan struct{}, 1),
		gathering: make(chan struct{}, 1),
		trouble:   troubles{log: config.Log},
		orphans:   newOrphans(),
		pulse:     newPulse(),
		tellings:  make(chan sql.Telling, tellMost),
	}
	if m := config.Metrics; m != nil {
		m.limits.WithLabelValues(wantMessages).Set(float64(config.InFlight))
		m.limits.WithLabelValues(wantBytes).Set(float64(config.InFlightBytes))
	}
	e.wire()
	e.hidden = newHidden(e.keyring)
	e.writer = newWriter(e)
	e.order = newOrder(func(l sql.Line, soon bool) {
		if soon {
			e.waker.later(l)
		} else {
			e.waker.add(l)
		}
	})
	e.registry.onUnregistered = e.keys.unregistered
	e.registry.full = func(want string, n int) { config.Metrics.left.WithLabelValues(want).Add(float64(n)) }
	e.lease.Store(&ownership{lease: sql.Lease{Owner: e.id}})
	e.registry.onLeft = e.sweeper.left
	for range config.Groups {
		e.sweepNow = append(e.sweepNow, make(chan struct{}, 1))
	}
	return &Engine{e}
}

// Ring registers the rows of one committed transaction, or leaves them to the table when
// the registry is full. It returns at once. Rows of other relays' shards are passed on to
// them.
func (e *Engine) Ring(rings []relay.Ring) { e.ringer.ring(rings) }

// left has all groups sweep soon, since rows were left to the table: it is not known which
// group they belong to, and its own time may be hours away.
func (e *sweeper) left() {
	e.keyring.reportsLost()
	e.sweepShortly()
}

// sweepShortly has all groups sweep after a short while.
func (e *sweeper) sweepShortly() {
	if !e.sweepSoon.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(pollEvery, func() {
		e.sweepSoon.Store(false)
		e.sweepAll()
	})
}

// Notified is the engine as a LISTEN connection rings it, whose hints reach every relay.
type Notified struct{ *Engine }

// Missed is Engine.Missed for a caller that hears what every relay hears: the other relays need not
// be told.
func (n Notified) Missed() { n.sweeper.sweepAll() }

// Missed says that rows may have been committed that no ring announced: all groups sweep, and
// so do those of the other relays, which hear of rows by this one alone.
func (e *Engine) Missed() {
	e.sweeper.sweepAll()
	e.others.missed()
}

// sweepAll has all groups sweep at once.
func (e *sweeper) sweepAll() {
	e.keyring.reportsLost()
	for _, c := range e.sweepNow {
		poke(c)
	}
}

// poke sends without waiting to a channel that holds one value.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lastWrites is the least time that the last outcomes have to be written in, after the
// attempts under way have ended.
const lastWrites = 2 * time.Second

// readers is how many reads run at once, so that one batch is read while another is routed.
const readers = 2

// Run works until ctx ends: it takes leases, reads, sends, sweeps and writes. Then it takes
// nothing more in, waits for the attempts under way as long as Grace allows, writes their
// outcomes and gives up its leases, each shard as soon as nothing of it is under way. It returns an error only if the last outcomes could not
// be written; their messages are sent again by the next owner.
func (e *Engine) Run(ctx context.Context) error {
	// Outcomes are written after intake has ended, on a context of their own.
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	var writers sync.WaitGroup
	e.writer.start(writing, &writers)

	intake, ctx := errgroup.WithContext(ctx)
	for range readers {
		intake.Go(func() error { return e.rows.read(ctx) })
	}
	intake.Go(func() error { return e.keys.readKeyed(ctx) })
	intake.Go(func() error { return e.fanout.readFanout(ctx) })
	intake.Go(func() error { return e.heads.wakeLines(ctx) })
	intake.Go(func() error { return e.keys.expireLines(ctx) })
	intake.Go(func() error { return e.loader.watchSubscriptions(ctx) })
	intake.Go(func() error { return e.leases.keepLeases(ctx) })
	intake.Go(func() error { return e.dues.watchDue(ctx) })
	intake.Go(func() error { return e.ringer.forward(ctx) })
	intake.Go(func() error { return e.careful.awaitHidden(ctx) })
	intake.Go(func() error { return e.hinted.followHints(ctx) })
	intake.Go(func() error { return e.parked.refill(ctx) })
	intake.Go(func() error { return e.parked.drainCrowd(ctx) })
	intake.Go(func() error { return e.cleaner.tidy(ctx) })
	intake.Go(func() error { return e.jobs.runJobs(ctx) })
	intake.Go(func() error { return e.acks.watchAcks(ctx) })
	intake.Go(func() error { return e.isolator.endOrphans(ctx) })
	intake.Go(func() error { return e.isolator.watchQuarantine(ctx) })
	intake.Go(func() error { return e.isolator.runTell(ctx) })
	intake.Go(func() error { return e.cleaner.writePulse(ctx) })
	for i := range e.config.Groups {
		intake.Go(func() error { return e.sweeper.sweep(ctx, i) })
	}
	err := intake.Wait()

	e.stopping.Store(true)
	e.writer.apart.unwritten.hurry()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.Grace)
	defer cancel()
	renewing, stopRenewing := context.WithCancel(grace)
	var renewal sync.WaitGroup
	renewal.Go(func() { e.leases.keepLeases(renewing) })
	e.config.Dispatcher.Stop(grace)
	// What was cut off at the end of the grace has an outcome too.
	until := time.Now().Add(lastWrites)
	if end, _ := grace.Deadline(); end.After(until) {
		until = end
	}
	last, cancelLast := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancelLast()
	unwritten := e.writer.finish(last)
	e.trouble.note("write the pulse", e.cleaner.flushPulse(last))
	stopRenewing()
	renewal.Wait()
	stopWriting()
	writers.Wait()
	e.trouble.note("report what is in quarantine", e.isolator.leaveQuarantine())
	return errors.Join(err, unwritten, e.leases.release())
}

// Status is what an engine says about itself. Shards and relays are zero before it has a
// lease, and from when its leases have ended without being renewed.
type Status struct {
	Shards    int   // owned
	Relays    int   // alive on this database, this one included
	Streaming bool  // one of them hears the stream
	InFlight  int   // messages and deliveries
	Bytes     int64 // that these hold
	Trouble   string
	// FannedOut is how many messages with many deliveries, or keys of such, wait for those before them.
	FannedOut int
	// Quarantined is how many rows cannot be read, changed or removed at present.
	Quarantined int
}

// Status returns the present state.
func (e *Engine) Status() Status {
	own := e.lease.Load()
	n, bytes := e.registry.memory.size()
	if !time.Now().Before(own.until) {
		own = new(ownership)
	}
	return Status{Shards: len(own.lease.Epochs), Relays: own.fleet.Relays, Streaming: own.fleet.Streaming, InFlight: n, Bytes: bytes, Trouble: e.trouble.last(), FannedOut: e.registry.lane.fanoutWaiting(), Quarantined: e.quarantine.total()}
}

// pause waits for d, for a poke, or for the end of ctx; false means that ctx has ended.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return true
}
