package reconcile

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
)

const (
	// crowdFor is how long the messages that wait for room may need altogether, at the pace of
	// their destination. A destination that is slower has the rest parked in the table.
	crowdFor = 2 * time.Second
	// crowdLongest is how long a message may be in memory before it is parked after all.
	crowdLongest = 5 * time.Second
	// crowdEvery is how often circuits with a crowd are asked for room.
	crowdEvery = 10 * time.Millisecond
)

// crowd holds pending messages without a key for which their destination had no room, although
// it is well and fast. To park such a message and to read it back from relay.delivery costs
// several times as much as to read it from relay.outbox again. Only its entry stays in memory: the
// row is read anew when there is room, so that a cancel or a pause counts meanwhile.
type crowd struct {
	ready chan struct{} // receives when the first message comes

	mu      sync.Mutex
	waiting map[sql.Parked][]held // by circuit, in the order in which they came
}

// held is a message that waits for room.
type held struct {
	entry *entry
	since time.Time
}

func newCrowd() *crowd {
	return &crowd{ready: make(chan struct{}, 1), waiting: make(map[sql.Parked][]held)}
}

// add takes a message for a circuit, unless the destination would not get to it soon.
func (c *crowd) add(circuit sql.Parked, en *entry, pace float64, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if float64(len(c.waiting[circuit])) >= pace*crowdFor.Seconds() || now.Sub(en.since) > crowdLongest {
		return false
	}
	c.waiting[circuit] = append(c.waiting[circuit], held{en, now})
	poke(c.ready)
	return true
}

// take returns the messages for which room says that there is room, and those that have waited
// for too long: reading finds out what else became of their destination. It reports whether
// others wait on.
func (c *crowd) take(room func(circuit string, direct bool) int, now time.Time) (out []*entry, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for circuit, waiting := range c.waiting {
		free := room(circuit.Circuit, circuit.Direct)
		for len(waiting) > 0 && (free > 0 || now.Sub(waiting[0].since) > crowdFor) {
			out = append(out, waiting[0].entry)
			waiting = waiting[1:]
			free--
		}
		if len(waiting) == 0 {
			delete(c.waiting, circuit)
			continue
		}
		c.waiting[circuit], more = waiting, true
	}
	return out, more
}

// holdBack keeps a message in memory for which its destination had no room just now, and
// reports false if it has to be parked.
func (f *task) holdBack(l *dispatch, o relay.Outcome) bool {
	if o.Pace == 0 || !f.state.taking || f.message.Key != "" || len(f.dispatches) != 1 || f.engine.stopping.Load() {
		return false
	}
	e := f.engine
	circuit := sql.Parked{Circuit: l.delivery.Circuit(), Direct: l.delivery.Direct()}
	if !e.crowd.add(circuit, f.entry, o.Pace, time.Now()) {
		return false
	}
	e.registry.toRead.giveBack(f.entry)
	return true
}

// drainCrowd has messages read again as their destinations get room for them, until ctx ends.
func (e *parkedReader) drainCrowd(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.crowd.ready:
		}
		for more := true; more; {
			if !pause(ctx, crowdEvery, nil) {
				return nil
			}
			var ready []*entry
			ready, more = e.crowd.take(e.config.Circuits.Room, time.Now())
			e.registry.toRead.again(ready...)
		}
	}
}
