package notify

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"relay"
	"relay/crash"
	"relay/wait"
)

const (
	// housekeeping is how often waiting items are looked at, idleHousekeeping how often the
	// dispatcher looks whether there are any.
	housekeeping     = 100 * time.Millisecond
	idleHousekeeping = 500 * time.Millisecond
	// cutOff is how much longer than its deadline an attempt may take before it is cancelled
	// from outside.
	cutOff = 2 * time.Second
	// maxLanes bounds the destinations that are remembered although nothing is under way to
	// them, those of operators and those that rows name each: rows may name any number.
	maxLanes = 4096
	// forgetAfter is how long an idle destination is remembered, and one that is down or has
	// asked for time after that time is over.
	forgetAfter = 10 * time.Minute
)

// DispatcherConfig names the destinations and bounds.
type DispatcherConfig struct {
	Technologies Technologies
	// References reads what headers and secrets of subscriptions name. Nil means that none may name anything.
	References *References
	// QueueBytes bounds the bodies that wait for one destination; what is above waits in the
	// table, so that one slow destination does not hold the memory of all. Zero means no bound.
	QueueBytes int64
	// Messages and Bytes bound what the relay may hold in memory; destinations share a part of them. Zero means no
	// bound.
	Messages, Bytes int64
	// Timeout is how long one attempt may take (RELAY_HTTP_TIMEOUT). The destinations keep
	// to it themselves; one that does not is cut off a little later.
	Timeout time.Duration
	// Retry returns when a delivery that failed for the n-th time goes again; the probes of
	// an open circuit keep to it.
	Retry func(d *relay.Delivery, attempts int) time.Duration
	// Allowed reports whether an attempt for a message of the shard may start now.
	Allowed func(shard int16) bool
	// Tracer is told of each attempt. Nil means that nothing is traced.
	Tracer  Tracer
	Log     *slog.Logger
	Metrics *Metrics
}

// Tracer makes spans of attempts that have ended.
type Tracer interface {
	// Attempt is told of an attempt, from any goroutine. It does not wait.
	Attempt(d *relay.Delivery, o relay.Outcome)
}

// Dispatcher makes the attempts: each destination has a lane with a queue, a bound on what
// is under way, and a circuit. A dead or slow destination holds nothing but its own lane,
// and that for a second at most.
type Dispatcher struct {
	config  DispatcherConfig
	base    context.Context // of every attempt; ends when the grace of a stop is over
	cancel  context.CancelFunc
	wake    chan struct{}
	workers sync.WaitGroup

	targets   *targets
	origins   map[string]*sharedOrigin // that all targets in rows of a technology share, by Technology.Origin
	shortages *shortages
	failures  *failureLog
	reported  *reporter
	held      holding

	mu        sync.Mutex
	operators *recent[*lane] // of subscriptions, their instances, the default destination
	rows      *recent[*lane] // of rows' own targets
	stopped   bool
}

// NewDispatcher returns a dispatcher that makes attempts until Stop.
func NewDispatcher(config DispatcherConfig) *Dispatcher {
	base, cancel := context.WithCancel(context.Background())
	origins := make(map[string]*sharedOrigin)
	for _, t := range config.Technologies.all {
		if t.Origin != "" {
			origins[t.Origin] = &sharedOrigin{circuit: newCircuit(t.Origin), technology: t}
		}
	}
	return &Dispatcher{
		config: config, base: base, cancel: cancel,
		wake: make(chan struct{}, 1), operators: newRecent[*lane](), rows: newRecent[*lane](),
		targets: newTargets(), origins: origins,
		shortages: newShortages(config.Log, config.Metrics), failures: newFailureLog(config.Log), reported: newReporter(config.Log, config.Metrics),
	}
}

// Dispatch queues a delivery and calls done exactly once, from any goroutine, when its
// attempt has ended or when it is clear that none starts soon (relay.ClassParked). due says
// that it comes from the table because its time has come, and may probe an open circuit.
// After Stop it answers parked with no reason.
func (d *Dispatcher) Dispatch(delivery *relay.Delivery, due bool, done func(relay.Outcome)) {
	now := time.Now()
	it := item{delivery: delivery, done: done, since: delivery.Since}
	if it.since.IsZero() {
		it.since = now
	}
	l := d.lane(&it, now)
	if l == nil {
		done(relay.Outcome{Class: relay.ClassParked})
		return
	}
	if delivery.Subscriber.Paused && !delivery.Unresolved() { // the instances are looked up even so
		done(parked(relay.ReasonPaused))
		return
	}
	passes := d.gates(l, it.target)
	l.mu.Lock()
	closed, probed := passes.closed(due, now), passes.closed(false, now)
	size := delivery.Message.Size()
	l.measure(size)
	cause := d.exceeds(l, size)
	switch {
	case closed != nil:
		l.mu.Unlock()
		it.park(closed)
	case cause == causeMessages:
		d.withhold(l, cause, now)
		full := l.full()
		l.mu.Unlock()
		done(full)
	case cause != "":
		d.withhold(l, cause, now)
		l.mu.Unlock()
		done(parked(relay.ReasonFull))
	case probed == nil && l.queued() < l.ending:
		// A worker takes it at once; the next message of a key comes while it reports the
		// one before.
		d.hold(l, &it)
		l.push(it)
		l.mu.Unlock()
	case l.active < l.limit:
		if it.probes, closed = passes.begin(due, now); closed != nil {
			l.mu.Unlock()
			it.park(closed)
			return
		}
		l.active++
		d.hold(l, &it)
		l.mu.Unlock()
		d.workers.Go(func() { d.work(l, it) })
	case probed != nil:
		l.mu.Unlock()
		it.park(probed)
	case d.config.QueueBytes > 0 && l.bytes >= d.config.QueueBytes:
		d.withhold(l, causeQueue, now)
		l.mu.Unlock()
		done(parked(relay.ReasonFull))
	case l.overdue():
		d.withhold(l, causePace, now)
		full := l.full()
		l.mu.Unlock()
		done(full)
	default:
		d.hold(l, &it)
		l.push(it)
		l.mu.Unlock()
	}
}

func parked(reason relay.Reason) relay.Outcome {
	return relay.Outcome{Class: relay.ClassParked, Reason: reason}
}

// Wake receives a value when a destination that was asked for room has run empty, or its
// circuit has closed.
func (d *Dispatcher) Wake() <-chan struct{} { return d.wake }

// Run returns what waited too long to the table, until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	for every := idleHousekeeping; wait.For(ctx, every); {
		if every = idleHousekeeping; d.expire(time.Now()) {
			every = housekeeping
		}
	}
	return nil
}

// Stop starts no further attempt, waits for those under way until ctx ends, then cancels
// them and waits for their outcomes. Afterwards every done has been called.
func (d *Dispatcher) Stop(ctx context.Context) {
	d.mu.Lock()
	d.stopped = true
	all := d.all()
	d.mu.Unlock()
	for _, l := range all {
		l.mu.Lock()
		var waiting []item
		for l.queued() > 0 {
			waiting = append(waiting, l.pop())
		}
		l.mu.Unlock()
		for _, it := range waiting {
			it.done(relay.Outcome{Class: relay.ClassParked})
		}
	}
	ended := make(chan struct{})
	go func() { d.workers.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		d.cancel()
		<-ended
	}
	d.cancel()
}

// work makes attempts for a lane until its queue is empty.
func (d *Dispatcher) work(l *lane, it item) {
	w := &watchdog{base: d.base}
	defer w.close()
	for {
		var outcome relay.Outcome
		tried := l.mayGo(d.base, it.since)
		if tried {
			outcome = d.attempt(it.delivery, w)
		}
		if outcome.Reason == relay.ReasonCircuitOpen {
			outcome.Circuit = d.gates(l, it.target).origin.name
		}
		l.mu.Lock()
		if !tried {
			outcome = l.full()
		}
		l.ending++
		l.mu.Unlock()
		it.done(outcome)
		var more bool
		if it, more = d.next(l, it, outcome); !more {
			return
		}
	}
}

// next notes how an attempt ended and takes the lane's next item, or gives up the place.
func (d *Dispatcher) next(l *lane, last item, o relay.Outcome) (it item, more bool) {
	now := time.Now()
	freed := d.conclude(l, last, o, now)
	l.mu.Lock()
	l.ending--
	if o.Class.Attempted() || o.Duration > MaxWait {
		l.learn(o.Duration)
	}
	l.used = now
	it, more, refused := d.take(l, now)
	if !more {
		l.active--
	}
	hungry := l.starved && l.queued() < l.limit/2+1
	if hungry {
		l.starved = false
	}
	l.mu.Unlock()
	for _, r := range refused {
		r.item.park(r.closed)
	}
	if hungry || freed {
		d.ring()
	}
	return it, more
}

// take returns the lane's next item that may go, and those before it whose own target's
// circuit is open. The caller holds the lane's mutex.
func (d *Dispatcher) take(l *lane, now time.Time) (it item, more bool, refused []refusal) {
	for l.queued() > 0 {
		passes := d.gates(l, l.queue[l.head].target)
		probes, closed := passes.begin(false, now)
		switch {
		case closed == nil:
			it = l.pop()
			it.probes = probes
			return it, true, refused
		case closed != passes.target || l.queue[l.head].target == "":
			return it, false, refused // it is closed to all of the lane
		}
		refused = append(refused, refusal{l.pop(), closed})
	}
	return it, false, refused
}

// attempt asks the destination, bounded in time. A panic is that delivery's failure.
func (d *Dispatcher) attempt(delivery *relay.Delivery, w *watchdog) (o relay.Outcome) {
	if !d.config.Allowed(delivery.Message.Shard) {
		return relay.Outcome{Class: relay.ClassParked}
	}
	if delivery.Refused != "" {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.Rejection(delivery.Refused).Cause(), Error: delivery.Refused}
	}
	started := time.Now()
	technology, unknown := d.config.Technologies.Of(delivery.Subscriber.Target)
	name := noTechnology
	if unknown == nil {
		name = technology.Name
	}
	timeout := d.config.Timeout
	if t := delivery.Subscriber.Timeout; t > 0 {
		timeout = t
	}
	ctx := w.begin(timeout + cutOff)
	defer w.end()
	defer func() {
		if p := recover(); p != nil {
			d.config.Log.Error("a destination panicked", "message", delivery.Message.ID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			o = relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameNone, Cause: relay.CauseRelay, Error: "the relay failed on this message; its log has the details"}
		}
		if o.Lack != relay.ResourceNone {
			o.RetryAfter = d.shortages.note(o.Lack, o.Error, time.Now())
		}
		o.Started, o.Duration = started, time.Since(started)
		d.config.Metrics.attempt(name, o)
		d.trace(delivery, o)
		d.failures.note(delivery, o, time.Now())
	}()
	if wrong := delivery.Subscriber.Invalid; wrong != "" {
		return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameNone, Cause: relay.CauseSettings, Error: fmt.Sprintf("subscription %q: %s", delivery.Subscriber.Name, wrong)}
	}
	switch {
	case unknown != nil:
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.CauseBadTarget, Error: unknown.Error()}
	case technology.Destination == nil:
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen, Cause: relay.CauseBrokerDown, Error: technology.Missing.Error()}
	}
	resolved, err := d.resolved(delivery)
	if err != nil {
		return relay.Outcome{Class: relay.ClassPushFailed, Cause: relay.CauseSettings, Blame: relay.BlameNone, Error: err.Error()}
	}
	crash.At(crash.BeforeSend)
	return technology.Destination.Deliver(ctx, resolved)
}

// resolved returns the delivery with values where its subscriber has references.
func (d *Dispatcher) resolved(delivery *relay.Delivery) (*relay.Delivery, error) {
	if !delivery.Subscriber.Refers {
		return delivery, nil
	}
	references := d.config.References
	if references == nil {
		references = &References{known: make(map[string]referenced)}
	}
	subscriber, err := references.Resolve(delivery.Subscriber)
	if err != nil {
		return nil, fmt.Errorf("subscription %q: %w", delivery.Subscriber.Name, err)
	}
	copied := *delivery
	copied.Subscriber = subscriber
	return &copied, nil
}

// Gone reports whether the instance of a delivery that is Pinned certainly does not exist any more.
func (d *Dispatcher) Gone(ctx context.Context, delivery *relay.Delivery) bool {
	technology, err := d.config.Technologies.Of(delivery.Subscriber.Target)
	return err == nil && technology.Gone != nil && technology.Gone(ctx, delivery)
}

// trace has a span made of an attempt, if spans are wanted.
func (d *Dispatcher) trace(delivery *relay.Delivery, o relay.Outcome) {
	if d.config.Tracer != nil {
		d.config.Tracer.Attempt(delivery, o)
	}
}

func (d *Dispatcher) ring() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
