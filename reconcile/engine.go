package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
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
	// Replace makes these the subscriptions, of which Version is the version.
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
	Store         *sql.Store
	Router        router
	Rules         rules
	Subscriptions subscriptions
	Dispatcher    dispatcher
	Circuits      circuits
	Policy        Policy
	// Gone reports whether the instance of a pinned delivery is certainly none of its host
	// name's any more. Nil: nobody knows.
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
	// Name and Version tell people which relay this is.
	Name, Version string
	Log           *slog.Logger
	Metrics       *Metrics
}

// Engine brings every row of the shards it owns to an end. It is made by New, run once by
// Run, and told of rows by Ring.
type Engine struct {
	config   Config
	id       relay.ID
	registry *registry
	writer   *writer
	due      *alarm
	backlog  *backlog
	crowd    *crowd
	lease    atomic.Pointer[ownership]
	watch    sql.Watch // of the other relays; keepLeases alone uses it
	stopping atomic.Bool
	others   *forwarder
	hints    *hints
	order    *order
	pinning  sync.Mutex // while lines are pinned and the table is asked about them
	keyring  *keyring
	waker    *waker
	acked    chan struct{}   // a consumer has acknowledged something here
	loading  sync.Mutex      // while subscriptions are loaded
	looked   int64           // the version of the subscriptions that waiting messages were looked at with
	unrouted atomic.Bool     // what was rejected for want of a route is to be looked at again
	sweepNow []chan struct{} // one for each group
	// gathering is held by the reader that waits for a batch.
	gathering chan struct{}
	// sweepSoon says that a sweep of all groups is due shortly.
	sweepSoon atomic.Bool
	hidden    *hidden
	trouble   troubles
	// What cannot be read, changed or removed, each row alone.
	quarantine quarantine
	tellings   chan sql.Telling // to be written into rows in quarantine
	orphans    *orphans
	pulse      *pulse
}

// New returns an engine that does nothing before Run.
func New(config Config) *Engine {
	e := &Engine{
		config:    config,
		id:        relay.NewID(),
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
	e.hidden = newHidden(e.keyring)
	e.writer = newWriter(e)
	e.order = newOrder(func(l sql.Line, soon bool) {
		if soon {
			e.waker.later(l)
		} else {
			e.waker.add(l)
		}
	})
	e.registry.onLanded = e.landed
	e.registry.full = func(want string, n int) { config.Metrics.left.WithLabelValues(want).Add(float64(n)) }
	e.lease.Store(&ownership{lease: sql.Lease{Owner: e.id}})
	e.registry.onLeft = e.left
	for range config.Groups {
		e.sweepNow = append(e.sweepNow, make(chan struct{}, 1))
	}
	return e
}

// Ring registers the rows of one committed transaction, or leaves them to the table when
// the registry is full. It returns at once. Rows of other relays' shards are passed on to
// them.
func (e *Engine) Ring(rings []relay.Ring) {
	own := e.lease.Load()
	now := time.Now()
	entries := make([]entry, 0, len(rings))
	var others []foreign
	for _, ring := range rings {
		switch {
		case !own.holds(relay.ShardOf(ring.ID, ring.Key)):
			others = append(others, foreign{id: ring.ID, xid: ring.Xid})
		case ring.DeliverAt.After(now):
			e.due.hint(ring.DeliverAt)
		default:
			entries = append(entries, messageEntry(ring, true))
		}
	}
	e.registry.ring(entries)
	if len(others) > 0 && own.fleet.Relays > 1 {
		e.others.add(others)
	}
	e.config.Metrics.rung.Add(float64(len(rings)))
}

// left has all groups sweep soon, since rows were left to the table: it is not known of which
// group they are, and its own time may be hours away.
func (e *Engine) left() {
	e.keyring.doubt()
	e.sweepShortly()
}

// sweepShortly has all groups sweep after a short while.
func (e *Engine) sweepShortly() {
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

// Missed is Engine.Missed for whoever hears what everybody hears: the other relays need not
// be told.
func (n Notified) Missed() { n.sweepAll() }

// Missed says that rows may have been committed that nobody rang for: all groups sweep, and
// so do those of the other relays, which hear of rows by this one alone.
func (e *Engine) Missed() {
	e.sweepAll()
	e.others.missed()
}

// sweepAll has all groups sweep at once.
func (e *Engine) sweepAll() {
	e.keyring.doubt()
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
		intake.Go(func() error { return e.read(ctx) })
	}
	intake.Go(func() error { return e.readKeyed(ctx) })
	intake.Go(func() error { return e.readFanout(ctx) })
	intake.Go(func() error { return e.wakeLines(ctx) })
	intake.Go(func() error { return e.expireLines(ctx) })
	intake.Go(func() error { return e.watchSubscriptions(ctx) })
	intake.Go(func() error { return e.keepLeases(ctx) })
	intake.Go(func() error { return e.watchDue(ctx) })
	intake.Go(func() error { return e.forward(ctx) })
	intake.Go(func() error { return e.awaitHidden(ctx) })
	intake.Go(func() error { return e.followHints(ctx) })
	intake.Go(func() error { return e.refill(ctx) })
	intake.Go(func() error { return e.drainCrowd(ctx) })
	intake.Go(func() error { return e.tidy(ctx) })
	intake.Go(func() error { return e.runJobs(ctx) })
	intake.Go(func() error { return e.watchAcks(ctx) })
	intake.Go(func() error { return e.endOrphans(ctx) })
	intake.Go(func() error { return e.watchQuarantine(ctx) })
	intake.Go(func() error { return e.runTell(ctx) })
	intake.Go(func() error { return e.writePulse(ctx) })
	for i := range e.config.Groups {
		intake.Go(func() error { return e.sweep(ctx, i) })
	}
	err := intake.Wait()

	e.stopping.Store(true)
	e.writer.apart.hurry()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.Grace)
	defer cancel()
	renewing, stopRenewing := context.WithCancel(grace)
	var renewal sync.WaitGroup
	renewal.Go(func() { e.keepLeases(renewing) })
	e.config.Dispatcher.Stop(grace)
	// What was cut off at the end of the grace has an outcome too.
	until := time.Now().Add(lastWrites)
	if end, _ := grace.Deadline(); end.After(until) {
		until = end
	}
	last, cancelLast := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancelLast()
	unwritten := e.writer.finish(last)
	e.trouble.note("write the pulse", e.flushPulse(last))
	stopRenewing()
	renewal.Wait()
	stopWriting()
	writers.Wait()
	e.trouble.note("report what is in quarantine", e.leaveQuarantine())
	return errors.Join(err, unwritten, e.release())
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
}

// Status returns the present state.
func (e *Engine) Status() Status {
	own := e.lease.Load()
	n, bytes := e.registry.size()
	if !time.Now().Before(own.until) {
		own = new(ownership)
	}
	return Status{Shards: len(own.lease.Epochs), Relays: own.fleet.Relays, Streaming: own.fleet.Streaming, InFlight: n, Bytes: bytes, Trouble: e.trouble.last(), FannedOut: e.registry.fanoutWaiting()}
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
