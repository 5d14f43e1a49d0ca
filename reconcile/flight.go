package reconcile

import (
	"fmt"
	"sync"
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
)

// flight is one entry on its way from the table to its destinations and back: a message
// with all of its deliveries, or one delivery of an open message.
type flight struct {
	engine     *Engine
	entry      *entry
	message    *relay.Message
	deliveries []*relay.Delivery
	state      state
	due        bool             // it comes from the table because its time has come
	reject     error            // why the message cannot be sent
	row        *sql.DeliveryRow // of an open message

	mu      sync.Mutex
	changes []sql.Change
	left    int  // deliveries without an outcome yet
	stopped bool // the relay stops, and one delivery was not attempted
}

func tooLarge(size, most int64) error {
	return relay.Rejection(fmt.Sprintf("payload of %d bytes, RELAY_MAX_PAYLOAD allows %d", size, most))
}

// route finds the subscribers of a pending message.
func (f *flight) route(r router, again bool) {
	f.state = state{taking: true, due: f.message.Due()}
	if again {
		f.state.due = time.Now() // it has all of its time again
	}
	if f.reject == nil {
		f.deliveries, f.reject = r.Route(f.message)
	}
}

// resume prepares the next attempt of an open message's delivery.
func (f *flight) resume(r router, row *sql.DeliveryRow) {
	f.row, f.due = row, true
	f.state = state{
		status: row.Status, attempts: row.Attempts, handleAttempts: row.HandleAttempts, due: row.DueAt,
	}
	if f.reject != nil {
		return
	}
	d, err := r.Resume(f.message, row.Delivery.Subscription, row.Delivery.Instance, row.Target, row.Attempts)
	if err != nil {
		f.reject = err
		return
	}
	f.deliveries = []*relay.Delivery{d}
}

// launch hands a flight's deliveries to the dispatcher, or writes at once what needs none.
func (e *Engine) launch(f *flight) {
	switch {
	case f.reject != nil:
		e.writer.put(f.entry, []sql.Change{f.rejection(f.reject)})
		return
	case !f.state.taking && e.config.Policy.overdue(f.state, time.Now()):
		c := e.config.Policy.change(f.deliveries[0], f.state, relay.Outcome{Class: relay.ClassDead})
		c.Attempts, c.Attempt, c.Error = f.state.attempts, nil, e.config.Policy.gaveUp("")
		e.writer.put(f.entry, []sql.Change{c})
		return
	}
	f.left = len(f.deliveries)
	f.changes = make([]sql.Change, 0, f.left)
	for _, d := range f.deliveries {
		e.config.Dispatcher.Dispatch(d, f.due, func(o relay.Outcome) { f.ended(d, o) })
	}
}

// ended notes how one delivery's attempt ended; the last one's outcome sends all to the
// writer.
func (f *flight) ended(d *relay.Delivery, o relay.Outcome) {
	crash.At(crash.AfterAnswer)
	e := f.engine
	if f.state.taking && o.Class.Accepted() {
		e.config.Metrics.latency.Observe(time.Since(f.state.due).Seconds())
	}
	var change sql.Change
	if o.Class == relay.ClassRejected && f.state.taking && len(f.deliveries) == 1 {
		change = f.rejection(relay.Rejection(o.Error))
	} else {
		change = e.config.Policy.change(d, f.state, o)
	}
	f.mu.Lock()
	f.changes = append(f.changes, change)
	f.stopped = f.stopped || o.Class == relay.ClassParked && o.Reason == relay.ReasonNone
	f.left--
	last := f.left == 0
	f.mu.Unlock()
	switch {
	case !last:
	case f.stopped && len(f.deliveries) == 1:
		e.registry.leave(f.entry)
	default:
		f.conclude()
		e.writer.put(f.entry, f.changes)
	}
}

// conclude gives the changes of a message that is taken up its new state.
func (f *flight) conclude() {
	if !f.state.taking {
		return
	}
	outstanding, dead := 0, false
	for _, c := range f.changes {
		if c.MessageStatus == relay.MessageRejected {
			return
		}
		if !c.Status.Ended() {
			outstanding++
		}
		dead = dead || c.Status == relay.DeliveryDead
	}
	status := relay.MessageDone
	switch {
	case outstanding > 0:
		status = relay.MessageOpen
	case dead:
		status = relay.MessageDead
	}
	for i := range f.changes {
		f.changes[i].MessageStatus, f.changes[i].Outstanding = status, outstanding
	}
}

// rejection is the change of a message that cannot be sent at all. A delivery of an open
// message, which could once be sent, is dead instead.
func (f *flight) rejection(reason error) sql.Change {
	c := sql.Change{Shard: f.message.Shard, NextAttempt: -1, Error: reason.Error(), Taking: f.state.taking}
	c.Delivery.Message = f.message.ID
	if f.state.taking {
		c.MessageStatus = relay.MessageRejected
		return c
	}
	c.Delivery, c.Target, c.Circuit = f.row.Delivery, f.row.Target, f.row.Circuit
	c.Status, c.Attempts, c.HandleAttempts = relay.DeliveryDead, f.state.attempts, f.state.handleAttempts
	return c
}
