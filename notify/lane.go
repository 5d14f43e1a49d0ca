package notify

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"relay"
)

// MaxWait is how long a delivery may wait in memory for its turn. What waited longer goes
// back to the table and is read again: it may have been cancelled meanwhile.
const MaxWait = time.Second

// item is one delivery that waits for its turn or is under way.
type item struct {
	delivery *relay.Delivery
	done     func(relay.Outcome)
	since    time.Time
	// target names the circuit of a row's own target, among those of its lane. Empty means that
	// there is none.
	target string
	shared bool  // its lane leads to several places: Technology.Shares
	probes gates // the circuits that its attempt probes
}

// park ends the item without an attempt: it waits for a circuit.
func (it item) park(closed *circuit) {
	o := parked(relay.ReasonCircuitOpen)
	if state := closed.now(); state.lacking() && !state.open {
		o.Reason, o.Error = relay.ReasonNoResources, ExplainLack(state.lack)
	}
	o.Circuit = closed.name
	it.done(o)
}

// lane holds what is queued and under way to one destination of an operator, or to one
// origin, exchange or queue that rows name. Its workers are goroutines that end when there
// is nothing to do.
type lane struct {
	name   string
	direct bool // rows name it
	// technology is the name of the technology that its deliveries use.
	technology string
	// origin is the circuit of failures to connect that it shares with others. Nil means that there is none.
	origin *circuit
	// circuit is its own: of an origin that rows name for failures to connect, of an exchange
	// or queue that they name for answers, otherwise for both.
	circuit *circuit
	limit   int // attempts at once

	mu     sync.Mutex
	queue  []item
	head   int   // index of the first item of queue still waiting
	bytes  int64 // of the messages in queue
	size   int64 // moving average of the messages' sizes
	active int
	// ending is how many workers report an outcome and take an item afterwards.
	ending  int
	rate    *rate.Limiter // nil: no limit
	took    time.Duration // moving average of an attempt's duration
	starved bool          // a caller asked for room and is told when there is some
	used    time.Time
	held    holding // by what waits or is under way
	// withheld is when a delivery was last not taken into memory, and cause why.
	withheld time.Time
	cause    string
}

// queued is the number of items that wait. The caller holds the mutex.
func (l *lane) queued() int { return len(l.queue) - l.head }

// push appends an item. The caller holds the mutex.
func (l *lane) push(it item) {
	l.queue = append(l.queue, it)
	l.bytes += it.delivery.Message.Size()
}

// measure updates the moving average with a message's size. The caller holds the mutex.
func (l *lane) measure(size int64) {
	if l.size == 0 {
		l.size = size
		return
	}
	l.size += (size - l.size) / 16
}

// pop takes the first item. The caller holds the mutex and knows that there is one.
func (l *lane) pop() item {
	it := l.queue[l.head]
	l.bytes -= it.delivery.Message.Size()
	l.queue[l.head] = item{}
	l.head++
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	}
	return it
}

// overdue estimates whether one more item would wait longer than MaxWait, from how long
// attempts took lately. The caller holds the mutex.
func (l *lane) overdue() bool {
	return time.Duration(l.queued())*l.took/time.Duration(l.limit) > MaxWait
}

// full is the outcome of an item for which others leave no room. The caller holds the mutex.
func (l *lane) full() relay.Outcome {
	out := parked(relay.ReasonFull)
	if l.took > 0 {
		out.Pace = float64(l.limit) / l.took.Seconds()
	}
	if l.rate != nil {
		out.Pace = min(out.Pace, float64(l.rate.Limit()))
	}
	return out
}

// room is how many more items would start within about half of MaxWait if every circuit is
// closed. The caller holds the mutex.
func (l *lane) room(now time.Time) int {
	if l.rate != nil && l.rate.TokensAt(now)+float64(l.rate.Limit())*MaxWait.Seconds() < 1 {
		return 0 // it would wait longer than it may
	}
	fits := 2 * l.limit
	if l.took > 0 {
		fits = min(fits+1000, max(l.limit, int(MaxWait/2*time.Duration(l.limit)/l.took)))
	}
	if l.rate != nil {
		fits = min(fits, 1+int(float64(l.rate.Limit())*MaxWait.Seconds()/2))
	}
	return max(0, fits-l.queued()-l.active)
}

// configure takes over what a subscriber says of its lane. The caller holds the mutex.
func (l *lane) configure(limit int, perSecond float64) {
	l.limit = limit
	switch {
	case perSecond <= 0:
		l.rate = nil
	case l.rate == nil:
		l.rate = rate.NewLimiter(rate.Limit(perSecond), 1)
	case l.rate.Limit() != rate.Limit(perSecond):
		l.rate.SetLimit(rate.Limit(perSecond))
	}
}

// mayGo waits for the lane's rate, and returns false if an item that has waited since a time
// would have waited longer than MaxWait then, or if ctx ends.
func (l *lane) mayGo(ctx context.Context, since time.Time) bool {
	l.mu.Lock()
	limiter := l.rate
	l.mu.Unlock()
	if limiter == nil {
		return time.Since(since) <= MaxWait
	}
	ctx, cancel := context.WithDeadline(ctx, since.Add(MaxWait))
	defer cancel()
	return limiter.Wait(ctx) == nil
}

// idle reports whether nothing goes to the destination and nothing waits for it. The caller
// holds the mutex.
func (l *lane) idle() bool { return l.active == 0 && l.queued() == 0 }

// forgettable reports whether the lane has been idle for long and what is known about its
// destination does not matter any more. The caller holds the mutex.
func (l *lane) forgettable(now time.Time) bool {
	return l.idle() && now.Sub(l.used) > forgetAfter && l.circuit.now().forgettable(now)
}

// learn updates the moving average with an attempt's duration. The caller holds the mutex.
func (l *lane) learn(d time.Duration) {
	if l.took == 0 {
		l.took = d
		return
	}
	l.took += (d - l.took) / 16
}

// refusal is an item that does not start, with the circuit that is closed to it. Nil means that it
// has waited too long.
type refusal struct {
	item   item
	closed *circuit
}

// expired takes the items out that waited too long or that a circuit does not admit. The
// caller holds the mutex.
func (l *lane) expired(now time.Time, closed func(item) *circuit) (out []refusal) {
	waiting := l.queue[l.head:]
	kept := waiting[:0]
	for _, it := range waiting {
		c := closed(it)
		if c == nil && now.Sub(it.since) < MaxWait {
			kept = append(kept, it)
			continue
		}
		l.bytes -= it.delivery.Message.Size()
		out = append(out, refusal{it, c})
	}
	clear(waiting[len(kept):])
	if l.queue = l.queue[:l.head+len(kept)]; len(kept) == 0 {
		l.queue, l.head = l.queue[:0], 0
	}
	return out
}
