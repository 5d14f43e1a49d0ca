package notify

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"relay"
)

// Deliveries that wait or are under way fill memory. All destinations together may fill sharedQuarters quarters of what
// the relay may hold; the rest is for what is being read and written. A destination that is alone may fill two thirds
// of that. While others hold something, it may fill half of what the others leave, but a leastShare in any case: n
// destinations that take what they get fill n/(n+1), and there is always something left for the next one. What exceeds
// the share of its destination waits in the table.
const (
	sharedQuarters = 3
	leastShare     = 1024
	// withheldFor is how long the relay shows that a destination had used up its share.
	withheldFor = 10 * time.Second
)

// Why a delivery was not taken into memory.
const (
	causeMessages = "messages" // its destination has its share of messages
	causeBytes    = "bytes"    // its destination has its share of bytes
	causeQueue    = "queue"    // too many bytes wait for its destination
	causePace     = "pace"     // its turn would not come within a second
)

// holding is what deliveries hold: of one destination, or of all.
type holding struct{ messages, bytes atomic.Int64 }

func (h *holding) add(messages, bytes int64) {
	h.messages.Add(messages)
	h.bytes.Add(bytes)
}

// share is how much of most a destination may hold if the others hold the given amount.
func share(most, others int64) int64 {
	if others <= 0 {
		return max(most/3*2, 1)
	}
	return max((most-others)/2, most/leastShare, 1)
}

// left is how much more a destination may hold of what it has own of, and all together total. Negative: it has too
// much.
func left(most, own, total int64) int64 { return share(most, total-own) - own }

// shared is the part of a bound that deliveries may fill.
func shared(bound int64) int64 { return bound / 4 * sharedQuarters }

// exceeds returns why a message of that size would exceed the share of its destination, or nothing. A destination that
// holds nothing may have one message of any size.
func (d *Dispatcher) exceeds(l *lane, size int64) (cause string) {
	messages := l.held.messages.Load()
	switch {
	case messages == 0:
	case d.config.Messages > 0 && left(shared(d.config.Messages), messages, d.held.messages.Load()) < 1:
		return causeMessages
	case d.config.Bytes > 0 && left(shared(d.config.Bytes), l.held.bytes.Load(), d.held.bytes.Load()) < size:
		return causeBytes
	}
	return ""
}

// hold counts an item until it is done.
func (d *Dispatcher) hold(l *lane, it *item) {
	size, done := it.delivery.Message.Size(), it.done
	l.held.add(1, size)
	d.held.add(1, size)
	it.done = func(o relay.Outcome) {
		l.held.add(-1, -size)
		d.held.add(-1, -size)
		done(o)
	}
}

// roomLeft is how many more messages of the lane's usual size its share allows. The caller holds the lane's mutex.
func (d *Dispatcher) roomLeft(l *lane, room int) int {
	if l.held.messages.Load() == 0 {
		return room
	}
	if d.config.Messages > 0 {
		room = min(room, int(left(shared(d.config.Messages), l.held.messages.Load(), d.held.messages.Load())))
	}
	if d.config.Bytes > 0 && l.size > 0 {
		room = min(room, int(left(shared(d.config.Bytes), l.held.bytes.Load(), d.held.bytes.Load())/l.size))
	}
	return max(0, room)
}

// withhold counts a delivery that is not taken into memory. The caller holds the lane's mutex.
func (d *Dispatcher) withhold(l *lane, cause string, now time.Time) {
	l.withheld, l.cause = now, cause
	d.config.Metrics.withheld.WithLabelValues(cause).Inc()
}

// Withheld tells of each destination that has had its share of memory lately, and why the rest for it waits in the
// table.
func (d *Dispatcher) Withheld() (all []string) {
	d.mu.Lock()
	lanes := d.all()
	d.mu.Unlock()
	for _, l := range lanes {
		l.mu.Lock()
		if (l.cause == causeMessages || l.cause == causeBytes) && time.Since(l.withheld) < withheldFor {
			all = append(all, fmt.Sprintf("%s has its share of %s: %d messages with %d bytes", relay.ShowCircuit(l.name), l.cause, l.held.messages.Load(), l.held.bytes.Load()))
		}
		l.mu.Unlock()
	}
	slices.SortFunc(all, strings.Compare)
	return all
}
