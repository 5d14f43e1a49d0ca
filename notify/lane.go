package notify

import (
	"sync"
	"time"

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

	mu      sync.Mutex
	queue   []item
	head    int   // index of the first item of queue still waiting
	bytes   int64 // of the bodies in queue
	active  int
	circuit circuit
	took    time.Duration // moving average of an attempt's duration
	starved bool          // somebody asked for room and should be told when there is some
	used    time.Time
}

// queued is the number of items that wait. The caller holds the mutex.
func (l *lane) queued() int { return len(l.queue) - l.head }

// push appends an item. The caller holds the mutex.
func (l *lane) push(it item) {
	l.queue = append(l.queue, it)
	l.bytes += int64(len(it.delivery.Message.Body))
}

// pop takes the first item. The caller holds the mutex and knows that there is one.
func (l *lane) pop() item {
	it := l.queue[l.head]
	l.bytes -= int64(len(it.delivery.Message.Body))
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
	fits := 2 * l.limit
	if l.took > 0 {
		fits = min(fits+1000, max(l.limit, int(maxWait/2*time.Duration(l.limit)/l.took)))
	}
	return max(0, fits-l.queued()-l.active)
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
