package reconcile

import (
	"sync"
	"time"

	"relay"
	"relay/sql"
)

// order keeps messages with the same key in order at each subscriber: of each line, only
// the head is sent. A line is in memory as long as something of it is under way; what waits
// longer stands in the table, and the end of a line in memory wakes the table's head.
type order struct {
	// wake is called when nothing of a line is under way and its table may hold a successor:
	// at once, or soon if the table has only got one more that waits.
	wake func(id sql.Line, soon bool)

	mu    sync.Mutex
	lines map[sql.Line]*line
}

// line is one key at one subscriber and instance.
type line struct {
	busy       *dispatch   // under way
	failing    bool        // busy was not accepted, and this is not written yet
	queue      []*dispatch // behind it, in order
	dispatches int         // entered and not yet written, and retentions
	// table says that the table may hold later deliveries of the line: what is taken up
	// now has to wait there too.
	table bool
	// first is the lowest sequence of the line that stood in the table when it came into
	// memory, or when its head was last looked up. Zero: none did, or that is not known.
	first int64
}

func newOrder(wake func(id sql.Line, soon bool)) *order {
	return &order{wake: wake, lines: make(map[sql.Line]*line)}
}

// admission is what becomes of a dispatch that enters its line.
type admission int

const (
	admitted admission = iota // it is under way: dispatch it
	queued                    // it is dispatched when those before it have been accepted
	refused                   // it waits in the table
)

// retain keeps the lines in memory until they are released, and returns those that were not
// there before: the table has to be asked about them. retainLines alone calls it.
func (o *order) retain(lines []sql.Line) (fresh []sql.Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range lines {
		at := o.lines[id]
		if at == nil {
			at = &line{}
			o.lines[id] = at
			fresh = append(fresh, id)
		}
		at.dispatches++
	}
	return fresh
}

// learn notes that the table holds something of the line, if it is in memory, and what its
// lowest sequence is. Zero: not known.
func (o *order) learn(id sql.Line, first int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at := o.lines[id]; at != nil {
		at.table, at.first = true, max(at.first, first)
	}
}

// letGo lets the lines go again.
func (o *order) letGo(lines []sql.Line) {
	for _, id := range lines {
		o.mu.Lock()
		wake := o.release(id)
		o.mu.Unlock()
		if wake {
			o.wake(id, false)
		}
	}
}

// release takes one dispatch or retention from a line, and forgets the line with the last. It reports
// whether the table has to be looked at then. The caller holds the mutex.
func (o *order) release(id sql.Line) (wake bool) {
	at := o.lines[id]
	at.dispatches--
	if at.dispatches > 0 {
		return false
	}
	delete(o.lines, id)
	return at.table
}

// enter puts a dispatch into its line, which is retained.
func (o *order) enter(l *dispatch) admission {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.lines[l.line]
	at.dispatches++
	if !l.task.state.taking {
		at.table = true
	}
	switch {
	case l.task.state.taking && at.table:
		return refused
	case at.first > 0 && l.task.message.Seq > at.first && (at.busy == nil || !l.task.row.KeyBlocked):
		// A crash left it behind another one, and its row does not say so.
		return refused
	case at.busy == nil:
		at.busy = l
		return admitted
	}
	at.queue = append(at.queue, l)
	return queued
}

// waits reports whether a dispatch waits behind another one of its line.
func (o *order) waits(l *dispatch) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.lines[l.line]
	return at != nil && at.busy != l
}

// regained notes that another relay may have taken up messages of these shards meanwhile:
// whatever line of them is in memory, what comes next has to look at the table first.
func (o *order) regained(shards *[relay.Shards]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, at := range o.lines {
		if shards[relay.ShardOf(relay.ID{}, id.Key)] {
			at.table = true
		}
	}
}

// idle reports whether what the table holds of a line may be looked up: the line is not in
// memory, or all that is there are dispatches on their way into the table.
func (o *order) idle(id sql.Line) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.lines[id]
	return at == nil || at.idle()
}

func (at *line) idle() bool { return at.table && at.busy == nil && len(at.queue) == 0 }

// heads notes which is the lowest sequence of an idle line that the table holds now.
func (o *order) heads(id sql.Line, first int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at := o.lines[id]; at != nil && at.idle() {
		at.first = first
	}
}

// ended notes how the attempt for the head of a line ended, and returns the next one to dispatch
// next, if the line may go on.
func (o *order) ended(l *dispatch, goOn bool) (next *dispatch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.lines[l.line]
	if at.busy != l {
		return nil
	}
	if !goOn {
		at.failing = true
		return nil
	}
	at.busy = nil
	if len(at.queue) > 0 {
		next, at.queue = at.queue[0], at.queue[1:]
		at.busy = next
	}
	return next
}

// settled notes that a dispatch's outcome stands in the table, or is not needed any more.
// It returns the dispatches behind a head that failed, which now wait in the table: they are
// written after the head, or a crash in between would let them overtake it.
func (o *order) settled(l *dispatch, parked bool) (behind []*dispatch) {
	o.mu.Lock()
	at := o.lines[l.line]
	at.table = at.table || parked
	failed := at.busy == l && at.failing // it comes again by itself
	if at.busy == l {
		if at.failing {
			at.table = true
		}
		behind, at.queue = at.queue, nil
		at.busy, at.failing = nil, false
	}
	last := o.release(l.line)
	idle := at.idle() && !failed // although dispatches of it are on their way into the table
	o.mu.Unlock()
	if last || idle {
		o.wake(l.line, !last && parked)
	}
	return behind
}

// expired returns the dispatches that have waited in memory behind others since before a time, and
// whether there are more that wait.
func (o *order) expired(before time.Time) (out []*dispatch, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.lines {
		switch {
		case len(at.queue) == 0:
		case at.queue[0].delivery.Since.Before(before):
			out = append(out, at.queue...)
			at.queue, at.table = nil, true
		default:
			more = true
		}
	}
	return out, more
}

// drop empties the queue behind a head that is not attempted because the relay stops, and
// lets nothing new pass.
func (o *order) drop(l *dispatch) (behind []*dispatch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at := o.lines[l.line]; at.busy == l {
		behind, at.queue, at.busy, at.table = at.queue, nil, nil, true
	}
	return behind
}

// lineOf is the line of a delivery; the zero value has none.
func lineOf(d *relay.Delivery) sql.Line {
	if d.Message.Key == "" || d.Subscriber.Unordered {
		return sql.Line{}
	}
	return sql.Line{Subscription: d.Subscriber.Name, Instance: d.Instance, Key: d.Message.Key}
}
