package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"relay"
	"relay/lease"
	"relay/reconcile/machine"
	"relay/retry"
	"relay/schedule"
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
	Subscriptions subscriptions
	Dispatcher    dispatcher
	Circuits      circuits
	Policy        retry.Policy
	// Gone reports whether the instance of a pinned delivery is certainly none of its host
	// name's any more. Nil: it is not known.
	Gone func(context.Context, *relay.Delivery) bool
	// Groups divides the shards among sweeps (RELAY_RECONCILE).
	Groups []schedule.Group
	// Streaming reports whether this relay hears the stream itself, since it holds the slot.
	Streaming func() bool
	// Ringing reports whether a doorbell works; without one sweeps run every 500 ms.
	Ringing func() bool
	// InFlight bounds what is in memory in messages and deliveries, InFlightBytes in bytes of what these hold,
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

// Ring tells of the rows of one committed transaction. It returns at once, whatever destinations do. Rows of other
// relays' shards are passed on to them.
func (e *Engine) Ring(rings []relay.Ring) { e.ringer.ring(rings) }

// Notified is the engine as a LISTEN connection rings it, whose hints reach every relay.
type Notified struct{ *Engine }

// Missed is Engine.Missed for a caller that hears what every relay hears: the other relays need not
// be told.
func (n Notified) Missed() { n.loop.tell(machine.Gap{}) }

// Missed says that rows may have been committed that no ring announced: all groups sweep, and
// so do those of the other relays, which hear of rows by this one alone.
func (e *Engine) Missed() {
	e.loop.tell(machine.Gap{})
	e.ringer.others.Missed()
}

// Changed takes a hint that arrived by NOTIFY: these messages, of any shard, may be pending, and
// something may be due. Without ids it asks for a look at what is pending, due or waiting. It
// reports whether the sender, a process of the server, is heeded, and returns at once.
func (e *Engine) Changed(sender uint32, ids []relay.ID) (heeded bool) {
	return e.hints.Heard(sender, ids)
}

// Crowded reports whether nothing may be sent to a destination for the time being, because its outcomes cannot be
// written: each attempt would be one more that a crash repeats.
func (e *Engine) Crowded(circuit string) bool { return (*e.loop.blocked.Load())[circuit] }

// lastWrites is the least time that the last outcomes have to be written in, after the
// attempts under way have ended.
const lastWrites = 2 * time.Second

// readers is how many reads run at once, so that one batch is read while another is routed.
const readers = 2

// Run works until ctx ends: it takes leases, reads, sends, sweeps and writes. Then it takes
// nothing more in, waits for the attempts under way as long as Grace allows, writes their
// outcomes and gives up its leases, each shard as soon as nothing of it is under way. It returns an error only if the
// last outcomes could not be written; their messages are sent again by the next owner.
func (e *Engine) Run(ctx context.Context) error {
	// After the intake has ended, outcomes are written, and what is being read is answered: an entry that waits for
	// its answer keeps its shard from the other relays.
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAnswering()
	var answers sync.WaitGroup
	e.writer.start(answering, &answers)
	for range readers {
		answers.Go(func() { e.rows.read(answering) })
	}
	answers.Go(func() { e.keys.read(answering) })
	answers.Go(func() { e.acks.readAcks(answering) })

	var owner sync.WaitGroup
	owner.Go(func() { e.loop.run(answering) })

	intake, ctx := errgroup.WithContext(ctx)
	for _, work := range []func(context.Context) error{
		e.careful.watchMissed, e.dues.watchDue, e.parked.find, e.parked.wake, e.acks.watchAcks,
		e.loader.watchSubscriptions, e.leases.Run, e.ringer.others.Run, e.hints.Run, e.overdue.watchOverdue, e.remover.Run, e.loop.measure, e.pulse.Run,
		e.jobs.Run, e.orphans.end, e.quarantine.Run,
	} {
		intake.Go(func() error { return work(ctx) })
	}
	for i := range e.config.Groups {
		intake.Go(func() error { return e.sweeper.sweep(ctx, i) })
	}
	err := intake.Wait()

	e.leases.Stop()
	e.loop.tell(machine.Stop{})
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.Grace)
	defer cancel()
	renewing, stopRenewing := context.WithCancel(grace)
	var renewal sync.WaitGroup
	renewal.Go(func() { _ = e.leases.Run(renewing) })
	e.config.Dispatcher.Stop(grace)
	// What was cut off at the end of the grace has an outcome too.
	until := time.Now().Add(lastWrites)
	if end, _ := grace.Deadline(); end.After(until) {
		until = end
	}
	last, cancelLast := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancelLast()
	if n := e.loop.finish(last); n > 0 {
		err = errors.Join(err, fmt.Errorf("the outcomes of %d messages could not be written in time; they may be sent again", n))
	}
	e.trouble.Note("write the pulse", e.pulse.Flush(last))
	stopRenewing()
	renewal.Wait()
	stopAnswering()
	answers.Wait()
	owner.Wait()
	e.trouble.Note("report what is in quarantine", e.quarantine.Leave())
	return errors.Join(err, e.leases.Release())
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
	own := e.leases.Now()
	held := e.loop.held.Load()
	if !own.Lasts() {
		own = new(lease.Ownership)
	}
	return Status{
		Shards: len(own.Lease.Epochs), Relays: own.Fleet.Relays, Streaming: own.Fleet.Streaming, InFlight: held.Entries, Bytes: held.Bytes,
		Trouble: e.trouble.Last(), FannedOut: held.FannedOut, Quarantined: e.quarantine.Total(),
	}
}
