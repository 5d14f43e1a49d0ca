package notify

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"relay"
	"relay/crash"
)

const (
	// brokerConcurrency bounds the attempts under way to one destination of the broker: as
	// many as may await their confirm, and some whose outcome is being taken.
	brokerConcurrency = defaultAMQPWindow + 50
	// housekeeping is how often waiting items are looked at, idleHousekeeping how often it is
	// looked whether there are any.
	housekeeping     = 100 * time.Millisecond
	idleHousekeeping = 500 * time.Millisecond
	// cutOff is how much longer than its deadline an attempt may take before it is cancelled
	// from outside.
	cutOff = 2 * time.Second
	// maxLanes bounds the destinations that are remembered although nothing is under way to
	// them: rows may name any number.
	maxLanes = 4096
	// forgetAfter is how long an idle destination is remembered, and one that is down or has
	// asked for time after that time is over.
	forgetAfter = 10 * time.Minute
)

// DispatcherConfig names the destinations and bounds.
type DispatcherConfig struct {
	HTTP Destination
	// AMQP may be nil: no broker is configured.
	AMQP Destination
	// Concurrency bounds the attempts under way to one HTTP destination
	// (RELAY_HTTP_CONCURRENCY).
	Concurrency int
	// QueueBytes bounds the bodies that wait for one destination; what is above waits in the
	// table, so that one slow destination does not hold the memory of all. Zero: no bound.
	QueueBytes int64
	// Timeout is how long one attempt may take (RELAY_HTTP_TIMEOUT). The destinations keep
	// to it themselves; one that does not is cut off a little later.
	Timeout time.Duration
	// Retry returns when a delivery that failed for the n-th time goes again; the probes of
	// an open circuit keep to it.
	Retry func(d *relay.Delivery, attempts int) time.Duration
	// Allowed reports whether an attempt for a message of the shard may start now.
	Allowed func(shard int16) bool
	Log     *slog.Logger
	Metrics *Metrics
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

	mu      sync.Mutex
	lanes   map[string]*lane
	stopped bool
}

// NewDispatcher returns a dispatcher that makes attempts until Stop.
func NewDispatcher(config DispatcherConfig) *Dispatcher {
	base, cancel := context.WithCancel(context.Background())
	return &Dispatcher{
		config: config, base: base, cancel: cancel,
		wake: make(chan struct{}, 1), lanes: make(map[string]*lane),
	}
}

// Dispatch queues a delivery and calls done exactly once, from any goroutine, when its
// attempt has ended or when it is clear that none starts soon (relay.ClassParked). due says
// that it comes from the table because its time has come, and may probe an open circuit.
// After Stop it answers parked with no reason.
func (d *Dispatcher) Dispatch(delivery *relay.Delivery, due bool, done func(relay.Outcome)) {
	now := time.Now()
	l := d.lane(delivery, now)
	if l == nil {
		done(relay.Outcome{Class: relay.ClassParked})
		return
	}
	it := item{delivery: delivery, done: done, since: delivery.Since}
	if it.since.IsZero() {
		it.since = now
	}
	l.mu.Lock()
	switch {
	case delivery.Subscriber.Paused && !delivery.Unresolved(): // who gets a copy is settled even so
		l.mu.Unlock()
		done(parked(relay.ReasonPaused))
	case !l.circuit.admits(due, now):
		l.mu.Unlock()
		done(parked(relay.ReasonCircuitOpen))
	case l.queued() < l.ending:
		// A worker takes it at once; the next message of a key comes while it reports the
		// one before.
		l.push(it)
		l.mu.Unlock()
	case l.active < l.limit:
		l.active++
		l.circuit.begin()
		l.mu.Unlock()
		d.workers.Go(func() { d.work(l, it) })
	case d.config.QueueBytes > 0 && l.bytes >= d.config.QueueBytes:
		l.mu.Unlock()
		done(parked(relay.ReasonFull))
	case l.overdue():
		full := l.full()
		l.mu.Unlock()
		done(full)
	default:
		l.push(it)
		l.mu.Unlock()
	}
}

func parked(reason relay.Reason) relay.Outcome {
	return relay.Outcome{Class: relay.ClassParked, Reason: reason}
}

// Room reports how many deliveries of a circuit would start soon: zero while it is open,
// one if it is open and needs a probe. Wake says when it is worth asking again.
func (d *Dispatcher) Room(name string) int {
	d.mu.Lock()
	l := d.lanes[name]
	d.mu.Unlock()
	if l == nil {
		return d.config.Concurrency
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starved = true
	return l.room(time.Now())
}

// Wake receives a value when a destination that was asked for room has run empty, or its
// circuit has closed.
func (d *Dispatcher) Wake() <-chan struct{} { return d.wake }

// Run returns what waited too long to the table, until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	for wait := idleHousekeeping; pause(ctx, wait); {
		if wait = idleHousekeeping; d.expire(time.Now()) {
			wait = housekeeping
		}
	}
	return nil
}

// Stop starts no further attempt, waits for those under way until ctx ends, then cancels
// them and waits for their outcomes. Afterwards every done has been called.
func (d *Dispatcher) Stop(ctx context.Context) {
	d.mu.Lock()
	d.stopped = true
	lanes := slices.Collect(maps.Values(d.lanes))
	d.mu.Unlock()
	for _, l := range lanes {
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
	for {
		var outcome relay.Outcome
		tried := l.mayGo(d.base, it.since)
		if tried {
			outcome = d.attempt(it.delivery)
		}
		l.mu.Lock()
		if !tried {
			outcome = l.full()
		}
		l.ending++
		l.mu.Unlock()
		it.done(outcome)
		var more bool
		if it, more = d.next(l, it.delivery, outcome); !more {
			return
		}
	}
}

// next notes how an attempt ended and takes the lane's next item, or gives up the place.
func (d *Dispatcher) next(l *lane, last *relay.Delivery, o relay.Outcome) (item, bool) {
	now := time.Now()
	l.mu.Lock()
	l.ending--
	if o.Class.Attempted() || o.Duration > maxWait {
		l.learn(o.Duration)
	}
	l.used = now
	changed := l.circuit.end(last.Message.ID, o, d.config.Retry(last, last.Attempt), now)
	open := l.circuit.open
	var it item
	more := l.queued() > 0 && l.circuit.admits(false, now)
	if more {
		it = l.pop()
	} else {
		l.active--
	}
	hungry := l.starved && l.queued() < l.limit/2+1
	if hungry {
		l.starved = false
	}
	l.mu.Unlock()
	if changed {
		d.report(l.name, open, o)
	}
	if hungry || changed && !open {
		d.ring()
	}
	return it, more
}

// attempt asks the destination, bounded in time. A panic is that delivery's failure.
func (d *Dispatcher) attempt(delivery *relay.Delivery) (o relay.Outcome) {
	if !d.config.Allowed(delivery.Message.Shard) {
		return relay.Outcome{Class: relay.ClassParked}
	}
	if delivery.Refused != "" {
		return relay.Outcome{Class: relay.ClassRejected, Error: delivery.Refused}
	}
	started := time.Now()
	timeout := d.config.Timeout
	if t := delivery.Subscriber.Timeout; t > 0 {
		timeout = t
	}
	ctx, cancel := context.WithTimeout(d.base, timeout+cutOff)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			d.config.Log.Error("a destination panicked", "message", delivery.Message.ID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			o = relay.Outcome{Class: relay.ClassPushFailed, Error: "the relay failed on this message; its log has the details"}
		}
		o.Started, o.Duration = started, time.Since(started)
		d.config.Metrics.attempt(delivery, o)
	}()
	if wrong := delivery.Subscriber.Invalid; wrong != "" {
		return relay.Outcome{Class: relay.ClassPushFailed, Error: fmt.Sprintf("subscription %q: %s", delivery.Subscriber.Name, wrong)}
	}
	destination := d.config.HTTP
	if delivery.Subscriber.Target.Kind != relay.TargetHTTP {
		destination = d.config.AMQP
	}
	if destination == nil {
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen, Error: errNoBroker.Error()}
	}
	crash.At(crash.BeforeSend)
	return destination.Deliver(ctx, delivery)
}

// lane returns the delivery's lane, making it if need be, or nil after Stop. Looking
// addresses up is no attempt, which a subscription's own limits are about.
func (d *Dispatcher) lane(delivery *relay.Delivery, now time.Time) *lane {
	name := delivery.Circuit()
	limit, rate := d.limit(delivery.Subscriber), delivery.Subscriber.RateLimit
	if delivery.Unresolved() {
		limit, rate = d.config.Concurrency, 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil
	}
	l := d.lanes[name]
	if l == nil {
		if len(d.lanes) >= maxLanes {
			d.evict()
		}
		l = &lane{name: name, limit: limit, used: now, circuit: circuit{shared: name == relay.CircuitBroker}}
		d.lanes[name] = l
	}
	l.mu.Lock()
	l.used = now
	l.broker = delivery.Subscriber.Target.Kind != relay.TargetHTTP
	l.configure(limit, rate)
	l.mu.Unlock()
	return l
}

// evict forgets the destination that was used longest ago of those with nothing under way,
// if need be one that is down. The caller holds the mutex.
func (d *Dispatcher) evict() {
	var oldest *lane
	var used time.Time
	var known bool // something is known of oldest that matters
	for _, l := range d.lanes {
		l.mu.Lock()
		matters := l.circuit.open || l.circuit.heldUntil.After(l.used)
		idle := l.active == 0 && l.queued() == 0
		if idle && (oldest == nil || known && !matters || known == matters && l.used.Before(used)) {
			oldest, used, known = l, l.used, matters
		}
		l.mu.Unlock()
	}
	if oldest == nil {
		return
	}
	delete(d.lanes, oldest.name)
	oldest.mu.Lock()
	open := oldest.circuit.open
	oldest.mu.Unlock()
	if open {
		d.config.Metrics.circuit(false)
	}
}

// limit is how many attempts for a subscriber may be under way at once.
func (d *Dispatcher) limit(s *relay.Subscriber) int {
	switch {
	case s.Concurrency > 0:
		return s.Concurrency
	case s.Target.Kind != relay.TargetHTTP:
		return brokerConcurrency
	}
	return d.config.Concurrency
}

// expire parks what waited too long and forgets destinations that are no longer used. It
// reports whether anything still waits.
func (d *Dispatcher) expire(now time.Time) (more bool) {
	d.mu.Lock()
	lanes := make([]*lane, 0, len(d.lanes))
	for name, l := range d.lanes {
		l.mu.Lock()
		if l.forgettable(now) {
			delete(d.lanes, name)
			if l.circuit.open {
				d.config.Metrics.circuit(false)
			}
		}
		l.mu.Unlock()
		lanes = append(lanes, l)
	}
	d.mu.Unlock()
	for _, l := range lanes {
		l.mu.Lock()
		outcome := l.full()
		if !l.circuit.admits(false, now) {
			outcome = parked(relay.ReasonCircuitOpen)
		}
		waited := l.expired(now)
		more = more || l.queued() > 0
		l.mu.Unlock()
		for _, it := range waited {
			it.done(outcome)
		}
	}
	return more
}

func (d *Dispatcher) ring() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
