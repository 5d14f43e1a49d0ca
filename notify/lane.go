package notify

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"relay"
)

// maxWait is how long a delivery may wait in memory for its turn. What waited longer goes
// back to the table and is read again: it may have been cancelled meanwhile.
const maxWait = time.Second

// item is one delivery that waits for its turn or is under way.
type item struct {
	delivery *relay.Delivery
	done     func(relay.Outcome)
	since    time.Time
}

// lane holds what one circuit has queued and under way. Its workers are goroutines that
// end when there is nothing to do.
type lane struct {
	name  string
	limit int // attempts at once

	mu     sync.Mutex
	queue  []item
	head   int   // index of the first item of queue still waiting
	bytes  int64 // of the messages in queue
	active int
	// ending is how many workers report an outcome and take an item afterwards.
	ending  int
	circuit circuit
	broker  bool          // its deliveries go over the broker
	rate    *rate.Limiter // nil: no limit
	took    time.Duration // moving average of an attempt's duration
	starved bool          // somebody asked for room and should be told when there is some
	used    time.Time
}

// queued is the number of items that wait. The caller holds the mutex.
func (l *lane) queued() int { return len(l.queue) - l.head }

// push appends an item. The caller holds the mutex.
func (l *lane) push(it item) {
	l.queue = append(l.queue, it)
	l.bytes += it.delivery.Message.Size()
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

// overdue estimates whether one more item would wait longer than maxWait, from how long
// attempts took lately. The caller holds the mutex.
func (l *lane) overdue() bool {
	return time.Duration(l.queued())*l.took/time.Duration(l.limit) > maxWait
}

// room is how many more items would start within about half of maxWait. The caller holds
// the mutex.
func (l *lane) room(now time.Time) int {
	if l.circuit.wantsProbe(now) {
		return 1
	}
	if !l.circuit.admits(false, now) {
		return 0
	}
	if l.rate != nil && l.rate.TokensAt(now)+float64(l.rate.Limit())*maxWait.Seconds() < 1 {
		return 0 // it would wait longer than it may
	}
	fits := 2 * l.limit
	if l.took > 0 {
		fits = min(fits+1000, max(l.limit, int(maxWait/2*time.Duration(l.limit)/l.took)))
	}
	if l.rate != nil {
		fits = min(fits, 1+int(float64(l.rate.Limit())*maxWait.Seconds()/2))
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
// would have waited longer than maxWait then, or if ctx ends.
func (l *lane) mayGo(ctx context.Context, since time.Time) bool {
	l.mu.Lock()
	limiter := l.rate
	l.mu.Unlock()
	if limiter == nil {
		return time.Since(since) <= maxWait
	}
	ctx, cancel := context.WithDeadline(ctx, since.Add(maxWait))
	defer cancel()
	return limiter.Wait(ctx) == nil
}

// forgettable reports whether nothing goes to the destination, nothing waits for it, and
// what is known about it does not matter any more. A circuit that is open is probed at
// probeAt at the latest if anything waits for it in the table. The caller holds the mutex.
func (l *lane) forgettable(now time.Time) bool {
	if l.active > 0 || l.queued() > 0 || now.Before(l.circuit.heldUntil) {
		return false
	}
	known := l.used
	if l.circuit.open && l.circuit.probeAt.After(known) {
		known = l.circuit.probeAt
	}
	return now.Sub(known) > forgetAfter
}

// learn updates the moving average with an attempt's duration. The caller holds the mutex.
func (l *lane) learn(d time.Duration) {
	if l.took == 0 {
		l.took = d
		return
	}
	l.took += (d - l.took) / 16
}

// expired takes the items out that waited too long, or all if the circuit does not admit
// them. The caller holds the mutex.
func (l *lane) expired(now time.Time) (out []item) {
	for l.queued() > 0 {
		first := l.queue[l.head]
		if now.Sub(first.since) < maxWait && l.circuit.admits(false, now) {
			break
		}
		out = append(out, l.pop())
	}
	return out
}
