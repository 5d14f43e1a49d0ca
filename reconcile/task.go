package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/sql"
)

// splitAfter is how long a message with several subscribers waits for all of them before
// it is taken up with what is known: one that is slow does not hold up the others' states.
const splitAfter = 250 * time.Millisecond

// task is one entry on its way from the table to its destinations and back: a message
// with all of its deliveries, or one delivery of an open message.
type task struct {
	engine     *core
	entry      *entry
	message    *relay.Message
	dispatches []*dispatch
	state      state
	due        bool             // it comes from the table because its time has come
	reject     error            // why the message cannot be sent
	row        *sql.DeliveryRow // of an open message

	mu    sync.Mutex
	left  int  // dispatches without an outcome yet
	split bool // the message is open: each further dispatch is written by itself
}

func tooLarge(row *sql.MessageRow, most int64) error {
	if row.Oversized {
		return relay.Rejection("too large: headers, source and destination of more than 128 KiB")
	}
	return relay.Rejection(fmt.Sprintf("too large: payload, headers, source and destination of %d bytes, RELAY_MAX_PAYLOAD allows %d", row.Size, most))
}

// route finds the subscribers of a pending message.
func (f *task) route(r router, row *sql.MessageRow) {
	f.state = state{taking: true, again: row.Again, due: f.message.Due()}
	if row.Again {
		f.state.due = time.Now() // it has all of its time again
	}
	if f.reject != nil {
		return
	}
	deliveries, err := r.Route(f.message)
	if f.reject = err; err != nil {
		return
	}
	for _, d := range deliveries {
		f.add(d)
	}
	if row.Unordered {
		f.standOutside()
	}
}

// headerOverhead is what one header takes in memory beside its text, in a map of strings.
const headerOverhead = 64

// charge counts what the task holds in memory against what a read may.
func (f *task) charge(limits *sql.Limits) {
	if len(f.dispatches) > 0 {
		f.entry.bytes += headerOverhead * int64(len(f.dispatches[0].delivery.Headers))
	}
	limits.Budget -= f.entry.bytes
}

// standOutside lets the deliveries go without regard to the order of their key.
func (f *task) standOutside() {
	for _, l := range f.dispatches {
		l.line = sql.Line{}
	}
}

// resume prepares the next attempt of an open message's delivery.
func (f *task) resume(r router, row *sql.DeliveryRow) {
	f.row, f.due = row, true
	f.state = state{
		Open: machine.Open{Status: row.Status, Attempts: row.Attempts, HandleAttempts: row.HandleAttempts, Accepted: row.Accepted},
		due:  row.DueAt,
	}
	if f.reject != nil {
		return
	}
	d, err := r.Resume(f.message, row.Delivery.Subscription, row.Delivery.Instance, row.Target, row.Attempts)
	if f.reject = err; err != nil {
		return
	}
	f.add(d)
	f.dispatches[0].entry = f.entry
	if row.Unordered {
		f.standOutside()
	}
}

func (f *task) add(d *relay.Delivery) {
	f.dispatches = append(f.dispatches, newDispatch(f, d))
	f.left++
}

// launch hands a task's deliveries to the dispatcher, each when its line lets it, or
// writes at once what needs none.
func (e *starter) launch(f *task, now time.Time) {
	if c, none := f.needsNone(); none {
		f.endWithout(c)
		return
	}
	if len(f.dispatches) > 1 {
		time.AfterFunc(splitAfter, f.takeUp)
	}
	for _, l := range f.dispatches {
		l.delivery.Since = now
		l.launch()
	}
}

// endWithout writes the change of a task that ends without an attempt. Whether an instance
// that is given up still exists is found out first, without holding up the reader.
func (f *task) endWithout(c sql.Change) {
	e := f.engine
	countTaken(f, f.reject != nil)
	if f.reject != nil || !f.dispatches[0].delivery.Pinned() || e.config.Gone == nil {
		e.writer.waiting.put(f.entry, []sql.Change{c}, f.wake)
		return
	}
	go func() {
		d := f.dispatches[0].delivery
		if e.config.Gone(context.Background(), d) {
			over, _ := e.config.Policy.Over(d, f.state.past(), true)
			c = f.state.stored(f.message, over)
		}
		e.writer.waiting.put(f.entry, []sql.Change{c}, f.wake)
	}()
}

// needsNone returns the change of a task that ends without an attempt.
func (f *task) needsNone() (sql.Change, bool) {
	switch {
	case f.reject != nil:
		return f.rejection(f.reject), true
	case f.state.taking:
		return sql.Change{}, false
	}
	c, over := f.engine.config.Policy.Over(f.dispatches[0].delivery, f.state.past(), false)
	return f.state.stored(f.message, c), over
}

// wake is called when the change of a task that ended without an attempt is written. The
// line of an open message's delivery goes on. What was rejected for want of a route has
// perhaps got one in the meantime: the relay that took up what was rejected then found it pending.
func (f *task) wake() {
	r := f.engine.config.Router
	if f.state.taking && f.reject != nil && f.reject.Error() == r.NoRoute() && r.Routes(f.message.Topic) > 0 {
		f.engine.unrouted.Store(true)
	}
	if f.row != nil && f.message.Key != "" {
		id := f.row.Delivery
		f.engine.waker.add(sql.Line{Subscription: id.Subscription, Instance: id.Instance, Key: f.message.Key})
	}
}

// note takes one dispatch's outcome; the last one's sends all of a message to the writer.
func (f *task) note(l *dispatch, o relay.Outcome) {
	e := f.engine
	if f.holdBack(l, o) {
		return
	}
	change := e.starter.change(l.delivery, f.state, o)
	if l.behind {
		change.Reason = relay.ReasonKeyBlocked
	}
	f.mu.Lock()
	single := len(f.dispatches) == 1
	if o.Class == relay.ClassRejected && f.state.taking && single {
		change = f.rejection(relay.Rejection(o.Error))
	}
	l.change, l.over = change, true
	f.left--
	split := f.split
	whole := f.left == 0 && !split
	f.mu.Unlock()
	switch {
	case single && (stopping(o) || f.untouched(o)):
		e.registry.leave(f.entry)
		l.settled()
	case split && stopping(o):
		e.registry.leave(l.entry)
		l.settled()
	case split:
		change.Taking = false
		e.writer.waiting.put(l.entry, []sql.Change{change}, l.settled)
	case whole:
		countTaken(f, change.MessageStatus == relay.MessageRejected)
		e.writer.waiting.put(f.entry, f.conclude(), func() { settle(f.dispatches) })
	}
}

func settle(dispatches []*dispatch) {
	for _, l := range dispatches {
		l.settled()
	}
}

// untouched reports whether the table says already what the outcome would write: the
// delivery waits for its key and goes on waiting.
func (f *task) untouched(o relay.Outcome) bool {
	return f.row != nil && o.Reason == relay.ReasonKeyBlocked && f.row.Status == relay.DeliveryWaiting && f.row.KeyBlocked
}

// takeUp makes a message open whose subscribers have not all answered: those that have are
// written, the others are registered as deliveries of their own.
func (f *task) takeUp() {
	f.mu.Lock()
	if f.left == 0 || f.split {
		f.mu.Unlock()
		return
	}
	f.split = true
	var over []*dispatch
	for _, l := range f.dispatches {
		if l.over {
			over = append(over, l)
			continue
		}
		outcome := relay.Outcome{Class: relay.ClassParked}
		if l.ordered() && f.engine.order.waits(l) {
			outcome = parkedBehind() // or a crash would make a head of it
		}
		l.change = f.engine.starter.change(l.delivery, f.state, outcome)
		l.entry = f.engine.registry.adopt(l.change.Delivery, f.entry)
	}
	changes := f.conclude()
	f.mu.Unlock()
	countTaken(f, false)
	f.engine.writer.waiting.put(f.entry, changes, func() { settle(over) })
}

// countTaken notes in the pulse that a message is taken up, or rejected.
func countTaken(f *task, rejected bool) {
	if f.state.taking && !f.state.again {
		f.engine.pulse.took(f.message, rejected, time.Now())
	}
}

// conclude collects the changes of all dispatches. Those of a message that is taken up carry its
// new state.
func (f *task) conclude() []sql.Change {
	changes := make([]sql.Change, len(f.dispatches))
	for i, l := range f.dispatches {
		changes[i] = l.change
	}
	if f.state.taking {
		sql.Conclude(changes)
	}
	return changes
}

// rejection is the change of a message that cannot be sent at all. A delivery of an open
// message, which could once be sent, is dead instead.
func (f *task) rejection(reason error) sql.Change {
	c := sql.Change{Shard: f.message.Shard, NextAttempt: -1, Error: reason.Error(), Cause: relay.Rejection(reason.Error()).Cause(), Taking: f.state.taking, Again: f.state.again, Ackable: f.state.Accepted}
	c.Delivery.Message = f.message.ID
	if f.state.taking {
		c.MessageStatus = relay.MessageRejected
		return c
	}
	c.Delivery, c.Target, c.Circuit = f.row.Delivery, f.row.Target, f.row.Circuit
	c.Status, c.Attempts, c.HandleAttempts = relay.DeliveryDead, f.state.Attempts, f.state.HandleAttempts
	return c
}
